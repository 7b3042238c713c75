// One sink following one log: reads blocks, lets messages in, remembers what settled, says how it stands.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TransactionContext } from '../../core/change.ts';
import { TailraceError, type DeliveryError } from '../../core/errors.ts';
import type { SinkGap, SinkStatus } from '../../core/status.ts';
import type { Envelope } from '../../formats/format.ts';
import { formats } from '../../formats/registry.ts';
import { compileValue } from '../../postgres/values/values.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { PullPort, Sink } from '../../sinks/sink.ts';
import { leaseFileOf, openLeaseStore } from '../../store/leases.ts';
import { keepDeadLetter } from './dead-letter-store.ts';
import { Dispatcher } from '../delivery/dispatcher.ts';
import { LoadShedding, SHED_INTERVAL_MS } from './load-shedding.ts';
import { LogWalker } from '../intake/log-walker.ts';
import type { Pending } from '../delivery/pending.ts';
import { RowIntake } from '../intake/row-intake.ts';
import { Replays } from './replays.ts';
import { Settlement } from './settlement.ts';
import { SinkCheck } from './check.ts';
import { SinkMarkers } from '../intake/markers.ts';
import { idOf, openPlace, type PlaceOptions, type SinkPlace } from './place.ts';
import { sinkStatus } from './status.ts';
import { TableBarriers } from '../delivery/table-order.ts';
import { compileTablePlan } from '../intake/table-plan.ts';

/** Reading lets the sockets have a turn after this long. */
const TURN_MS = 5;

export type SinkRunnerOptions = PlaceOptions & {
  readonly envelope: Envelope;
  /** What idempotency keys of this stream begin with. */
  readonly streamKey: string;
  /** May markers in the log make this sink skip changes? */
  readonly heedsSkips: boolean;
};

export class SinkRunner {
  readonly #options: SinkRunnerOptions;
  readonly #stopping = new AbortController();
  readonly #dispatcher: Dispatcher;
  readonly #walker: LogWalker;
  readonly #markers: SinkMarkers;
  readonly #shedding: LoadShedding;
  #gaps: readonly SinkGap[];
  readonly #sink: Sink;
  readonly #place: SinkPlace;
  readonly #replays: Replays;
  readonly #barriers = new Map<string, TableBarriers<Pending>>();
  readonly #check = new SinkCheck();
  readonly #settlement: Settlement;
  #restoring = true;
  #roomMade: (() => void) | undefined;
  #shedTimer: NodeJS.Timeout | undefined;
  #fail!: (error: unknown) => void;
  readonly #failed: Promise<never>;

