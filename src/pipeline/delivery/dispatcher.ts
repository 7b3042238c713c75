// Delivery of one sink: sends what may go in batches, over the lanes of its routes. What an answer means: conclusions.ts.
import type { SinkCounts } from '../../core/counts.ts';
import type { Message } from '../../core/message.ts';
import type { RetryPolicy } from '../../core/retry.ts';
import type { Route, Sink } from '../../sinks/sink.ts';
import { parkedAhead, takeBatch, type Cut } from './batch.ts';
import { Conclusions } from './conclusions.ts';
import { thrownError } from './delivery-errors.ts';
import { blamesBatch, isolate, type Answer } from './isolation.ts';
import type { LatencyWindow } from './latency.ts';
import type { Outcomes } from './outcomes.ts';
import {
  COUNTED_MS,
  MAX_PARTIAL,
  MAX_PARTIAL_CROWDED,
  MAX_PARTIAL_READING,
  PartialRequests,
} from './partial-requests.ts';
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';
import type { Routes } from './routes.ts';
import type { Unsettled } from './unsettled.ts';

export type DispatcherSettings = {
  readonly ordered: boolean;
  readonly retry: RetryPolicy;
  readonly maxRetryCount: number | undefined;
  readonly batchSize: number | undefined;
};

export type DispatcherPorts = {
  readonly sink: Pick<Sink, 'deliver' | 'sizeOf'>;
  /** What is let in: messages enter there, and leave here. */
  readonly unsettled: Unsettled;
  readonly routes: Routes;
  /** Renders parked messages again, before a request is put together from them. Those that cannot be lack their payload from then on. */
  prepare(messages: readonly Pending[]): void | Promise<void>;
  readonly outcomes: Outcomes;
  readonly counts: SinkCounts;
  warn(event: string, fields: Record<string, unknown>): void;
  /** Of what may happen a million times: see `ConclusionPorts`. */
  warnRepeated(event: string, fields: Record<string, unknown>, kind?: string): void;
  /** Never set back: backoffs and deadlines. */
  nowMs(): number;
  /** As Postgres' commit times. */
  wallMs(): number;
  chance(): number;
  /** See `ConclusionPorts`. */
  spareMs(): number;
  /** See `ConclusionPorts`. */
  unsetWallMs(): number;
  live(latencyMs: number): void;
};

/** Requests in flight of one sink, whatever the number of its routes. */
export const MAX_LANES = 1024;

export class Dispatcher {
  readonly #ports: DispatcherPorts;
  readonly #counts: SinkCounts;
  readonly #unsettled: Unsettled;
  readonly #conclusions: Conclusions;
  readonly #cut: Cut;
  readonly #abort = new AbortController();
  readonly #partial = new PartialRequests();
  /** Is more to be let in right after this? */
  isReading = false;
  #routeTimer: NodeJS.Timeout | undefined;
  /** When it ends. */
  #lookAtMs = Infinity;
  #abortTimer: NodeJS.Timeout | undefined;
  #idle: (() => void) | undefined;
  #stopped: Promise<void> | undefined;
  #dispatchIsDue = false;
  #stopping = false;
  #lanesInUse = 0;
  #looks = 0;
  /** Requests in flight, and batches that are being rendered. */
  #atWork = 0;

