// One sink following one log: reads blocks as long as there is room, says how it stands, and stops with everything in flight settled.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { steadyMs } from '../../core/clock.ts';
import { lastParted } from '../../core/partings.ts';
import type { TailraceError } from '../../core/errors.ts';
import type { Condition, SinkStatus } from '../../core/status.ts';
import type { PullPort } from '../../sinks/sink.ts';
import { asksOfOldRows } from '../intake/route-needs.ts';
import { assemble, createSink, layGround, type SinkParts } from './assembly.ts';
import { SinkCheck } from './check.ts';
import { conditionOf } from './conditions.ts';
import { meetDemand, SHED_INTERVAL_MS } from './load-shedding.ts';
import type { SinkOptions } from './options.ts';
import { idOf, openPlace, type SinkPlace } from './place.ts';
import { sinkStatus } from './status.ts';

/** Reading lets the sockets have a turn after this long. */
const TURN_MS = 5;
/** While a gap keeps it from reading: how often to look whether that is over. */
const DECIDED_INTERVAL_MS = 100;

export class SinkRunner {
  readonly #options: SinkOptions;
  readonly #place: SinkPlace;
  readonly #parts: SinkParts;
  /** Rejects when the sink cannot go on. */
  readonly #failed: Promise<never>;
  readonly #check = new SinkCheck();
  readonly #stopping = new AbortController();
  /** Set while it waits at a change. */
  #halted: Condition | undefined;
  #shedTimer: NodeJS.Timeout | undefined;

  private constructor(options: SinkOptions, place: SinkPlace, parts: SinkParts, failed: Promise<never>) {
    this.#options = options;
    this.#place = place;
    this.#parts = parts;
    this.#failed = failed;
  }

  /** Takes the sink's place and makes the sink; `run` does the rest. Throws where some changes would never have a route. */
  static async create(options: SinkOptions, makeSink = createSink): Promise<SinkRunner> {
    await refuseUnroutable(options);
    const place = await openPlace(options);
    try {
      const failed = Promise.withResolvers<never>();
      failed.promise.catch(() => undefined);
      const ground = layGround(place, failed.reject);
      const sink = await makeSink(options, ground);
      try {
        return new SinkRunner(options, place, assemble(options, sink, ground), failed.promise);
      } catch (error) {
        await sink.close();
        throw error;
      }
    } catch (error) {
      place.ledger.close();
      place.reader.close();
      throw error;
    }
  }

