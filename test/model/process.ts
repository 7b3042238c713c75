// One life of the service in the model: the real start of a source (proof of belonging, gaps, looks, log, flush) against the
// pretended server, and the real places of its sinks.
import { pino } from 'pino';
import { TailraceError } from '../../src/core/errors.ts';
import { haltingGap } from '../../src/core/gaps.ts';
import { ZERO_LSN, type Lsn } from '../../src/core/lsn.ts';
import type { Selection } from '../../src/core/selection.ts';
import type { LogSettings } from '../../src/log/settings.ts';
import type { BlockContext } from '../../src/log/format.ts';
import { LogSignals } from '../../src/log/signals.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import { GapKeeper } from '../../src/pipeline/source/gaps.ts';
import { followedLog, type SourceLog } from '../../src/pipeline/source/log.ts';
import { openSourceLog } from '../../src/pipeline/source/log.ts';
import { LookKeeper, type Looking } from '../../src/pipeline/source/looks.ts';
import type { SourceOptions } from '../../src/pipeline/source/options.ts';
import { join as joinLog, type JoinPorts } from '../../src/pipeline/source/joining.ts';
import type { Prepared, ServerHistory } from '../../src/pipeline/source/start.ts';
import { SourceState } from '../../src/pipeline/source/status.ts';
import type { StreamBatch } from '../../src/postgres/replication/stream.ts';
import type { ReplicationStream } from '../../src/postgres/replication/stream.ts';
import type { DatabaseSettings } from '../../src/postgres/settings.ts';
import { highestEpochIn } from '../../src/store/ledger.ts';
import type { Store } from '../../src/store/sqlite.ts';
import { databaseSettings } from '../support/database-settings.ts';
import { insertMessage, relationMessage } from '../support/pgoutput-messages.ts';
import { begin, commit } from './messages.ts';
import type { PretendedServer } from './server.ts';
import type { Row, Transaction } from './server-state.ts';
import { ModelSink, type SinkWatcher } from './sink.ts';

export const DATABASE = 'shop';
const SYSTEM_IDENTIFIER = '7000000000000000001';
const DATABASE_OID = 5;
const LOG_SETTINGS: LogSettings = {
  segmentBytes: 1500,
  retentionMs: 0,
  maxBytes: 1024 ** 3,
  minFreeBytes: 0,
  maxMessageBytes: 1024 ** 2,
};
/** The OID of the columns' type. */
const INT4 = 23;
const silent = pino({ level: 'silent' });

export type ModelSinkSettings = { readonly name: string; readonly selection: Selection };

export type ProcessOptions = {
  readonly server: PretendedServer;
  readonly store: Store;
  readonly logDirectory: string;
  readonly ledgerDirectory: string;
  readonly sinks: readonly ModelSinkSettings[];
  readonly publication: string;
  readonly ack: 'auto' | 'delivered' | 'durable';
  readonly watcherOf: (sink: string) => SinkWatcher;
  /** Before Postgres hears of it. */
  readonly confirms: (lsn: Lsn) => void;
  /** What the log holds up to there is on the disk now, and there is no more. */
  readonly logOpened: (lastCommitLsn: Lsn) => void;
  /** These rows are in the log; after `logSynced` on the disk. */
  readonly logged: (ids: readonly number[]) => void;
  readonly logSynced: () => void;
  /** What the log held of an unfinished transaction is given up: it comes again under another epoch. */
  readonly epochChanged: (logEnd: BlockContext) => void;
  /** A look was taken. */
  readonly looked: () => void;
};

type Session = {
  readonly looking: Looking;
  /** What the server will send, message by message. */
  readonly messages: { readonly bytes: Buffer; readonly row: number | undefined }[];
  /** Where the stream has come to. */
  sent: number;
  readonly described: Set<number>;
  walEnd: Lsn;
};

export class ModelProcess {
  readonly #options: ProcessOptions;
  readonly #settings: DatabaseSettings;
  readonly #source: SourceOptions;
  readonly #state: SourceState;
  readonly #gaps: GapKeeper;
  readonly #looks: LookKeeper;
  readonly #signals = new LogSignals();
  #stopped: JoinPorts['stopped'];
  #opened: SourceLog | undefined;
  #session: Session | undefined;
  sinks: readonly ModelSink[] = [];
  /** Why it cannot go on as a process. */
  fatal: TailraceError | undefined;
  /** Why it is not connected. */
  waits: TailraceError | undefined;

