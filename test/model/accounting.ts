// What was committed against what each sink received and what was declared: no change may be missing without a word.
import { concerns, type Gap } from '../../src/core/gaps.ts';
import { parseLsn, ZERO_LSN, type Lsn } from '../../src/core/lsn.ts';
import { selects, type Selection } from '../../src/core/selection.ts';
import type { Store } from '../../src/store/sqlite.ts';
import type { BlockContext } from '../../src/log/format.ts';
import { DATABASE, type ModelSinkSettings } from './process-options.ts';
import type { PretendedServer } from './server.ts';
import type { Row, Transaction } from './server-state.ts';
import type { SinkWatcher } from './sink.ts';

/** A gap as it stood on record; it explains only what had been committed by then. */
type Declared = {
  readonly from: Lsn;
  readonly to: Lsn | undefined;
  readonly tables: Gap['tables'];
  /** Undefined: of every sink. */
  readonly sink: string | undefined;
  readonly commits: number;
  readonly cause: string;
};

type Received = {
  readonly ids: Set<number>;
  /** Rows that may come again, once: something has happened since they came. */
  mayRepeat: Set<number>;
  /** Rows that may come again until the ledger has them. */
  readonly unwritten: Set<number>;
  /** By key, the highest first delivery. */
  readonly latest: Map<string, number>;
  /** Answered and in the ledger, which the disk may not have yet. */
  written: Set<number>;
  /** The disk has it that they are settled. */
  settled: Set<number>;
};

export class Accounting {
  readonly #server: PretendedServer;
  readonly #sinks: readonly ModelSinkSettings[];
  readonly #received = new Map<string, Received>();
  readonly #rows = new Map<number, { readonly row: Row; readonly transaction: Transaction }>();
  readonly #declared = new Map<string, Declared>();
  /** In the log, and of those what the disk has. */
  #logged = new Set<number>();
  #durable = new Set<number>();
  /** They stand in the log in two epochs, in a transaction that is whole in the later one only. */
  readonly #doubled = new Set<number>();
  /** By then the catalog had been looked at. */
  #lookedBy = 0;
  readonly #isStrict: boolean;
  #follows: string | undefined;
  readonly #excused = new Set<number>();
  /** Nobody knows how the publication was between these: the looks went with the store. */
  #blind: { readonly after: number; to: number }[] = [];
  /** Everything before is nobody's: the slot was made after it. */
  countedFrom: number | undefined;
  readonly faults: string[] = [];