  /** Follows the log until `stop`. Rejects when the sink cannot go on; what is not settled stays so. */
  async run(): Promise<void> {
    const { settings, logger, signals, slot } = this.#options;
    const { sink, dispatcher, replays, rowRewinds, shedding, settlement, walker } = this.#parts;
    const { signal } = this.#stopping;
    void this.#check
      .untilFine(sink, { name: settings.name, retry: settings.retry, logger }, signal)
      .then(() => dispatcher.dispatch());
    replays.restart();
    rowRewinds.restart();
    settlement.watch();
    if (settings.loadShedding === 'discard') {
      const demand = { signals, slot, shedding, settlement, dispatcher, walker };
      this.#shedTimer = setInterval(() => meetDemand(demand), SHED_INTERVAL_MS);
    }
    await Promise.race([this.#follow(), this.#failed]);
  }

  /** There are dead letters to be sent again. */
  replay(): void {
    this.#parts.replays.restart();
  }

  /** There are rows to be sent again, or not any more. */
  rewindRows(): void {
    this.#parts.rowRewinds.restart();
  }

  /** While it stops: another deadline. */
  hurry(deadlineMs: number): void {
    const { sink, dispatcher } = this.#parts;
    // What waits for consumers is not waited for anyway.
    if (sink.pull === undefined) void dispatcher.stop(deadlineMs);
  }

  /** Settles what is in flight until the deadline (Infinity: until all is answered), saves the ledger, closes. */
  async stop(deadlineMs: number): Promise<void> {
    const { sink, dispatcher, replays, rowRewinds, settlement, walker } = this.#parts;
    this.#stopping.abort();
    settlement.stop();
    replays.stop();
    rowRewinds.stop();
    clearInterval(this.#shedTimer);
    // What waits for consumers may wait for hours; it is theirs again after the restart.
    await dispatcher.stop(sink.pull === undefined ? deadlineMs : 0);
    try {
      await rowRewinds.finish();
      await settlement.finish({ sync: walker.head.offset !== this.#place.offset });
    } finally {
      // Also where the ledger can still not be written.
      this.#place.reader.close();
      try {
        this.#place.ledger.close();
      } finally {
        await sink.close();
      }
    }
  }

  /** Of a sink whose consumers come to fetch. */
  get pull(): PullPort | undefined {
    return this.#parts.sink.pull;
  }

  status(): SinkStatus {
    const { settings, store, signals } = this.#options;
    return sinkStatus({
      settings,
      parts: this.#parts,
      condition: this.#halted ?? this.#check.condition,
      writtenEnd: signals.writtenEnd(),
      deadLetters: store.deadLetters.counts(idOf(this.#options)),
      rewinds: this.#place.rewinds,
    });
  }

  async #follow(): Promise<void> {
    const { intake, walker, dispatcher, settlement, restored, unsettled } = this.#parts;
    const { signals, slot, blocks } = this.#options;
    const { signal } = this.#stopping;
    let turnBeganMs = steadyMs();
    const between = (): void => dispatcher.sendFull();
    for await (const block of this.#place.reader.read(this.#place.readFrom, signal, blocks)) {
      if (signals.released() < block.blockEnd && !block.relationsOnly)
        await this.#rest(this.#untilReleased(block.blockEnd));
      if (signals.isHalted(slot) || this.#hasParted()) await this.#rest(this.#untilDecided());
      if (signal.aborted) break;
      const working = walker.block(block, signal, between);
      if (working !== undefined) await this.#rest(working);
      dispatcher.isReading = signals.writtenEnd() > block.blockEnd;
      dispatcher.dispatch();
      settlement.soon();
      if (intake.halt !== undefined) return await this.#rest(this.#untilHalted(intake.halt));
      restored.readTo(walker.head.position);
      if (unsettled.room.isFull()) await this.#rest(unsettled.room.untilRoom(signal));
      if (steadyMs() - turnBeganMs > TURN_MS) {
        await nextTurn();
        turnBeganMs = steadyMs();
      }
      if (signal.aborted) break;
    }
  }

  /** Nothing is read meanwhile: what waited for more goes as it is. */
  async #rest(waiting: Promise<void>): Promise<void> {
    const { dispatcher } = this.#parts;
    if (dispatcher.isReading) {
      dispatcher.isReading = false;
      dispatcher.dispatch();
    }
    await waiting;
  }

  /** It waits at a change: what came before is delivered first. Then rejects with what it waits at. */
  async #untilHalted(halt: TailraceError): Promise<void> {
    const { unsettled } = this.#parts;
    const { signal } = this.#stopping;
    this.#halted = conditionOf(halt, undefined);
    while (unsettled.oldest !== undefined && !signal.aborted)
      await sleep(DECIDED_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) throw halt;
  }

  /** The histories have parted since it took its place: what it takes next it takes from another one. */
  #hasParted(): boolean {
    return this.#options.signals.parted() !== lastParted(this.#place.partings);
  }

  /** A standby that is waited for has not replayed it; at a parting this runner ends, and what is lost is never let go. */
  async #untilReleased(offset: number): Promise<void> {
    const { signals } = this.#options;
    const { signal } = this.#stopping;
    while (signals.released() < offset && !this.#hasParted() && !signal.aborted)
      await signals.waitForRelease(offset, signal);
  }

  /**
   * A gap lies before what comes next, and nobody has accepted it: whoever supervises this sink stops it. Unless it is accepted
   * before that is noticed: then nobody would ever tell this runner to go on.
   */
  async #untilDecided(): Promise<void> {
    const { signals, slot } = this.#options;
    const { signal } = this.#stopping;
    while ((signals.isHalted(slot) || this.#hasParted()) && !signal.aborted)
      await sleep(DECIDED_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Where nobody can be asked it goes on. */
async function refuseUnroutable({ asker, settings }: SinkOptions): Promise<void> {
  if (asker === undefined || !asksOfOldRows(settings)) return;
  const fault = await asker()
    .then((asking) => asking.unroutable(settings))
    .catch(() => undefined);
  if (fault !== undefined) throw fault;
}