  private constructor(options: SinkRunnerOptions, sink: Sink, place: SinkPlace) {
    this.#options = options;
    this.#sink = sink;
    this.#place = place;
    const { settings, store } = options;
    this.#failed = new Promise((_, reject) => (this.#fail = reject));
    this.#failed.catch(() => undefined);
    this.#dispatcher = new Dispatcher(
      {
        ordered: settings.sameGroup === 'ordered',
        retry: settings.retry,
        maxRetryCount: settings.maxRetryCount,
        batchSize: settings.batchSize,
        lanesPerRoute: settings.lanesPerRoute,
        maxBuffered: settings.maxBuffered,
        maxParked: settings.maxParked,
      },
      {
        sink,
        render: (message) =>
          message.letterId === 0 ? intake.renderParked(message) : this.#replays.render(message),
        keepDeadLetter: (message, error) => this.#keepDeadLetter(message, error),
        remember: (messages) => this.#remember(messages),
        record: () => this.#settlement.record(),
        discarded: (changes) => this.#shedding.count(changes),
        changed: () => this.#changed(),
        halt: (error) => this.#fail(haltError(settings.name, error)),
        warn: (event, fields) => options.logger.warn({ sink: settings.name, ...fields }, event),
        nowMs: () => Date.now(),
        chance: () => Math.random(),
      },
    );
    this.#markers = new SinkMarkers({
      sink: settings.name,
      heedsSkips: options.heedsSkips,
      keep: (skipped) => store.skipped.add(idOf(options), skipped),
      logger: options.logger,
    });
    this.#shedding = new LoadShedding({
      sink: settings.name,
      keep: (gap) => {
        this.#gaps = store.sinks.addGap(idOf(options), gap, new Date());
      },
      logger: options.logger,
    });
    this.#gaps = place.gaps;
    const intake = new RowIntake({
      markers: this.#markers,
      dispatcher: this.#dispatcher,
      compile: (relation) => compileTablePlan(relation, settings, this.#planPorts()),
      isDone: (transaction, index, offset) => this.#isDone(transaction, index, offset),
      readFrames: (offset, length) => place.reader.readFrames(offset, length),
      staysLong: sink.pull !== undefined,
    });
    this.#walker = new LogWalker(options.streamKey, { ...place.start, offset: place.offset }, intake);
    this.#settlement = new Settlement({
      ledger: place.ledger,
      signals: options.signals,
      slot: options.slot,
      dispatcher: this.#dispatcher,
      head: () => this.#walker.head,
      isRestored: () => !this.#restoring,
      beforeMove: ({ cursor, offset }) => {
        this.#markers.write();
        this.#shedding.record({ endLsn: cursor.endLsn, offset });
      },
      fail: (error) => this.#fail(error),
    });
    this.#replays = new Replays({
      id: idOf(options),
      letters: store.deadLetters,
      sink,
      dispatcher: this.#dispatcher,
      grouped: settings.messageGrouping,
      maxParked: settings.maxParked,
      barriers: (schema, table) => this.#barriersOf(schema, table),
      rate: () => store.sinks.find(idOf(options))?.replayRate,
      fail: (error) => this.#fail(error),
      nowMs: () => Date.now(),
    });
  }

  /** Takes the sink's place and makes the sink; `run` does the rest. */
  static async create(options: SinkRunnerOptions): Promise<SinkRunner> {
    const { settings, logger } = options;
    const place = await openPlace(options);
    try {
      const definition = sinkDefinition(settings.destination.type);
      if (definition === undefined) throw new Error(`there is no sink type ${settings.destination.type}`);
      const { name, actions } = settings;
      const pull = {
        openLeases: () => openLeaseStore(leaseFileOf(options.ledgerFile)),
        remembered: () => runner.#settlement.recorded(),
      };
      const sink = await definition.create(settings.destination.config, {
        name,
        actions,
        rewinds: place.rewinds,
        logger,
        pull,
      });
      const runner = new SinkRunner(options, sink, place);
      return runner;
    } catch (error) {
      place.ledger.close();
      place.reader.close();
      throw error;
    }
  }

  /** Follows the log until `stop`. Rejects when the sink cannot go on; what is not settled stays so. */
  async run(): Promise<void> {
    const { settings, logger } = this.#options;
    const { signal } = this.#stopping;
    void this.#check
      .untilFine(this.#sink, { name: settings.name, retry: settings.retry, logger }, signal)
      .then(() => this.#dispatcher.dispatch());
    this.#replays.restart();
    if (settings.loadShedding === 'discard') {
      this.#shedTimer = setInterval(() => this.#shed(), SHED_INTERVAL_MS);
    }
    await Promise.race([this.#follow(), this.#failed]);
  }

  /** There are dead letters to be sent again. */
  replay(): void {
    this.#replays.restart();
  }

  /** Settles what is in flight until the deadline, saves the ledger, closes. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping.abort();
    this.#settlement.stop();
    this.#replays.stop();
    clearInterval(this.#shedTimer);
    this.#roomMade?.();
    // What waits for consumers may wait for hours; it is theirs again after the restart.
    await this.#dispatcher.stop(this.#sink.pull === undefined ? deadlineMs : 0);
    try {
      await this.#settlement.finish({ sync: this.#walker.head.offset !== this.#place.offset });
    } finally {
      this.#place.ledger.close();
      this.#place.reader.close();
      await this.#sink.close();
    }
  }

  /** Of a sink whose consumers come to fetch. */
  get pull(): PullPort | undefined {
    return this.#sink.pull;
  }

  status(): SinkStatus {
    const { settings, store, signals } = this.#options;
    return sinkStatus({
      settings,
      pull: this.#sink.pull?.status(),
      condition: this.#check.condition,
      dispatcher: this.#dispatcher,
      settled: this.#settlement.current,
      markers: this.#markers.status(),
      writtenEnd: signals.writtenEnd(),
      deadLetters: store.deadLetters.counts(idOf(this.#options)),
      place: { rewinds: this.#place.rewinds, gaps: this.#gaps },
      shedding: this.#shedding.condition(),
      nowMs: Date.now(),
    });
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    let turnBeganMs = performance.now();
    for await (const block of this.#place.reader.read(this.#place.readFrom, signal)) {
      this.#walker.block(block);
      this.#dispatcher.dispatch();
      this.#settlement.soon();
      if (this.#restoring) this.#restoring = !this.#place.ledger.isPastRestored(this.#walker.head.position);
      if (this.#dispatcher.isFull()) await this.#room();
      if (performance.now() - turnBeganMs > TURN_MS) {
        await nextTurn();
        turnBeganMs = performance.now();
      }
      if (signal.aborted) break;
    }
  }

  #isDone(transaction: TransactionContext, index: number, offset: number): boolean {
    if (this.#restoring && this.#place.ledger.wasSettled(transaction.epoch, transaction.commitLsn, index)) {
      return true;
    }
    if (offset >= this.#shedding.below) return false;
    this.#shedding.count(1);
    this.#dispatcher.counters.discarded++;
    return true;
  }

  /** Gives up what the source demands, for the log's budget. */
  #shed(): void {
    const { signals, slot } = this.#options;
    const { cursor, offset } = this.#settlement.current;
    const below = signals.shedBelow(slot);
    if (below <= offset || !this.#shedding.demand(below, cursor.endLsn)) return;
    this.#shedding.count(this.#dispatcher.discardBelow(below));
    this.#settlement.soon();
  }

  async #room(): Promise<void> {
    while (!this.#dispatcher.hasRoomAgain() && !this.#stopping.signal.aborted) {
      await new Promise<void>((done) => (this.#roomMade = done));
    }
    this.#roomMade = undefined;
  }

  #changed(): void {
    if (this.#roomMade !== undefined && this.#dispatcher.hasRoomAgain()) this.#roomMade();
    this.#settlement.soon();
  }

  #remember(messages: readonly Pending[]): void {
    const ofTheLog = this.#replays.settled(messages);
    const isSplit = ofTheLog.some(({ split }) => split !== undefined);
    const changes = isSplit ? ofTheLog.filter((message) => message.settlesChange()) : ofTheLog;
    if (changes.length > 0) this.#settlement.remember(changes);
  }

  #keepDeadLetter(message: Pending, error: DeliveryError): void {
    const isReplayed = message.letterId !== 0;
    if (isReplayed) this.#replays.refused(message, error);
    else keepDeadLetter(message, error, { ...this.#options, encoding: this.#sink.encoding });
    this.#options.logger.error(
      {
        sink: this.#options.settings.name,
        change: message.idempotencyKey,
        code: error.code,
        hint: error.hint,
      },
      isReplayed ? 'a replayed dead letter was refused again' : 'dead letter',
    );
  }

  #barriersOf(schema: string, table: string): TableBarriers<Pending> {
    const name = JSON.stringify([schema, table]);
    const known = this.#barriers.get(name) ?? new TableBarriers<Pending>();
    this.#barriers.set(name, known);
    return known;
  }

  #planPorts(): Parameters<typeof compileTablePlan>[2] {
    const { settings, envelope } = this.#options;
    const format = formats[settings.format];
    const { zonelessTimestampZ } = format;
    return {
      sink: this.#sink,
      format,
      envelope,
      compileValue: (type, relation) =>
        compileValue(type, relation.types, { ...settings.values, zonelessTimestampZ }),
      routeQueue: (route) => this.#dispatcher.routeQueue(route),
      barriers: (schema, table) => this.#barriersOf(schema, table),
    };
  }
}

const haltError = (sink: string, error: DeliveryError): TailraceError =>
  new TailraceError(`sink "${sink}" halts: ${error.code}`, {
    code: error.code,
    kind: 'fatal',
    hint: error.hint,
  });
