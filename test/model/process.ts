// One life of the service in the model: the real start of a source (proof of belonging, gaps, looks, log, flush) against the
// pretended server, and the real places of its sinks.
import { TailraceError } from '../../src/core/errors.ts';
import { haltingGap } from '../../src/core/gaps.ts';
import type { Lsn } from '../../src/core/lsn.ts';
import { LogSignals } from '../../src/log/signals.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import { GapKeeper } from '../../src/pipeline/source/gaps.ts';
import { join as joinLog, type JoinPorts } from '../../src/pipeline/source/joining.ts';
import { followedLog, openSourceLog, type SourceLog } from '../../src/pipeline/source/log.ts';
import { LookKeeper, type Looking } from '../../src/pipeline/source/looks.ts';
import type { SourceOptions } from '../../src/pipeline/source/options.ts';
import type { Prepared, ServerHistory } from '../../src/pipeline/source/start.ts';
import { SourceState } from '../../src/pipeline/source/status.ts';
import type { ReplicationStream } from '../../src/postgres/replication/stream.ts';
import { DATABASE, silent, sourceOptions, type ProcessOptions } from './process-options.ts';
import { ModelSink } from './sink.ts';
import { ModelStream } from './stream.ts';

const SYSTEM_IDENTIFIER = '7000000000000000001';
const DATABASE_OID = 5;

type Session = { readonly looking: Looking; readonly stream: ModelStream };

export class ModelProcess {
  readonly #options: ProcessOptions;
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
    const { store, sinks } = options;
    const unaccepted = store.gaps.unaccepted(DATABASE);
    for (const [slot, sink] of sinks.entries()) {
      this.#signals.setHolding(slot, true);
      this.#signals.setHalted(slot, haltingGap(unaccepted, sink, 'halt') !== undefined);
    }
    this.#source = sourceOptions(options, this.#signals);
    this.#state = new SourceState(this.#source.settings, () => 0);
    this.#gaps = new GapKeeper(this.#source, this.#state);
    this.#looks = new LookKeeper(this.#source, this.#gaps);
  }

  get isStreaming(): boolean {
    return this.#session !== undefined;
  }

  get #publication(): string {
    return this.#options.publication;
  }

  /** Connects, unless it is connected or over. The first time its sinks begin. */
  async connect(): Promise<void> {
    if (this.fatal !== undefined || this.#session !== undefined) return;
    try {
      await this.#connect();
      this.waits = undefined;
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The connection ends with it; some faults end the process. */
  #failed(error: unknown): void {
    this.#session = undefined;
    if (!(error instanceof TailraceError)) throw error;
    if (error.mend === 'restart') this.fatal = error;
    else this.waits = error;
  }

  async #connect(): Promise<void> {
    const { server, logSynced, logOpened, epochChanged, looked } = this.#options;
    const prepared = this.#prepare();
    const history = this.#history();
    if (this.#opened === undefined) {
      this.#opened = await openSourceLog(this.#source, this.#state, prepared, history);
      logOpened(this.#opened.log.recovered.lastCommitLsn);
    }
    const opened = this.#opened;
    const client = server.client();
    const looking: Looking = { client, serverVersion: server.version * 10_000, server: serverOf(history) };
    const { epoch } = opened;
    const logEnd = { ...opened.log.context };
    const plan = await joinLog({
      opened,
      prepared,
      server: history,
      primary: { client, target: { host: '127.0.0.1', port: 1 } },
      looking,
      ports: {
        options: this.#source,
        gaps: this.#gaps,
        looks: this.#looks,
        stopped: this.#stopped,
        isFollowedAlone: false,
      },
    });
    // A connection begins with the log on the disk.
    logSynced();
    if (plan.epoch !== epoch) epochChanged(logEnd);
    // As `refreshTables` does with a publication of ours.
    server.completeMembers(this.#publication);
    await this.#looks.again(looking);
    looked();
    const { startLsn: from, confirmed } = plan;
    const publication = this.#publication;
    this.#session = { looking, stream: new ModelStream({ server, opened, publication, from, confirmed }) };
    this.#stopped = undefined;
    opened.streamed = true;
    if (this.sinks.length === 0) await this.#openSinks(opened, history);
  }

  #history(): ServerHistory {
    const { server } = this.#options;
    const { timeline: current, switches } = server.state;
    return { current, switches, systemIdentifier: SYSTEM_IDENTIFIER, walEnd: server.walEnd };
  }

  #prepare(): Prepared {
    const { server } = this.#options;
    const name = this.#publication;
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

  async #openSinks(log: SourceLog, history: ServerHistory): Promise<void> {
    const { sinks, store, logDirectory, ledgerDirectory, watcherOf } = this.#options;
    const names = sinks.map(({ name }) => name);
    const first = store.sinks.met(DATABASE, names, new Date());
    const opened: ModelSink[] = [];
    this.sinks = opened;
    for (const [slot, name] of names.entries()) {
      const place = {
        settings: { name, database: DATABASE, status: 'active', start: { from: 'default' } } as SinkSettings,
        logDirectory,
        log: followedLog(log, this.#source.settings.slot.name, history),
        signals: this.#signals,
        slot,
        ledgerFile: `${ledgerDirectory}/${name}.ledger`,
        newSinkStart: first.has(name) ? 'earliest' : 'end',
        onGap: 'halt',
        store,
        logger: silent,
      } as const;
      opened.push(await ModelSink.open(place, watcherOf(name)));
    }
  }

  /** The connection is gone. */
  disconnect(): void {
    this.#session = undefined;
  }

  /** Takes up to `count` messages of what the server sends. */
  read(count: number): void {
    const { stream } = this.#session ?? {};
    if (stream === undefined) return;
    try {
      stream.read(count, this.#options.logged);
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (!stream.isOver) return;
    this.#session = undefined;
    this.#stopped = {};
    this.waits = new TailraceError('decoding stopped', {
      code: 'DECODING_STOPPED',
      kind: 'fatal',
      mend: 'retry',
    });
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
    const { looking } = this.#session ?? {};
    if (looking === undefined) return;
    const { server, looked } = this.#options;
    server.completeMembers(this.#publication);
    await this.#looks.again(looking);
    looked();
    // It is made anew at the next connection.
    if (!server.state.publications.has(this.#publication)) this.#session = undefined;
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

const serverOf = ({ systemIdentifier, current, switches }: ServerHistory): Looking['server'] => ({
  systemIdentifier,
  timeline: current,
  switches,
});