  constructor(settings: DispatcherSettings, ports: DispatcherPorts) {
    const { sink, unsettled, outcomes, counts } = ports;
    const { retry, maxRetryCount } = settings;
    this.#ports = ports;
    this.#counts = counts;
    this.#unsettled = unsettled;
    this.#cut = {
      ordered: settings.ordered,
      maxCount: settings.batchSize ?? Infinity,
      sizeOf: (message) => sink.sizeOf(message),
    };
    this.#conclusions = new Conclusions({
      retry,
      maxRetryCount,
      unsettled,
      outcomes,
      counts,
      dispatch: () => this.dispatch(),
      released: (queue) => {
        this.#leave(queue);
        this.dispatch();
      },
      broken: (error) => {
        this.#stopping = true;
        outcomes.broken(error);
      },
      warn: (event, fields) => ports.warn(event, fields),
      warnRepeated: (event, fields, kind) => ports.warnRepeated(event, fields, kind),
      nowMs: () => ports.nowMs(),
      wallMs: () => ports.wallMs(),
      chance: () => ports.chance(),
      spareMs: () => ports.spareMs(),
      unsetWallMs: () => ports.unsetWallMs(),
      live: (latencyMs) => ports.live(latencyMs),
    });
  }

  /**
   * Sends what may go. Call it after a block was read: batches fill naturally. What is settled is recorded first, so that
   * a kill can repeat only requests in flight: not also those whose lanes are in use again.
   */
  dispatch(): void {
    if (this.#stopping) return;
    this.#ports.outcomes.record();
    const now = this.#ports.nowMs();
    const { routes } = this.#ports;
    let probeAt = Infinity;
    this.#looks++;
    const look = (queue: RouteQueue<Pending>): void => {
      queue.look(this.#looks);
      probeAt = Math.min(probeAt, queue.waitsUntilMs(now) ?? Infinity);
    };
    for (const queue of routes.fixed()) {
      while (!this.#isToFill(queue, now) && this.#sendNext(queue, now));
      if (queue.ready.length > 0 && this.#isToFill(queue, now))
        probeAt = Math.min(probeAt, queue.startedMs + COUNTED_MS);
      look(queue);
    }
    routes.turns.wakeDue(now);
    for (const queue of routes.turns.nowhere()) while (this.#sendNext(queue, now));
    for (const queue of routes.turns.full(now)) {
      if (!queue.isOpen && !routes.open.mayOpen(now)) continue;
      while (routes.turns.isFull(queue) && this.#sendNext(queue, now));
      look(queue);
    }
    let free = this.#partial.free(now, this.#mostPartial());
    for (const queue of this.#waiting(now)) {
      if (free <= 0 || (this.#lanesInUse >= MAX_LANES && !queue.hasFixedLanes)) break;
      if (this.#sendNext(queue, now)) free--;
      look(queue);
    }
    // Probes have their turns among the others, but are not counted: where they took all, the next look follows at once.
    if (free <= 0) probeAt = Math.min(probeAt, this.#partial.expiresMs ?? now);
    probeAt = Math.min(probeAt, routes.turns.wakeAtMs);
    if (!this.#stopping) this.#lookAgainAt(probeAt, now);
  }

  /** Or before that, where it was to be earlier once: a timer that is set is left as it is. */
  #lookAgainAt(atMs: number, nowMs: number): void {
    if (atMs >= this.#lookAtMs) return;
    clearTimeout(this.#routeTimer);
    this.#lookAtMs = atMs;
    this.#routeTimer = setTimeout(
      () => {
        this.#lookAtMs = Infinity;
        this.dispatch();
      },
      Math.max(1, atMs - nowMs),
    );
  }

  /**
   * Of what was let in so far of a block that is being read, the full requests to fixed routes: their messages are in the processor's cache
   * still. `dispatch` follows.
   */
  sendFull(): void {
    if (this.#stopping) return;
    const now = this.#ports.nowMs();
    const { routes, outcomes } = this.#ports;
    for (const queue of routes.fixed()) {
      if (!routes.turns.isFull(queue)) continue;
      outcomes.record();
      while (routes.turns.isFull(queue) && this.#sendNext(queue, now));
    }
  }

  /**
   * Starts nothing new, waits for what is in flight until `deadlineMs`, then aborts it: it will be sent again. Infinity: until it
   * is answered, or timed out by the sink. Called again, another deadline holds.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#abortTimer);
    clearTimeout(this.#routeTimer);
    this.#conclusions.stop();
    if (this.#atWork > 0 && deadlineMs !== Infinity) {
      const leftMs = Math.max(0, deadlineMs - this.#ports.nowMs());
      this.#abortTimer = setTimeout(() => this.#abort.abort(), leftMs);
    }
    await (this.#stopped ??= this.#untilIdle());
    clearTimeout(this.#abortTimer);
  }

  async #untilIdle(): Promise<void> {
    while (this.#atWork > 0) await new Promise<void>((done) => (this.#idle = done));
  }

  /** Messages: in requests without an answer, in memory, and those of which only the log offset is kept. */
  gauges(): { inFlight: number; buffered: number; parked: number } {
    const { inFlight, buffered, parked } = this.#unsettled.room;
    return { inFlight, buffered, parked };
  }
  /** Groups held back by a message that failed. */
  blockedGroups(): string[] {
    return this.#conclusions.blockedGroups();
  }
  get latency(): LatencyWindow {
    return this.#conclusions.latency;
  }
  /** Gives up what the log has before this offset: see `Conclusions.discardBelow`. */
  discardBelow(offset: number): number {
    const discarded = this.#conclusions.discardBelow(offset);
    for (const queue of this.#unsettled.room.idleRoutes) this.#leave(queue);
    this.#dispatchSoon();
    return discarded;
  }

  /** By row, and in their turn. Where no other may be opened, those that wait for that are not looked at: there may be thousands. */
  #waiting(nowMs: number): Iterable<RouteQueue<Pending>> {
    const { open, turns } = this.#ports.routes;
    if (open.hasPlace(nowMs)) return turns.waiting(nowMs);
    if (turns.isAnyClosed) open.mayOpen(nowMs);
    else open.areWantedByNobody();
    return open.all();
  }

  /**
   * Does the next request of a fixed route wait for what is read right after this, which fills it? As long as others have just begun there,
   * and are under way.
   */
  #isToFill(queue: RouteQueue<Pending>, nowMs: number): boolean {
    if (!this.isReading || queue.lanesInUse <= MAX_PARTIAL_READING || this.#unsettled.room.isFull())
      return false;
    if (nowMs - queue.startedMs >= COUNTED_MS) return false;
    // Those that wait in their groups may go with these.
    if (this.#cut.ordered && queue.route.keepsOrder) return false;
    return !this.#ports.routes.turns.isFull(queue);
  }

  /** Of requests that carry less than they could, to routes that rows decide. */
  #mostPartial(): number {
    const { room } = this.#unsettled;
    // Full ones find a lane, however long the answers take.
    if (room.isCrowded && this.#lanesInUse < MAX_LANES / 2) return MAX_PARTIAL_CROWDED;
    return this.isReading && !room.isFull() ? MAX_PARTIAL_READING : MAX_PARTIAL;
  }

  #mayStart(queue: RouteQueue<Pending>, nowMs: number): boolean {
    if (!queue.mayStart(nowMs)) return false;
    if (queue.isNowhere) return true;
    if (!queue.hasFixedLanes && this.#lanesInUse >= MAX_LANES) return false;
    return queue.isOpen || this.#ports.routes.open.mayOpen(nowMs);
  }

  /** Has it sent something, or found what can never be sent? */
  #sendNext(queue: RouteQueue<Pending>, nowMs: number): boolean {
    if (this.#stopping || !this.#mayStart(queue, nowMs) || !this.#isPrepared(queue)) return false;
    const isPartial = queue.isByRow && !queue.isDown && !this.#ports.routes.turns.isFull(queue);
    const { batch, unsendable } = takeBatch(queue, this.#cut);
    if (unsendable.length > 0) {
      this.#conclusions.rejectUnsendable(queue, unsendable);
      // What waited for them may be ready on a route that had its turn.
      this.#dispatchSoon();
    }
    if (batch.length > 0) void this.#send(queue, batch, { startedMs: nowMs, isPartial });
    else this.#leave(queue);
    return batch.length > 0 || unsendable.length > 0;
  }

  /** Is what the next request may carry in memory? If not, it is rendered, and the route waits for that. */
  #isPrepared(queue: RouteQueue<Pending>): boolean {
    const { room } = this.#unsettled;
    if (room.parked === 0) return true;
    const parked = parkedAhead(queue, this.#cut);
    if (parked.length === 0) return true;
    let prepared: void | Promise<void>;
    try {
      prepared = this.#ports.prepare(parked);
    } catch (error) {
      prepared = Promise.reject(error);
    }
    if (prepared === undefined) {
      for (const message of parked) room.recount(message);
      return true;
    }
    queue.isPreparing = true;
    this.#atWork++;
    void prepared
      .then(
        () => (queue.isPreparing = false),
        // It goes on preparing for ever: the sink ends here.
        (error: unknown) => this.#ports.outcomes.broken(error),
      )
      .finally(() => {
        for (const message of parked) room.recount(message);
        this.#atWork--;
        this.#ended();
      });
    return false;
  }

  async #send(
    queue: RouteQueue<Pending>,
    batch: readonly Pending[],
    { startedMs, isPartial }: { readonly startedMs: number; readonly isPartial: boolean },
  ): Promise<void> {
    if (queue.isByRow) this.#ports.routes.open.use(queue);
    const partial = isPartial ? this.#partial.started(startedMs) : undefined;
    const { rests: startedAt } = queue.health;
    queue.lanesInUse++;
    queue.startedMs = startedMs;
    queue.inFlight += batch.length;
    queue.pace.started(batch.length, startedMs);
    this.#unsettled.room.send(batch.length);
    this.#lanesInUse++;
    this.#atWork++;
    const { route } = queue;
    // Not by `#request`: every request would have a promise more.
    let answers: readonly Answer[];
    try {
      answers = await this.#deliver(batch, route);
    } catch (error) {
      answers = this.#unanswered(batch, error);
    }
    if (blamesBatch(answers)) answers = await isolate(batch, answers, (part) => this.#request(part, route));
    if (partial !== undefined) this.#partial.answered(partial);
    queue.lanesInUse--;
    queue.inFlight -= batch.length;
    this.#unsettled.room.inFlight -= batch.length;
    this.#lanesInUse--;
    this.#atWork--;
    const isWanted = queue.wasShortOfLanes(this.#looks);
    this.#conclusions.conclude({ queue, batch, startedAt, startedMs, isWanted }, answers);
    this.#leave(queue);
    this.#ended();
  }

  async #request(batch: readonly Message[], route: Route): Promise<readonly Answer[]> {
    try {
      return await this.#deliver(batch, route);
    } catch (error) {
      return this.#unanswered(batch, error);
    }
  }

  #deliver(batch: readonly Message[], route: Route): Promise<readonly Answer[]> {
    this.#counts.requests++;
    return this.#ports.sink.deliver(batch, this.#abort.signal, route);
  }

  #unanswered(batch: readonly Message[], error: unknown): readonly Answer[] {
    // Where a stop has ended it, nothing is wrong with the route.
    const answer = this.#abort.signal.aborted ? 'unknown' : thrownError(error);
    return batch.map(() => answer);
  }

  /** Something has ended there: it may be closed, if rows have named it. */
  #leave(queue: RouteQueue<Pending>): void {
    if (!queue.isByRow) return;
    const { open, turns } = this.#ports.routes;
    open.leave(queue, this.#ports.nowMs());
    if (!queue.isDown) turns.wake(queue);
  }

  #ended(): void {
    if (this.#atWork === 0) this.#idle?.();
    this.#dispatchSoon();
  }

  /** Once for all answers of this turn of the event loop. */
  #dispatchSoon(): void {
    if (this.#dispatchIsDue) return;
    this.#dispatchIsDue = true;
    setImmediate(() => {
      this.#dispatchIsDue = false;
      this.dispatch();
    });
  }
}
