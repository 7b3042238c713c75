// What was committed against what each sink received and what was declared: no change may be missing without a word.
import type { Lsn } from '../../src/core/lsn.ts';
import { selects } from '../../src/core/selection.ts';
import type { BlockContext } from '../../src/log/format.ts';
import { isBefore, isDue, type BeginningDoubts, type BeginningFacts } from './beginnings.ts';
import { DeclaredGaps } from './declared.ts';
import { Excuses } from './excuses.ts';
import type { ModelSinkSettings } from './process-options.ts';
import { DATABASE } from './process-options.ts';
import { Received } from './received.ts';
import type { Row, Transaction } from './server-state.ts';
import type { PretendedServer } from './server.ts';
import type { ModelStore } from './store.ts';
import type { SinkWatcher } from './sink.ts';

export class Accounting {
  readonly #server: PretendedServer;
  readonly #sinks: ModelSinkSettings[] = [];
  readonly #received = new Map<string, Received>();
  /** Of sinks that were added later. */
  readonly #beginnings = new Map<string, BeginningFacts>();
  #hasClockMoved = false;
  #hasParted = false;
  readonly #rows = new Map<number, { readonly row: Row; readonly transaction: Transaction }>();
  readonly #declared = new DeclaredGaps();
  readonly #excuses: Excuses;
  /** In the log, and of those what the disk has. */
  #logged = new Set<number>();
  #durable = new Set<number>();
  /** They may have come in an epoch before the one in which the log has them whole. */
  readonly #doubled = new Set<number>();
  /** Did the power take whole transactions from it? Ledgers may have them. */
  #isLogCut = false;
  /** Everything before is nobody's: the slot was made after it. */
  countedFrom: number | undefined;
  /** A server that goes back to an earlier history may have it again: it comes again then. */
  readonly #wasLost = new Set<number>();
  /** In the log, and known not to be in the server's history. */
  #lost: ReadonlySet<number> = new Set();
  readonly faults: string[] = [];

  constructor(server: PretendedServer, sinks: readonly ModelSinkSettings[]) {
    this.#server = server;
    for (const sink of sinks) this.addSink(sink);
    const isLogged = (id: number): boolean => this.#logged.has(id);
    this.#excuses = new Excuses({ all: this.#rows, isLogged });
  }

  addSink(sink: ModelSinkSettings): void {
    this.#sinks.push(sink);
    this.#received.set(sink.name, new Received());
  }

  /** A sink that was added later begins, and nobody knew of it. */
  begins(sink: string, facts: Omit<BeginningFacts, 'confirmed' | 'commits'>): void {
    const { state, world } = this.#server;
    const { confirmed } = state.slot!;
    this.#beginnings.set(sink, { ...facts, confirmed, commits: world.commits });
    this.#received.get(sink)!.begins();
  }

  clockMoved(): void {
    this.#hasClockMoved = true;
  }

  get #doubts(): BeginningDoubts {
    return { hasParted: this.#hasParted, hasClockMoved: this.#hasClockMoved };
  }

  get hasGaps(): boolean {
    return this.#declared.size > 0;
  }

  committed(transaction: Transaction): void {
    for (const row of transaction.rows) this.#rows.set(row.id, { row, transaction });
  }

