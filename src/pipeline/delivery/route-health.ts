// When a route rests, and when it is tried again: the rule alone. Time and chance are arguments.
//
// A failed request backs off its own messages, and its lane. The route rests only where nothing gets through, or where it asks
// for that itself: then one request at a time finds out whether it is back.
import type { DeliveryError } from '../../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';

/** Failed requests in a row, with no success in between, that mean that nothing gets through. */
export const FAILURES_UNTIL_DOWN = 5;
/** Throttled for so long without a success, it takes nothing. */
export const THROTTLED_UNTIL_DOWN_MS = 2000;
/** A route that is down is probed at least this often, unless it asks for another time itself: an outage must not outlive its end. */
export const MAX_PROBE_INTERVAL_MS = 10_000;
/** Of a route's lanes, at most one in so many rests after failed requests: failures here and there leave it most of its pace. */
const LANES_PER_RESTING_LANE = 4;

export type Failing = { readonly nowMs: number; readonly chance: number };

export class RouteHealth {
  /** Failed requests since the last one that got through. */
  failuresInRow = 0;
  /** How often it has rested since then; 0: it is up. */
  rests = 0;
  /** While down, the time (ms) of the next probe. */
  retryAtMs = 0;
  /** Why the last request failed, while nothing has got through since. */
  error: DeliveryError | undefined;
  /** Since when that is so. */
  failingSinceMs = 0;
  /** Has it said itself until when it rests? */
  #isAsked = false;

  get isDown(): boolean {
    return this.rests > 0;
  }

  /**
   * A request failed as a whole. `startedAt`: the rests that there had been when it started: one fault fails all requests in
   * flight, and makes the route rest once.
   */
  fail(
    error: DeliveryError,
    policy: RetryPolicy,
    { startedAt, nowMs, chance }: Failing & { readonly startedAt: number },
  ): void {
    if (this.failuresInRow === 0) this.failingSinceMs = nowMs;
    this.failuresInRow++;
    this.error = error;
    if (startedAt < this.rests) return;
    if (!this.#rests(error, nowMs)) return;
    this.rests++;
    this.#isAsked = error.retryAfterMs !== undefined;
    this.retryAtMs = nowMs + waitMs(error, policy, this.rests, chance);
  }

  #rests({ throttled, retryAfterMs }: DeliveryError, nowMs: number): boolean {
    if (this.isDown) return true;
    if (throttled === undefined) return this.failuresInRow >= FAILURES_UNTIL_DOWN;
    // It is given less (pace.ts), and rests only where it says until when, or takes nothing at all.
    return retryAfterMs !== undefined || nowMs - this.failingSinceMs >= THROTTLED_UNTIL_DOWN_MS;
  }

  /** A request, or a part of it, got through. What started before the route said until when it rests does not shorten that. */
  succeed(startedAt: number): void {
    if (this.#isAsked && startedAt < this.rests) return;
    this.#isAsked = false;
    this.failuresInRow = 0;
    this.rests = 0;
    this.error = undefined;
    this.retryAtMs = 0;
  }
}

/** How long the messages of a failed request wait whose route is up: each time longer. */
export const waitMs = (error: DeliveryError, policy: RetryPolicy, failures: number, chance: number): number =>
  error.retryAfterMs ?? Math.min(MAX_PROBE_INTERVAL_MS, backoffMs(policy, failures, chance));

/** May one more of a route's lanes rest? */
export const mayRestLane = (lanes: number, resting: number): boolean =>
  (resting + 1) * LANES_PER_RESTING_LANE <= lanes;
