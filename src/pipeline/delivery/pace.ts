// How many messages a second a route may be given, where it has said that it takes less. Pure: the clock is an argument.
//
// Lanes alone cannot obey a limit: one at 0.2 ms between request and answer is 5,000 requests a second. Without a limit there is no
// pace. When the destination throttles, the pace falls below what it took, and comes back the way CUBIC does
// (https://www.rfc-editor.org/rfc/rfc9438): fast at first, flat around where it was throttled, then ever faster.

/** Throttled, the pace falls to this share; throttled again at once, it was still too high, and falls further. */
const FALLS: readonly number[] = [0.93, 0.85, 0.5];
const SOON_MS = 1000;
/** In this time it is back where it was throttled. */
const RETURN_MS = 5000;
/** From there on it is twice as much after this, and sixteen times after twice that. */
const DOUBLES_MS = 4000;
/** No pace is slower than a request in this time, however many messages it has: it finds out whether more is taken. */
const LONGEST_WAIT_MS = 1000;
/** Sent at once after a pause: this much of the pace, so that a timer's grain loses nothing. */
const BURST_MS = 5;
/** What was taken is counted over about this time, and never over a pause: more than this many times what its messages took. */
const COUNT_MS = 100;
const PAUSE = 4;
const SHORT_COUNT_MS = 10;
/** A pace of which no more than this share was needed, and for so long, bounds nothing any more. */
const UNUSED_SHARE = 0.5;
const UNUSED_MS = 60_000;
/** For so long after it was needed it is what holds a route back: a few of the slowest requests. */
const NEEDED_MS = 3 * LONGEST_WAIT_MS;

export class Pace {
  /** Messages a second, when it was last throttled, and what it fell to then. Undefined: there is no pace. */
  #fallen:
    { readonly from: number; readonly to: number; readonly atMs: number; readonly falls: number } | undefined;
  #nextMs = 0;
  /** The slowest pace: messages a second, where a request of as many as the last one goes in `LONGEST_WAIT_MS`. */
  #slowest = 1;
  #count = { fromMs: Number.NaN, messages: 0 };
  /** Messages a second that got through lately; undefined: it is not known. */
  #taken: number | undefined;
  /** Has anything got through since the pace fell? */
  #isTaking = false;
  #neededAtMs = 0;

  /** Messages a second; Infinity: as many as it takes. */
  at(nowMs: number): number {
    if (this.#fallen === undefined) return Infinity;
    const { from, to, atMs } = this.#fallen;
    // What could not fall has nowhere to come back to.
    const way = (nowMs - atMs) / RETURN_MS - (from > to ? 1 : 0);
    return way < 0 ? from + (from - to) * way ** 3 : from * 2 ** (((way * RETURN_MS) / DOUBLES_MS) ** 2);
  }

  /** Does it hold the route back? It may be far above what there is to send. */
  isNeeded(nowMs: number): boolean {
    return this.#fallen !== undefined && nowMs - this.#neededAtMs < NEEDED_MS;
  }

  /** Not before this may a request start. */
  get nextMs(): number {
    return this.#nextMs;
  }

  started(messages: number, nowMs: number): void {
    this.#slowest = (messages * 1000) / LONGEST_WAIT_MS;
    const pace = this.at(nowMs);
    if (pace === Infinity) return;
    const waitMs = Math.min(LONGEST_WAIT_MS, (messages * 1000) / pace);
    this.#nextMs = Math.max(this.#nextMs, nowMs - BURST_MS) + waitMs;
  }

  delivered(messages: number, nowMs: number): void {
    this.#isTaking = true;
    if (Number.isNaN(this.#count.fromMs)) this.#count.fromMs = nowMs;
    this.#count.messages += messages;
    const elapsedMs = nowMs - this.#count.fromMs;
    if (elapsedMs < COUNT_MS) return;
    const pace = this.at(nowMs);
    const isPause = elapsedMs > PAUSE * Math.max(COUNT_MS, (this.#count.messages * 1000) / pace);
    this.#taken = isPause ? undefined : (this.#count.messages * 1000) / elapsedMs;
    this.#count = { fromMs: nowMs, messages: isPause ? messages : 0 };
    if (this.#fallen === undefined) return;
    if (this.#taken !== undefined && this.#taken > pace * UNUSED_SHARE) this.#neededAtMs = nowMs;
    else if (nowMs - this.#neededAtMs > UNUSED_MS) this.#fallen = undefined;
  }

  /** `startedMs`: when the request started; those that were in flight together are throttled once. To which share has it fallen? */
  throttled(startedMs: number, nowMs: number): number {
    const last = this.#fallen;
    // What was on its way when the pace fell takes its share, too, as long as an answer takes.
    if (last !== undefined && startedMs - last.atMs < nowMs - startedMs) return 1;
    const before = Math.max(this.#slowest, this.#before(nowMs));
    // What is taken without a pace may be anything, for a moment.
    const falls = last === undefined ? FALLS.length : nowMs - last.atMs < SOON_MS ? last.falls + 1 : 1;
    const to = Math.max(this.#slowest, before * FALLS[Math.min(falls, FALLS.length) - 1]!);
    // Where nothing gets through, nothing is learnt of how much would.
    const from = last !== undefined && !this.#isTaking ? Math.max(last.from, before) : before;
    this.#fallen = { from, to, atMs: nowMs, falls };
    this.#isTaking = false;
    this.#neededAtMs = nowMs;
    this.#nextMs = nowMs + (LONGEST_WAIT_MS * this.#slowest) / to;
    return to / before;
  }

  /** What it was given, or has taken if that was far less: messages a second. */
  #before(nowMs: number): number {
    const pace = this.at(nowMs);
    const taken = this.#takenBy(nowMs);
    if (pace === Infinity) return taken ?? 0;
    return taken === undefined ? pace : Math.min(pace, taken / UNUSED_SHARE);
  }

  /** Of a route that has just begun, or begun again, what it has taken so far. */
  #takenBy(nowMs: number): number | undefined {
    const { fromMs, messages } = this.#count;
    if (messages === 0) return this.#taken;
    return Math.max(this.#taken ?? 0, (messages * 1000) / Math.max(SHORT_COUNT_MS, nowMs - fromMs));
  }
}
