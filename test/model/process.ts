// One life of the service in the model: the real start of a source (proof of belonging, gaps, looks, log, flush) against the
// pretended server, and the real places of its sinks.
import { TailraceError } from '../../src/core/errors.ts';
import { haltingGap } from '../../src/core/gaps.ts';
import type { Lsn } from '../../src/core/lsn.ts';
import { lastParted } from '../../src/core/partings.ts';
import { LOG_DISK_FULL } from '../../src/log/errors.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { GapKeeper } from '../../src/pipeline/source/gaps.ts';
import type { StartPlan } from '../../src/pipeline/source/history/plan.ts';
import { join as joinLog, partWhereFound, type JoinPorts } from '../../src/pipeline/source/joining.ts';
import { followedLog, openSourceLog, type SourceLog } from '../../src/pipeline/source/log.ts';
import { LookKeeper, type Looking } from '../../src/pipeline/source/looks.ts';
import type { SourceOptions } from '../../src/pipeline/source/options.ts';
import { provingServer, type Prepared, type ServerHistory } from '../../src/pipeline/source/start.ts';
import { SourceState } from '../../src/pipeline/source/status.ts';
import type { ReplicationStream } from '../../src/postgres/replication/stream.ts';
import { DATABASE, sourceOptions, type ProcessOptions } from './process-options.ts';
import { ModelSinks, type Following } from './process-sinks.ts';
import { isDiskFull } from './store.ts';
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
  #following: Following | undefined;
  readonly sinks: ModelSinks;
  /** Why it cannot go on as a process. */
  fatal: TailraceError | undefined;
  /** Why it is not connected. */
  waits: Error | undefined;
  #refused = false;

  constructor(options: ProcessOptions) {
    this.#options = options;
    const { store, sinks } = options;
    const unaccepted = store.gaps.unaccepted(DATABASE);
    for (const [slot, sink] of sinks.entries()) {
      this.#signals.setHolding(slot, true);
      this.#signals.setHalted(slot, haltingGap(unaccepted, sink, 'halt') !== undefined);
    }
    this.sinks = new ModelSinks(options, this.#signals);
    this.#source = sourceOptions(options, this.#signals);
    this.#state = new SourceState(this.#source.settings, () => 0);
    this.#gaps = new GapKeeper(this.#source, this.#state);
    this.#looks = new LookKeeper(this.#source, this.#gaps);
  }

  /** Has a server been refused, and none been found to be the log's since? */
  get isRefused(): boolean {
    return this.#refused && this.#opened?.proved !== true;
  }

  get isStreaming(): boolean {
    return this.#session !== undefined;
  }

  get isHalted(): boolean {
    return this.#options.sinks.some((_, slot) => this.#signals.isHalted(slot));
  }

  get #publication(): string {
    return this.#options.publication;
  }

  /** Connects, unless it is connected or over; and its sinks take their places, those that have none. */
  async connect(): Promise<void> {
    if (this.fatal !== undefined) return;
    if (this.#session === undefined) {
      await this.#trying(async () => {
        await this.#connect();
        this.waits = undefined;
      });
    }
    const following = this.#following;
    if (this.fatal === undefined && following !== undefined) {
      await this.#trying(() => this.sinks.open(following));
    }
  }

  /** The connection ends with what is thrown, and with some of it the process. */
  async #trying(work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#session = undefined;
      // As the session takes it.
      await this.#partWhereFound();
      if (error instanceof TailraceError && error.code === LOG_DISK_FULL) this.#opened?.budget.filled();
      if (!(error instanceof TailraceError) && !isDiskFull(error)) throw error;
      if (error instanceof TailraceError && error.mend === 'restart') this.fatal = error;
      else this.waits = error as Error;
      this.#refused ||= error instanceof TailraceError && error.code === 'HISTORY_PARTED';
    }
  }

  /** As a session that ends does; on a full disk it is for the next one. */
  async #partWhereFound(): Promise<void> {
    const opened = this.#opened;
    if (opened?.parts === undefined) return;
    const { epochChanged, parted } = this.#options;
    const logEnd = { ...opened.log.context };
    try {
      await partWhereFound(opened, this.#source);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      return;
    }
    epochChanged(logEnd);
    parted(opened.log.partings.at(-1)!.lsn);
  }

  async #connect(): Promise<void> {
    const { server, logSynced, looked } = this.#options;
    const prepared = this.#prepare();
    const history = this.#history();
    const client = server.client();
    const looking: Looking = { client, serverVersion: server.version * 10_000, server: serverOf(history) };
    const { opened, plan } = await provingServer(prepared, client, () =>
      this.#join(prepared, history, looking),
    );
    // A connection begins with the log on the disk.
    logSynced();
    // As `refreshTables` does with a publication of ours.
    server.completeMembers(this.#publication);
    await this.#looks.again(looking);
    looked();
    const { startLsn: from, confirmed } = plan;
    const publication = this.#publication;
    this.#session = { looking, stream: new ModelStream({ server, opened, publication, from, confirmed }) };
    this.#stopped = undefined;
    opened.streamed = true;
    this.#following ??= {
      log: followedLog(opened, this.#source.settings.slot.name, history),
      first: this.#first(),
    };
  }

  async #join(
    prepared: Prepared,
    history: ServerHistory,
    looking: Looking,
  ): Promise<{ readonly opened: SourceLog; readonly plan: StartPlan }> {
    const { logOpened, epochChanged, parted } = this.#options;
    if (this.#opened === undefined) {
      this.#opened = await openSourceLog(this.#source, this.#state, prepared, history);
      await logOpened(this.#opened.log.recovered.lastCommitLsn, this.#signals);
    }
    const opened = this.#opened;
    const { epoch } = opened;
    const partedBefore = lastParted(opened.log.partings);
    const logEnd = { ...opened.log.context };
    const joining = joinLog({
      opened,
      prepared,
      server: history,
      primary: { client: looking.client, target: { host: '127.0.0.1', port: 1 }, refused: [] },
      looking,
      ports: {
        options: this.#source,
        gaps: this.#gaps,
        looks: this.#looks,
        stopped: this.#stopped,
        isFollowedAlone: false,
      },
    });
    const plan = await joining.finally(() => {
      if (opened.epoch !== epoch) epochChanged(logEnd);
      const { partings } = opened.log;
      if (lastParted(partings) !== partedBefore) parted(partings.at(-1)!.lsn);
    });
    return { opened, plan };
  }

  #first(): ReadonlySet<string> {
    const { store, sinks } = this.#options;
    return store.sinks.met(
      DATABASE,
      sinks.map(({ name }) => name),
      new Date(),
    );
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

  /** The connection is gone. */
  disconnect(): void {
    this.#session = undefined;
  }

  /** Takes up to `count` messages of what the server sends. */
  async read(count: number): Promise<void> {
    const { stream } = this.#session ?? {};
    if (stream === undefined || this.#opened!.budget.spent) return;
    await this.#trying(() => stream.read(count, this.#options.logged));
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
    const { keeper } = this.#opened ?? {};
    if (keeper === undefined || this.fatal !== undefined) return;
    await this.#trying(async () => {
      await keeper.sync();
      this.#options.logSynced();
    });
  }

  async flush(): Promise<void> {
    if (this.#session === undefined) return;
    const { server, confirms } = this.#options;
    const confirm = (lsn: Lsn): void => {
      confirms(lsn);
      server.confirm(lsn);
    };
    await this.#trying(() => this.#opened!.keeper.flush({ confirm } as unknown as ReplicationStream));
  }

  async look(): Promise<void> {
    const { looking } = this.#session ?? {};
    if (looking === undefined) return;
    const { server, looked } = this.#options;
    server.completeMembers(this.#publication);
    await this.#trying(async () => {
      await this.#looks.again(looking);
      looked();
    });
    // It is made anew at the next connection.
    if (!server.state.publications.has(this.#publication)) this.#session = undefined;
  }

  /** What nobody needs goes, and what the disk has room for is known. */
  async budget(): Promise<void> {
    const { budget } = this.#opened ?? {};
    if (budget !== undefined && this.fatal === undefined) await budget.check(Date.now() + 1000);
  }

  acceptGaps(): void {
    const { gaps } = this.#options.store;
    try {
      for (const { id } of gaps.unaccepted(DATABASE)) gaps.accept(DATABASE, id, new Date());
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
    this.#gaps.refresh();
  }

  async end({ killed }: { readonly killed: boolean }): Promise<void> {
    await this.sinks.end({ killed });
    const log = this.#opened?.log;
    if (!killed && this.#session !== undefined) {
      await this.sync();
      await this.flush();
    }
    this.#session = undefined;
    if (log === undefined) return;
    if (killed) Object.assign(log, { sync: () => Promise.reject(new Error('killed')) });
    try {
      await log.close();
      if (!killed) this.#options.logSynced();
    } catch (error) {
      if (!killed && this.fatal === undefined && !isDiskFull(error)) throw error;
    }
  }
}

const serverOf = ({ systemIdentifier, current, switches }: ServerHistory): Looking['server'] => ({
  systemIdentifier,
  timeline: current,
  switches,
});
