// What the answers to requests mean: where an attempt counts and where none does, who waits and tries again, what becomes a
// dead letter, what is given up. The sink only classifies. The backoff and its cap: core/retry.ts.
import type { SinkCounts } from '../../core/counts.ts';
import type { DeliveryError } from '../../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import { describeUnsendable, MISSING_OUTCOME, unsendableError } from './delivery-errors.ts';
import type { Answer } from './isolation.ts';
import { LatencyWindow } from './latency.ts';
import type { Outcomes } from './outcomes.ts';
import type { Pending, PendingTransaction } from './pending.ts';
import { HeldRequests, putInFront } from './held-requests.ts';
import type { RouteQueue } from './route-queue.ts';
import type { Unsettled } from './unsettled.ts';

export type ConclusionPorts = {
  readonly retry: RetryPolicy;
  readonly maxRetryCount: number | undefined;
  readonly unsettled: Unsettled;
  readonly outcomes: Outcomes;
  readonly counts: SinkCounts;
  /** Something may go again. */
  readonly dispatch: () => void;
  /** The same, of this route, where the messages of a failed request have waited. */
  readonly released: (queue: RouteQueue<Pending>) => void;
  /** Nothing may go any more: the sink ends here. */
  readonly broken: (error: unknown) => void;
  readonly warn: (event: string, fields: Record<string, unknown>) => void;
  /** Of what may happen a million times: once, then with how often. `kind`: what makes it the same. */
  readonly warnRepeated: (event: string, fields: Record<string, unknown>, kind?: string) => void;
  /** Never set back. */
  readonly nowMs: () => number;
  /** As Postgres' commit times. */
  readonly wallMs: () => number;
  readonly chance: () => number;
  /** For how long this thread has had nothing to do, in all. */
  readonly spareMs: () => number;
  /** As `wallMs`, finer, and never set: for comparing. */
  readonly unsetWallMs: () => number;
  /** A change of the stream is delivered, so long after its commit. */
  readonly live: (latencyMs: number) => void;
};

/** A request that has its answers. */
export type Concluded = {
  readonly queue: RouteQueue<Pending>;
  readonly batch: readonly Pending[];
  /** How often the route had rested when the request started. */
  readonly startedAt: number;
  readonly startedMs: number;
  /** Did messages wait for its lane? */
  readonly isWanted: boolean;
};

type Failed = { readonly message: Pending; readonly error: DeliveryError };

const MAX_NAMED_GROUPS = 10;

export class Conclusions {
  readonly latency = new LatencyWindow();
  readonly #ports: ConclusionPorts;
  readonly #unsettled: Unsettled;
  readonly #counts: SinkCounts;
  /** Unsettled messages that were refused themselves: each holds back its group. */
  readonly #failing = new Set<Pending>();
  readonly #backingOff = new Map<Pending, NodeJS.Timeout>();
  readonly #held: HeldRequests;
  #discardBelow = 0;
  /** A dead letter could not be kept. */
  #isBroken = false;
  #isStopped = false;

  constructor(ports: ConclusionPorts) {
    this.#ports = ports;
    this.#unsettled = ports.unsettled;
    this.#counts = ports.counts;
    this.#held = new HeldRequests(ports);
  }

  /** Groups held back by a message that failed. */
  blockedGroups(): string[] {
    const names = new Set<string>();
    for (const message of this.#failing) {
      names.add(message.group);
      if (names.size === MAX_NAMED_GROUPS) break;
    }
    return [...names];
  }

  /** An answer for each message of the request, in their order. */
  conclude({ queue, batch, startedAt, startedMs, isWanted }: Concluded, answers: readonly Answer[]): void {
    const delivered: Pending[] = [];
    const failed: Failed[] = [];
    let routeError: DeliveryError | undefined;
    let areAllKnown = true;
    for (let i = 0; i < batch.length; i++) {
      const message = batch[i]!;
      const answer = answers[i] ?? MISSING_OUTCOME;
      if (answer === 'unknown') {
        areAllKnown = false;
        continue;
      }
      if (answer === 'delivered') {
        delivered.push(message);
        continue;
      }
      if (answer.kind === 'fatal') this.#ports.outcomes.halted(answer);
      failed.push({ message, error: answer });
      if (answer.scope === 'route' || answer.scope === 'sink') routeError = answer;
    }
    this.#measure(queue, { startedMs, messages: delivered.length, routeError, isWanted });
    const wasDown = queue.isDown;
    if (delivered.length > 0 || (routeError === undefined && areAllKnown)) {
      queue.health.succeed(startedAt);
      if (wasDown && !queue.isDown) this.#sayUp(queue);
    }
    if (routeError !== undefined) this.#failRoute(queue, routeError, { startedAt, wasDown });
    this.#unsettled.room.countAsDown(queue, queue.isDown);
    this.#settleBatch(queue, delivered, failed);
    if (routeError === undefined || !queue.isDown) return;
    if (!wasDown) this.#unsettled.parkDown(queue);
    else this.#unsettled.parkProbe(batch);
  }

