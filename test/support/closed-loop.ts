// A client with lanes and a pace, a way, and a destination, over a clock of their own: what limits what, without a machine.
import { LaneLimit, type LaneBounds } from '../../src/pipeline/delivery/lane-limit.ts';
import { Pace } from '../../src/pipeline/delivery/pace.ts';

/** Messages of a request. */
export const BATCH = 10;

export class Clock {
  now = 0;
  readonly #events: { readonly atMs: number; readonly happen: () => void }[] = [];

  at(atMs: number, happen: () => void): void {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle]!.atMs <= atMs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, { atMs, happen });
  }

  runUntil(atMs: number): void {
    while (this.#events.length > 0 && this.#events[0]!.atMs <= atMs) {
      const { atMs: now, happen } = this.#events.shift()!;
      this.now = now;
      happen();
    }
    this.now = atMs;
  }
}

/** Serves one request after the other; takes so many messages a second, with a bucket of `burst`. */
export class Destination {
  serviceMs: number;
  perSecond: number;
  readonly #clock: Clock;
  readonly #burst: number;
  #freeAtMs = 0;
  #tokens: number;
  #tokensAtMs = 0;

  constructor(
    clock: Clock,
    {
      serviceMs = 0,
      perSecond = Infinity,
      burst = 0,
    }: { serviceMs?: number; perSecond?: number; burst?: number },
  ) {
    this.#clock = clock;
    this.serviceMs = serviceMs;
    this.perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** When it has an answer; undefined: throttled. */
  serve(): number | undefined {
    const { now } = this.#clock;
    if (this.perSecond !== Infinity) {
      const more = ((now - this.#tokensAtMs) * this.perSecond) / 1000;
      this.#tokens = Math.min(this.#burst, this.#tokens + more);
      this.#tokensAtMs = now;
      if (this.#tokens < BATCH) return undefined;
      this.#tokens -= BATCH;
    }
    this.#freeAtMs = Math.max(this.#freeAtMs, now) + this.serviceMs;
    return this.#freeAtMs;
  }
}

/** What senders of a process share: it does one thing after the other. */
export class Thread {
  #busyUntilMs = 0;
  #idleMs = 0;

  /** When it is done with what takes it so long. */
  work(nowMs: number, costMs: number): number {
    this.#idleMs += Math.max(0, nowMs - this.#busyUntilMs);
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs) + costMs;
    return this.#busyUntilMs;
  }

  /** For how long it has had nothing to do. */
  spareMs(nowMs: number): number {
    return this.#idleMs + Math.max(0, nowMs - this.#busyUntilMs);
  }
}

/** Always has something to send. `localMs`: what a request costs its thread; `spread`: of the way, about its mean. */
export class Sender {
  readonly limit: LaneLimit;
  readonly pace = new Pace();
  rttMs: number;
  delivered = 0;
  throttled = 0;
  /** Messages that it has now and then: undefined is always. */
  supply: number | undefined;
  readonly #clock: Clock;
  readonly #destination: Destination;
  localMs: number;
  readonly #spread: number;
  #random: number;
  #inUse = 0;
  readonly #thread: Thread;
  #isWaiting = false;

  constructor(
    clock: Clock,
    destination: Destination,
    options: {
      rttMs: number;
      localMs?: number;
      bounds?: LaneBounds;
      seed?: number;
      spread?: number;
      thread?: Thread;
    },
  ) {
    this.#clock = clock;
    this.#destination = destination;
    this.rttMs = options.rttMs;
    this.localMs = options.localMs ?? 0.15;
    this.#spread = options.spread ?? 0.25;
    this.#random = options.seed ?? 1;
    this.#thread = options.thread ?? new Thread();
    this.limit = new LaneLimit(options.bounds ?? { first: 8, most: 512 });
  }

  go(): void {
    while (this.#inUse < this.limit.lanes && this.supply !== 0) {
      const { now } = this.#clock;
      if (this.pace.nextMs > now) return this.#wait();
      if (this.supply !== undefined) this.supply--;
      this.#send(now);
    }
  }

  /** Timers are no finer than a millisecond. */
  #wait(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#clock.at(Math.max(this.#clock.now + 1, Math.ceil(this.pace.nextMs)), () => {
      this.#isWaiting = false;
      this.go();
    });
  }

  #send(startedMs: number): void {
    this.#inUse++;
    this.pace.started(BATCH, startedMs);
    const sentMs = this.#thread.work(startedMs, this.localMs);
    const wayMs = (this.rttMs * (1 + this.#spread * (2 * this.#chance() - 1))) / 2;
    this.#clock.at(sentMs + wayMs, () => {
      const servedMs = this.#destination.serve();
      this.#clock.at((servedMs ?? this.#clock.now) + wayMs, () =>
        this.#answered(startedMs, servedMs !== undefined),
      );
    });
  }

  #answered(startedMs: number, isDelivered: boolean): void {
    const { now } = this.#clock;
    this.#inUse--;
    if (isDelivered) {
      this.delivered += BATCH;
      this.pace.delivered(BATCH, now);
      const isWanted = this.supply !== 0 && this.pace.nextMs <= now;
      const spareMs = this.#thread.spareMs(now);
      this.limit.answered({ nowMs: now, tookMs: now - startedMs, isWanted, spareMs });
    } else {
      this.throttled++;
      this.limit.throttled(this.pace.throttled(startedMs, now), now);
    }
    this.go();
  }

  /** Numerical Recipes: the same numbers in every run. */
  #chance(): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#random / 2 ** 32;
  }
}

/** Messages a millisecond that a sender delivers from one moment to another. */
export function rateOf(clock: Clock, sender: Sender, fromMs: number, toMs: number): number {
  clock.runUntil(fromMs);
  const before = sender.delivered;
  clock.runUntil(toMs);
  return (sender.delivered - before) / (toMs - fromMs);
}