  constructor(server: PretendedServer, sinks: readonly ModelSinkSettings[], { strict = false } = {}) {
    this.#isStrict = strict;
    this.#server = server;
    this.#sinks = sinks;
    for (const { name } of sinks) {
      this.#received.set(name, {
        ids: new Set(),
        mayRepeat: new Set(),
        unwritten: new Set(),
        latest: new Map(),
        written: new Set(),
        settled: new Set(),
      });
    }
  }

  get gaps(): readonly Declared[] {
    return [...this.#declared.values()];
  }

  committed(transaction: Transaction): void {
    for (const row of transaction.rows) this.#rows.set(row.id, { row, transaction });
  }

  watcherOf(sink: string): SinkWatcher {
    const { selection } = this.#sinks.find(({ name }) => name === sink)!;
    const received = this.#received.get(sink)!;
    return {
      wants: (table) => selects(selection, { schema: 'public', table }),
      delivered: (id, key) => this.#delivered(sink, received, id, key),
      written: (ids) => {
        for (const id of ids) {
          received.written.add(id);
          received.unwritten.delete(id);
        }
      },
      synced: () => {
        received.settled = new Set(received.written);
      },
    };
  }

  #delivered(sink: string, received: Received, id: number, key: string): void {
    const isUnwritten = received.unwritten.has(id);
    received.unwritten.add(id);
    if (received.ids.has(id)) {
      const mayRepeat = isUnwritten || this.#doubled.has(id) || received.mayRepeat.delete(id);
      if (!mayRepeat) this.faults.push(`${sink}: row ${id} came again though its ledger had it`);
      return;
    }
    received.ids.add(id);
    const latest = received.latest.get(key) ?? 0;
    if (id < latest && !this.#isDeclared(id, sink))
      this.faults.push(`${sink}: row ${id} came after row ${latest} of ${key}`);
    received.latest.set(key, Math.max(id, latest));
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
    const transactions = [...this.#rows.values()].map(({ transaction }) => transaction);
    const after = transactions.filter((transaction) => transaction.commitLsn > lastCommitLsn);
    const next = inTransaction
      ? commitLsn
      : after.reduce<Lsn | undefined>(
          (least, { commitLsn: at }) => (least === undefined || at < least ? at : least),
          undefined,
        );
    for (const transaction of after) {
      if (transaction.commitLsn === next) for (const { id } of transaction.rows) this.#doubled.add(id);
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
      if (sink !== undefined && name !== sink) continue;
      received.mayRepeat = new Set(received.ids);
      received.written = new Set();
      received.settled = new Set();
    }
  }
  looked(store: Store): void {
    this.#excuseUnread();
    this.#lookedBy = this.#server.world.commits;
    const last = this.#blind.at(-1);
    const { publications } = this.#server.state;
    // A publication that is narrow when it is seen for the first time is as somebody wants it.
    const isNarrow = publications.values().some(({ publishes }) => !publishes.includes('insert'));
    // One at a server that is not proved yet is not kept.
    const isKept = store.looks.newest(DATABASE) !== undefined;
    if (last?.to === Infinity && isKept && !isNarrow) last.to = this.#lookedBy;
  }
  /** Somebody follows another publication from now on: what was not read yet is what that one published, by their word. */
  followsAnother(publication: string, before: string): void {
    this.#follows = publication;
    // What the one before lost between the last look and now nobody looks for any more (see the known fault in found.test.ts).
    if (this.#isStrict) return;
    for (const { row, transaction } of this.#rows.values()) {
      const isSent = transaction.published[before]?.includes(row.id) === true;
      if (transaction.number > this.#lookedBy && !isSent) this.#excused.add(row.id);
    }
  }
  #excuseUnread(): void {
    if (this.#follows === undefined) return;
    for (const { row, transaction } of this.#rows.values()) {
      const isPublished = transaction.published[this.#follows]?.includes(row.id) === true;
      if (!isPublished && !this.#logged.has(row.id)) this.#excused.add(row.id);
    }
    this.#follows = undefined;
  }
  looksGone(): void {
    if (this.#blind.at(-1)?.to !== Infinity) this.#blind.push({ after: this.#lookedBy, to: Infinity });
  }
  /** Was it not published, and may nobody know of it? Deleting the store does that, by design (docs/concepts.md). */
  #isBlind({ number, published }: Transaction, { id }: Row): boolean {
    if (this.#excused.has(id)) return true;
    const isPublished = Object.values(published).every((ids) => ids?.includes(id) === true);
    return !isPublished && this.#blind.some(({ after, to }) => number > after && number <= to);
  }

  /** Every sink may begin at an earlier place: what came may come again. What it has settled is settled. */
  mayAllRepeat(): void {
    for (const received of this.#received.values()) received.mayRepeat = new Set(received.ids);
  }
  /** The power went: the ledgers have what was synced. */
  ledgersCut(): void {
    for (const received of this.#received.values()) {
      received.written = new Set(received.settled);
      received.mayRepeat = new Set([...received.ids].filter((id) => !received.settled.has(id)));
    }
  }

  /** Takes down what is on record now. */
  note(store: Store): void {
    const { commits } = this.#server.world;
    const note = (
      key: string,
      declared: Omit<Declared, 'commits'>,
      goesOn = declared.to === undefined,
    ): void => {
      const known = this.#declared.get(key);
      if (known === undefined || goesOn) this.#declared.set(key, { ...declared, commits });
    };
    for (const gap of store.gaps.list(DATABASE, { after: 0, limit: 1000 })) {
      const { from, to, tables, cause, skips, acceptedAt } = gap;
      // Nothing of that range is read before somebody has accepted it.
      const goesOn = to === undefined || (skips && acceptedAt === undefined);
      const range = { from: lsn(from), to: to === undefined ? undefined : lsn(to) };
      const key = `${gap.since} ${gap.id} ${from} ${to} ${tables?.length}`;
      note(key, { ...range, tables, sink: undefined, cause }, goesOn);
    }
    for (const { name: sink } of this.#sinks) {
      for (const { from, to, reason } of store.sinks.gaps({ database: DATABASE, sink })) {
        note(`${sink} ${from} ${to} ${reason}`, {
          from: lsn(from),
          to: lsn(to),
          tables: undefined,
          sink,
          cause: reason,
        });
      }
    }
  }

  #isDeclared(id: number, sink: string): boolean {
    const { row, transaction } = this.#rows.get(id)!;
    const { commitLsn, number } = transaction;
    const selection: Selection = { includeTables: [{ schema: ['public'], table: [row.table] }] };
    return this.gaps.some(
      (gap) =>
        (gap.sink === undefined || gap.sink === sink) &&
        number <= gap.commits &&
        commitLsn >= gap.from &&
        (gap.to === undefined || commitLsn <= gap.to) &&
        (gap.tables === undefined || concerns({ tables: gap.tables }, { name: sink, selection })),
    );
  }

  /** Invariant 1: what Postgres is told to forget is settled everywhere, or (`durable`) on our disk, or declared. */
  confirms(
    confirmed: Lsn,
    {
      durable,
      publication,
      store,
    }: { readonly durable: boolean; readonly publication: string; readonly store: Store },
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
        if (!sent.has(row.id) || this.#received.get(sink)!.settled.has(row.id)) continue;
        if (durable && this.#durable.has(row.id)) continue;
        if (!isNoted) this.note(store);
        isNoted = true;
        if (this.#isDeclared(row.id, sink)) continue;
        this.faults.push(
          `told ${confirmed}, and row ${row.id} at ${transaction.commitLsn} is not settled by ${sink}`,
        );
      }
    }
  }

  *#due(transaction: Transaction): Generator<[Row, string]> {
    if (this.countedFrom === undefined || transaction.number <= this.countedFrom) return;
    for (const row of transaction.rows) {
      if (!transaction.counted.includes(row.table) || this.#isBlind(transaction, row)) continue;
      for (const { name, selection } of this.#sinks) {
        if (selects(selection, { schema: 'public', table: row.table })) yield [row, name];
      }
    }
  }

  /** Everything has come to rest. `probes`: rows that nothing explains the lack of. */
  settle(probes: readonly Transaction[]): void {
    const probing = new Set(probes);
    for (const transaction of this.#server.state.wal) {
      for (const [row, sink] of this.#due(transaction)) {
        if (this.#received.get(sink)!.ids.has(row.id)) continue;
        if (!probing.has(transaction) && this.#isDeclared(row.id, sink)) continue;
        this.faults.push(
          `${sink}: ${probing.has(transaction) ? 'probe ' : ''}row ${row.id} of ${row.table} at ${transaction.commitLsn} (commit ${transaction.number}) never came, and no gap names it`,
        );
      }
    }
  }

  describe(): string {
    const gaps = this.gaps.map(
      ({ from, to, tables, sink, cause, commits }) =>
        `gap ${from}..${to ?? ''} of ${tables?.map(({ table }) => table).join() ?? 'all'} ${sink ?? ''} (${cause}), by commit ${commits}`,
    );
    const wal = this.#server.state.wal.map(
      ({ number, commitLsn, endLsn, rows }) =>
        `${number}@${commitLsn}-${endLsn}:${rows.map(({ id, table }) => `${id}${table}`).join(',')}`,
    );
    return [...this.faults.slice(0, 8), ...gaps, `wal ${wal.join(' ')}`].join('\n');
  }
}

const lsn = (text: string): Lsn => parseLsn(text) ?? ZERO_LSN;