  /** What the request says of how many the route may have in flight, and how many it takes in a second. */
  #measure(
    { limit, pace }: RouteQueue<Pending>,
    request: {
      readonly startedMs: number;
      readonly messages: number;
      readonly routeError: DeliveryError | undefined;
      readonly isWanted: boolean;
    },
  ): void {
    const nowMs = this.#ports.nowMs();
    const { startedMs, messages, routeError, isWanted } = request;
    if (messages > 0) pace.delivered(messages, nowMs);
    if (routeError?.throttled === true) limit.throttled(pace.throttled(startedMs, nowMs), nowMs);
    else if (messages > 0)
      limit.answered({
        nowMs,
        tookMs: nowMs - startedMs,
        isWanted: isWanted && nowMs >= pace.nextMs,
        spareMs: this.#ports.spareMs(),
      });
    else if (routeError !== undefined) limit.failed(startedMs, nowMs);
  }

  /** These can never be sent on their route. */
  rejectUnsendable(queue: RouteQueue<Pending>, messages: readonly Pending[]): void {
    const limit = queue.route.limits.messageBytes;
    const dead = messages.map((message) => ({
      message,
      error: unsendableError(message, limit),
    }));
    for (const { message, error } of dead) {
      this.#ports.warnRepeated(describeUnsendable(message), { route: queue.id, hint: error.hint });
    }
    this.#settle([], dead);
  }

  /**
   * Gives up every message of the log before this offset, but those in requests: these are given up if their request
   * fails. Who calls has a record of it made before the cursor moves. Answers how many were given up at once.
   */
  discardBelow(offset: number): number {
    this.#discardBelow = offset;
    let count = 0;
    for (const message of this.#unsettled.all()) {
      if (message.offset >= offset) break;
      if (message.state !== 'sending') count += this.#discard(message);
    }
    return count;
  }

  /** Nothing is tried again from here on. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#backingOff.values()) clearTimeout(timer);
    this.#backingOff.clear();
    this.#held.stop();
  }

  #failRoute(
    queue: RouteQueue<Pending>,
    error: DeliveryError,
    { startedAt, wasDown }: { readonly startedAt: number; readonly wasDown: boolean },
  ): void {
    this.#counts.failedRequests++;
    const { retry, nowMs, chance, warnRepeated } = this.#ports;
    const now = nowMs();
    queue.health.fail(error, retry, { startedAt, nowMs: now, chance: chance() });
    const fields = { route: queue.id, code: error.code, hint: error.hint };
    if (queue.isDown && !wasDown) {
      // They wait with the others now, for a probe.
      this.#held.release(queue);
    }
    if (queue.isDown) this.#sayDown(queue, now, fields);
    else warnRepeated('request failed', fields, `request failed ${queue.id}`);
  }

  #sayDown(queue: RouteQueue<Pending>, now: number, fields: Record<string, unknown>): void {
    const line = queue.outage.failed(now, queue.health.retryAtMs);
    if (line === undefined) return;
    const { what, attempts, forMs } = line;
    const goesOn = { attempts, forMs, waiting: queue.unsettled };
    this.#ports.warn(`route is ${what}`, what === 'down' ? fields : { ...fields, ...goesOn });
  }

  #sayUp(queue: RouteQueue<Pending>): void {
    const line = queue.outage.recovered(this.#ports.nowMs());
    if (line === undefined) return;
    const { what, attempts, forMs } = line;
    this.#ports.warn(`route is ${what}`, { route: queue.id, attempts, forMs });
  }

  #settleBatch(queue: RouteQueue<Pending>, delivered: readonly Pending[], failed: readonly Failed[]): void {
    const dead: Failed[] = [];
    const again: Pending[] = [];
    const held: Pending[] = [];
    let heldBy: DeliveryError | undefined;
    let discarded = 0;
    for (const { message, error } of failed) {
      if (message.isOfTheLog && message.offset < this.#discardBelow) {
        discarded += this.#discard(message);
        continue;
      }
      if (error.kind === 'fatal' || error.scope !== 'message') {
        // What is throttled goes again as soon as the route's pace lets it.
        if (error.scope === 'group' || queue.isDown || error.throttled === true) {
          message.become('waiting');
          again.push(message);
        } else {
          held.push(message);
          heldBy = error;
        }
        continue;
      }
      // The only place where an attempt counts: the message itself was refused, by a request that went through.
      message.attempts++;
      const { maxRetryCount } = this.#ports;
      const exhausted = maxRetryCount !== undefined && message.attempts > maxRetryCount;
      if (error.kind === 'rejected' || exhausted) dead.push({ message, error });
      else this.#backOff(message, error, again);
    }
    if (discarded > 0) this.#ports.outcomes.discarded(discarded);
    this.#countInversions(delivered);
    if (heldBy !== undefined) this.#held.hold(queue, held, heldBy);
    this.#settle(delivered, dead);
    // What failed with its route, or was not tried, keeps its place at the front of the queue.
    putInFront(queue, again);
  }

  /**
   * A failing message holds back its own group only, and of that group only log offsets are kept. One that need not wait goes
   * to those of `again`, and keeps its place: the lane that it had is not given to a later one.
   */
  #backOff(message: Pending, error: DeliveryError, again: Pending[]): void {
    this.#counts.retried++;
    message.become('backing-off');
    this.#failing.add(message);
    const { retry, chance, dispatch, warnRepeated } = this.#ports;
    const wait = error.retryAfterMs ?? backoffMs(retry, message.attempts, chance());
    if (message.attempts === 1) {
      const fields = { position: message.idempotencyKey, code: error.code, hint: error.hint };
      warnRepeated('message failed', fields, `message failed ${error.code}`);
    }
    this.#unsettled.parkFollowers(message);
    // Refused while the sink stops: the next one begins with it.
    if (this.#isStopped) return;
    if (error.retryAfterMs === 0) {
      message.become('waiting');
      again.push(message);
      return;
    }
    const timer = setTimeout(() => {
      this.#backingOff.delete(message);
      message.become('waiting');
      putInFront(message.routeQueue, [message]);
      dispatch();
    }, wait);
    this.#backingOff.set(message, timer);
  }

  #countInversions(delivered: readonly Pending[]): void {
    for (const message of delivered) {
      if (message.previous === undefined) continue;
      const older = message.previous.message;
      if (delivered.includes(older)) continue;
      this.#counts.inversions++;
      this.#ports.warnRepeated('a later message of a group was accepted before an earlier one', {
        earlier: older.idempotencyKey,
        later: message.idempotencyKey,
      });
    }
  }

  #discard(message: Pending): number {
    clearTimeout(this.#backingOff.get(message));
    this.#backingOff.delete(message);
    message.become('settled');
    this.#leave(message);
    return message.settlesChange ? 1 : 0;
  }

  /**
   * Invariant 3: delivered, or kept as a dead letter and then settled. What was delivered is on record before any letter is
   * tried: whatever becomes of the letters, it is not sent again.
   */
  #settle(delivered: readonly Pending[], dead: readonly Failed[]): void {
    const now = this.#ports.nowMs();
    const wallMs = this.#ports.wallMs();
    const unsetWallMs = this.#ports.unsetWallMs();
    let transaction: PendingTransaction | undefined;
    let committedMs = 0;
    for (const message of delivered) {
      this.#counts.delivered++;
      this.#counts.bytes += message.jsonBytes;
      if (!message.isOfTheLog) continue;
      if (message.transaction !== transaction) {
        transaction = message.transaction;
        committedMs = Number(transaction.commitTimeUs) / 1000;
      }
      this.latency.add(now, wallMs - committedMs);
      // A row that a backfill has read is no live change.
      if (transaction.readUpTo === undefined) this.#ports.live(unsetWallMs - committedMs);
    }
    this.#settled(delivered);
    if (dead.length === 0) return;
    if (delivered.length > 0) this.#ports.outcomes.record();
    this.#settled(dead.filter((failed) => this.#isKept(failed)).map(({ message }) => message));
  }

  /** Keeps a dead letter. Where that fails the sink ends, and its message is as unsettled as it was. */
  #isKept({ message, error }: Failed): boolean {
    if (!this.#isBroken) {
      try {
        this.#ports.outcomes.deadLetter(message, error);
        if (message.letterId === 0) this.#counts.deadLettered++;
        return true;
      } catch (fault) {
        this.#isBroken = true;
        this.#ports.broken(fault);
      }
    }
    if (message.state === 'sending') message.become('waiting');
    return false;
  }

  #settled(messages: readonly Pending[]): void {
    if (messages.length === 0) return;
    for (const message of messages) message.become('settled');
    this.#ports.outcomes.settled(messages);
    for (const message of messages) this.#leave(message);
  }

  #leave(message: Pending): void {
    if (message.attempts > 0) this.#failing.delete(message);
    this.#unsettled.leave(message);
  }
}