  watcherOf(sink: string): SinkWatcher {
    const { selection } = this.#sinks.find(({ name }) => name === sink)!;
    const received = this.#received.get(sink)!;
    return {
      wants: (table) => selects(selection, { schema: 'public', table }),
      delivered: (id, key, idempotencyKey) => {
        const { row, transaction } = this.#rows.get(id)!;
        if (this.#lost.has(id)) this.faults.push(`${sink}: row ${id} was sent though the server has lost it`);
        const swallowed = received.swallowed(id, idempotencyKey);
        if (swallowed !== undefined) this.faults.push(`${sink}: ${swallowed}`);
        const fault = received.delivered(id, key, {
          mayRepeat: this.#doubled.has(id) || this.#wasLost.has(id),
          mayBeLate: () => this.#declared.names(row, transaction, sink),
        });
        if (fault !== undefined) this.faults.push(`${sink}: ${fault}`);
        const facts = this.#beginnings.get(sink);
        if (!received.isAtItsBeginning || facts === undefined) return;
        if (isBefore(row, transaction, facts, this.#doubts))
          this.faults.push(`${sink}: row ${id} came, which lies before where it began`);
      },
      written: (ids) => received.written(ids),
      synced: () => received.synced(),
    };
  }

  logOpened(lastCommitLsn: Lsn): void {
    const isThere = (id: number): boolean => this.#rows.get(id)!.transaction.commitLsn <= lastCommitLsn;
    this.#logged = new Set([...this.#logged].filter(isThere));
    this.#durable = new Set(this.#logged);
  }
  logged(ids: readonly number[]): void {
    for (const id of ids) this.#logged.add(id);
  }
  /** Of a transaction that was not whole by then, what came may come again: its keys say that it is the same. */
  epochChanged({ inTransaction, commitLsn, lastCommitLsn }: BlockContext): void {
    this.#hasParted = true;
    const transactions = [...this.#rows.values()].map(({ transaction }) => transaction);
    const after = transactions.filter((transaction) => transaction.commitLsn > lastCommitLsn);
    const next = inTransaction
      ? commitLsn
      : after.reduce<Lsn | undefined>(
          (least, { commitLsn: at }) => (least === undefined || at < least ? at : least),
          undefined,
        );
    // The publication before may have left out those between: the first that anybody had is the one that was not whole.
    const received = (transaction: Transaction): boolean =>
      transaction.rows.some(({ id }) => [...this.#received.values()].some((received) => received.has(id)));
    const partial = after.toSorted((a, b) => (a.commitLsn < b.commitLsn ? -1 : 1)).find(received);
    for (const transaction of after) {
      const wasWhole = transaction.commitLsn !== next && transaction !== partial;
      if (wasWhole && !this.#isLogCut) continue;
      for (const { id } of transaction.rows) this.#doubled.add(id);
    }
  }
  /** The source knows that the server has other changes from there on. */
  parted(lsn: Lsn): void {
    const present = new Set(this.#server.state.wal.flatMap(({ rows }) => rows.map(({ id }) => id)));
    const isKnown = (id: number): boolean =>
      this.#lost.has(id) || this.#rows.get(id)!.transaction.commitLsn >= lsn;
    this.#lost = new Set([...this.#logged].filter((id) => !present.has(id) && isKnown(id)));
    for (const id of this.#lost) this.#wasLost.add(id);
  }

  /** Of what the sinks say that they delivered and discarded of lost histories: how many each did. Undefined: that is not known. */
  #checkOrphans(store: ModelStore): void {
    for (const { name, selection } of this.#sinks) {
      if (this.#beginnings.has(name)) continue;
      const received = this.#received.get(name)!;
      const wanted = [...this.#wasLost].filter((id) =>
        selects(selection, { schema: 'public', table: this.#rows.get(id)!.row.table }),
      );
      const delivered = wanted.filter((id) => received.has(id)).length;
      const lost = store.partings.ofSink({ database: DATABASE, sink: name });
      const orphaned = lost.reduce((sum, { orphaned: count }) => sum + count, 0);
      const discarded = lost.reduce((sum, { discarded: count }) => sum + count, 0);
      // What a kill took the answer of was delivered, and nobody knows.
      if (
        orphaned <= delivered &&
        delivered <= orphaned + discarded &&
        orphaned + discarded === wanted.length
      )
        continue;
      this.faults.push(
        `${name}: ${orphaned} orphans and ${discarded} discarded are on record; of ${wanted.length} lost rows ${delivered} were delivered`,
      );
    }
  }

  logSynced(): void {
    this.#durable = new Set(this.#logged);
  }
  logGone(): void {
    this.#logged = new Set();
    this.#durable = new Set();
  }

  /** Of this sink (undefined: of all), what the ledger says is not to be relied on: what came may come again. */
  ledgerGone(sink?: string): void {
    for (const [name, received] of this.#received) {
      if (sink === undefined || name === sink) received.ledgerGone();
    }
  }
  /** Every sink may begin at an earlier place. */
  mayAllRepeat(): void {
    for (const received of this.#received.values()) received.mayAllRepeat();
  }
  /** The power went. */
  ledgersCut(): void {
    this.#isLogCut = true;
    for (const received of this.#received.values()) received.ledgerCut();
  }

  looked(): void {
    this.#excuses.looked();
  }
  followsAnother(publication: string): void {
    this.#excuses.followsAnother(publication);
  }

  /** Takes down what is on record now. */
  note(store: ModelStore): void {
    const names = this.#sinks.map(({ name }) => name);
    this.#declared.note(store, names, this.#server.world.commits);
  }

  /** Invariant 1: what Postgres is told to forget is settled everywhere, or (`durable`) on our disk, or declared. */
  confirms(
    confirmed: Lsn,
    {
      durable,
      publication,
      store,
    }: { readonly durable: boolean; readonly publication: string; readonly store: ModelStore },
  ): void {
    const { walEnd, state } = this.#server;
    if (confirmed > walEnd)
      this.faults.push(`the server was told ${confirmed}, and its WAL ends at ${walEnd}`);
    const before = state.slot!.confirmed;
    let isNoted = false;
    for (const transaction of state.wal) {
      if (transaction.commitLsn < before || transaction.endLsn > confirmed) continue;
      // Of what was not published a look tells, later.
      const sent = new Set(transaction.published[publication]);
      for (const [row, sink] of this.#due(transaction)) {
        if (!sent.has(row.id) || this.#received.get(sink)!.isSettled(row.id)) continue;
        if (durable && this.#durable.has(row.id)) continue;
        if (!isNoted) this.note(store);
        isNoted = true;
        if (this.#declared.names(row, transaction, sink)) continue;
        this.faults.push(
          `told ${confirmed}, and row ${row.id} at ${transaction.commitLsn} is not settled by ${sink}`,
        );
      }
    }
  }

  *#due(transaction: Transaction): Generator<[Row, string]> {
    if (this.countedFrom === undefined || transaction.number <= this.countedFrom) return;
    for (const row of transaction.rows) {
      if (!transaction.counted.includes(row.table) || this.#excuses.has(row)) continue;
      for (const { name, selection } of this.#sinks) {
        const facts = this.#beginnings.get(name);
        if (facts !== undefined && !isDue(row, transaction, facts, this.#doubts)) continue;
        if (selects(selection, { schema: 'public', table: row.table })) yield [row, name];
      }
    }
  }

  /** Everything has come to rest. `probes`: rows that nothing explains the lack of. */
  settle(
    probes: readonly Transaction[],
    { orphansOf }: { readonly orphansOf?: ModelStore | undefined } = {},
  ): void {
    if (orphansOf !== undefined) this.#checkOrphans(orphansOf);
    const probing = new Set(probes);
    for (const transaction of this.#server.state.wal) {
      const isProbe = probing.has(transaction);
      for (const [row, sink] of this.#due(transaction)) {
        if (this.#received.get(sink)!.has(row.id)) continue;
        if (!isProbe && this.#declared.names(row, transaction, sink)) continue;
        this.faults.push(
          `${sink}: ${isProbe ? 'probe ' : ''}row ${row.id} of ${row.table} at ${transaction.commitLsn} (commit ${transaction.number}) never came, and no gap names it`,
        );
      }
    }
  }

  describe(): string {
    const wal = this.#server.state.wal.map(
      ({ number, commitLsn, endLsn, rows }) =>
        `${number}@${commitLsn}-${endLsn}:${rows.map(({ id, table }) => `${id}${table}`).join(',')}`,
    );
    return [...this.faults.slice(0, 8), ...this.#declared.describe(), `wal ${wal.join(' ')}`].join('\n');
  }
}