  constructor(options: ProcessOptions) {
    this.#options = options;
    const { store, sinks, publication, ack, logDirectory, ledgerDirectory } = options;
    this.#settings = databaseSettings(
      { name: DATABASE, host: '127.0.0.1', port: 1 },
      { slot: { ack, maxRetainedBytes: 3000 }, publication: { name: publication } },
    );
    const unaccepted = store.gaps.unaccepted(DATABASE);
    for (const [slot, sink] of sinks.entries()) {
      this.#signals.setHolding(slot, true);
      this.#signals.setHalted(slot, haltingGap(unaccepted, sink, 'halt') !== undefined);
    }
    this.#source = {
      settings: this.#settings,
      selections: sinks.map(({ selection }) => selection),
      streamed: () => undefined,
      store,
      log: LOG_SETTINGS,
      directory: logDirectory,
      knownEpoch: Math.max(store.sinks.highestEpoch(DATABASE), highestEpochIn(ledgerDirectory)),
      signals: this.#signals,
      sinkSlots: new Map(sinks.map(({ name }, slot) => [name, slot])),
      version: '0.0.0-model',
      durableDirectory: true,
      logger: silent,
    };
    this.#state = new SourceState(this.#settings, () => 0);
    this.#gaps = new GapKeeper(this.#source, this.#state);
    this.#looks = new LookKeeper(this.#source, this.#gaps);
  }

  get isStreaming(): boolean {
    return this.#session !== undefined;
  }

  /** Connects, unless it is connected or over. The first time its sinks begin. */
  async connect(): Promise<void> {
    if (this.fatal !== undefined || this.#session !== undefined) return;
    try {
      await this.#connect();
      this.waits = undefined;
    } catch (error) {
      this.#session = undefined;
      if (!(error instanceof TailraceError)) throw error;
      if (error.mend === 'restart') this.fatal = error;
      else this.waits = error;
    }
  }

  async #connect(): Promise<void> {
    const { server, sinks } = this.#options;
    const client = server.client();
    const prepared = this.#prepare();
    const { timeline: current, switches } = server.state;
    const history: ServerHistory = {
      current,
      switches,
      systemIdentifier: SYSTEM_IDENTIFIER,
      walEnd: server.walEnd,
    };
    if (this.#opened === undefined) {
      this.#opened = await openSourceLog(this.#source, this.#state, prepared, history);
      this.#options.logOpened(this.#opened.log.recovered.lastCommitLsn);
    }
    const looking: Looking = {
      client,
      serverVersion: server.version * 10_000,
      server: { systemIdentifier: SYSTEM_IDENTIFIER, timeline: current, switches },
    };
    const { epoch } = this.#opened;
    const logEnd = { ...this.#opened.log.context };
    const plan = await joinLog({
      opened: this.#opened,
      prepared,
      server: history,
      primary: { client, target: { host: '127.0.0.1', port: 1 } },
      looking,
      ports: {
        options: this.#source,
        state: this.#state,
        gaps: this.#gaps,
        looks: this.#looks,
        stopped: this.#stopped,
      } as never,
    });
    // A connection begins with the log on the disk.
    this.#options.logSynced();
    if (plan.epoch !== epoch) this.#options.epochChanged(logEnd);
    // As `refreshTables` does with a publication of ours.
    server.completeMembers(this.#settings.publication.name);
    await this.#looks.again(looking);
    this.#options.looked();
    this.#session = { looking, messages: [], sent: -1, described: new Set(), walEnd: plan.confirmed };
    this.#from = plan.startLsn;
    this.#stopped = undefined;
    this.#opened.streamed = true;
    if (this.sinks.length > 0) return;
    const followed = followedLog(this.#opened, this.#settings.slot.name, history);
    const first = this.#options.store.sinks.met(
      DATABASE,
      sinks.map(({ name }) => name),
      new Date(),
    );
    const opened: ModelSink[] = [];
    this.sinks = opened;
    for (const [slot, sink] of sinks.entries()) {
      opened.push(
        await ModelSink.open(
          {
            settings: {
              name: sink.name,
              database: DATABASE,
              status: 'active',
              start: { from: 'default' },
            } as SinkSettings,
            logDirectory: this.#options.logDirectory,
            log: followed,
            signals: this.#signals,
            slot,
            ledgerFile: `${this.#options.ledgerDirectory}/${sink.name}.ledger`,
            newSinkStart: first.has(sink.name) ? 'earliest' : 'end',
            onGap: 'halt',
            store: this.#options.store,
            logger: silent,
          },
          this.#options.watcherOf(sink.name),
        ),
      );
    }
  }

  #from: Lsn = ZERO_LSN;

  #prepare(): Prepared {
    const { server } = this.#options;
    const { name } = this.#settings.publication;
    if (!server.state.publications.has(name)) server.makePublication(name);
    const slotCreated = server.state.slot === undefined;
    if (slotCreated) server.makeSlot();
    return {
      preflight: { databaseOid: DATABASE_OID, serverVersion: server.version * 10_000 },
      slot: { confirmedFlush: server.state.slot!.confirmed },
      slotCreated,
      published: undefined,
      notices: [],
      streamOptions: { publication: name, via_root: 'false', messages: 'true' },
    } as unknown as Prepared;
  }

  /** The connection is gone. */
  disconnect(): void {
    this.#session = undefined;
  }

  /** Takes up to `count` messages in one batch, and what the server says of its WAL end if that was all. */
  read(count: number): void {
    const session = this.#session;
    if (session === undefined) return;
    const { server } = this.#options;
    const { name } = this.#settings.publication;
    this.#fill(session, server.stream(this.#from, name), name);
    const batch = session.messages.splice(0, count);
    const { feed, keeper } = this.#opened!;
    if (session.messages.length === 0 && session.sent !== STOPPED) session.walEnd = server.walEnd;
    this.#take(batch);
    const ids = batch.map(({ row }) => row).filter((id) => id !== undefined);
    this.#options.logged(ids);
    try {
      feed.reached(session.walEnd);
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      this.#session = undefined;
      this.fatal = error;
      return;
    }
    keeper.appended(session.walEnd, feed.openTransaction, feed.brought);
    if (session.sent === STOPPED && session.messages.length === 0) {
      this.#session = undefined;
      this.#stopped = {};
      this.waits = new TailraceError('decoding stopped', {
        code: 'DECODING_STOPPED',
        kind: 'fatal',
        mend: 'retry',
      });
    }
  }

  /** What is still to be sent. A server up to 17 stops at what it cannot decode. */
  #fill(session: Session, transactions: readonly Transaction[], name: string): void {
    for (const transaction of transactions) {
      if (session.sent === STOPPED || transaction.number <= session.sent) continue;
      const published = transaction.published[name];
      if (published === undefined) {
        if (this.#options.server.version >= 18) continue;
        session.sent = STOPPED;
        return;
      }
      session.sent = transaction.number;
      const rows = transaction.rows.filter(({ id }) => published.includes(id));
      session.messages.push({ bytes: begin(transaction), row: undefined });
      for (const row of rows) session.messages.push({ bytes: rowMessage(row), row: row.id });
      session.messages.push({ bytes: commit(transaction), row: undefined });
      for (const row of rows) this.#oids.set(row.oid, row.table);
    }
  }

  readonly #oids = new Map<number, string>();

  #take(messages: Session['messages']): void {
    const { feed } = this.#opened!;
    try {
      for (const { bytes, row } of messages) {
        const oid = row === undefined ? undefined : bytes.readUInt32BE(1);
        if (oid !== undefined && !this.#session!.described.has(oid)) {
          this.#session!.described.add(oid);
          const relation = relationOf(oid, this.#oids.get(oid)!);
          feed.relation(relation, 0, relation.length, { relationId: oid, key: ['key'], types: new Map() });
        }
        feed.take(batchOf(bytes), 0);
      }
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      this.#session = undefined;
      this.fatal = error;
    } finally {
      feed.flush();
    }
  }

  async sync(): Promise<void> {
    if (this.#opened === undefined || this.fatal !== undefined) return;
    await this.#opened.keeper.sync();
    this.#options.logSynced();
  }

  async flush(): Promise<void> {
    if (this.#session === undefined) return;
    const { server, confirms } = this.#options;
    const confirm = (lsn: Lsn): void => {
      confirms(lsn);
      server.confirm(lsn);
    };
    await this.#opened!.keeper.flush({ confirm } as unknown as ReplicationStream);
  }

  async look(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const { name } = this.#settings.publication;
    const { server } = this.#options;
    server.completeMembers(name);
    await this.#looks.again(session.looking);
    this.#options.looked();
    // It is made anew at the next connection.
    if (!server.state.publications.has(name)) this.#session = undefined;
  }

  /** What nobody needs goes, as the disk budget would have it. */
  async retain(): Promise<void> {
    const { log } = this.#opened ?? {};
    if (log === undefined || this.fatal !== undefined) return;
    await log.retain(this.#signals.lowestSettled()?.offset ?? 0, Date.now() + 1000);
  }

  acceptGaps(): void {
    const { gaps } = this.#options.store;
    for (const { id } of gaps.unaccepted(DATABASE)) gaps.accept(DATABASE, id, new Date());
    this.#gaps.refresh();
  }

  isHalted(slot: number): boolean {
    return this.#signals.isHalted(slot);
  }

  async end({ killed }: { readonly killed: boolean }): Promise<void> {
    for (const sink of this.sinks) await sink.end({ killed });
    const log = this.#opened?.log;
    if (!killed && this.#session !== undefined) {
      await this.sync();
      await this.flush();
    }
    this.#session = undefined;
    if (log === undefined) return;
    if (killed) Object.assign(log, { sync: () => Promise.reject(new Error('killed')) });
    await log.close().catch((error: unknown) => {
      if (!killed && this.fatal === undefined) throw error;
    });
    if (!killed) this.#options.logSynced();
  }
}

const STOPPED = Number.POSITIVE_INFINITY;

const batchOf = (bytes: Buffer): StreamBatch => ({
  bytes,
  count: 1,
  starts: Int32Array.of(0),
  ends: Int32Array.of(bytes.length),
  kinds: Uint8Array.of(0),
  oversizeBytes: 0,
});

const rowMessage = ({ oid, id, key }: Row): Buffer => insertMessage(oid, [String(id), String(key)]);

const relationOf = (id: number, table: string): Buffer =>
  relationMessage({
    id,
    schema: 'public',
    table,
    identity: 'd',
    columns: [
      { name: 'id', type: INT4 },
      { name: 'key', type: INT4, identity: true },
    ],
  });
