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
/** No pace is slower: a request a second finds out whether it is better. */
const SLOWEST = 1;
/** Sent at once after a pause: this much of the pace, so that a timer's grain loses nothing. */
const BURST_MS = 5;
/** What was taken is counted over about this time. */
const COUNT_MS = 100;
const SHORT_COUNT_MS = 10;
/** A pace of which no more than this share was needed, and for so long, bounds nothing any more. */
const UNUSED_SHARE = 0.5;
const UNUSED_MS = 60_000;

export class Pace {
  /** Messages a second, when it was last throttled, and what it fell to then. Undefined: there is no pace. */
  #fallen:
    { readonly from: number; readonly to: number; readonly atMs: number; readonly falls: number } | undefined;
  #nextMs = 0;
  #count = { fromMs: Number.NaN, messages: 0 };
  /** Messages a second that got through lately. */
  #taken = 0;
  #neededAtMs = 0;

  /** Messages a second; Infinity: as many as it takes. */
  at(nowMs: number): number {
    if (this.#fallen === undefined) return Infinity;
    const { from, to, atMs } = this.#fallen;
    const way = (nowMs - atMs) / RETURN_MS - 1;
    return way < 0 ? from + (from - to) * way ** 3 : from * 2 ** (((way * RETURN_MS) / DOUBLES_MS) ** 2);
  }

  /** Not before this may a request start. */
  get nextMs(): number {
    return this.#nextMs;
  }

  started(messages: number, nowMs: number): void {
    const pace = this.at(nowMs);
    if (pace === Infinity) return;
    this.#nextMs = Math.max(this.#nextMs, nowMs - BURST_MS) + (messages * 1000) / pace;
  }

  delivered(messages: number, nowMs: number): void {
    if (Number.isNaN(this.#count.fromMs)) this.#count.fromMs = nowMs;
    this.#count.messages += messages;
    const elapsedMs = nowMs - this.#count.fromMs;
    if (elapsedMs < COUNT_MS) return;
    // After a pause the count is of the pause, too: then nothing is known.
    this.#taken = elapsedMs < 4 * COUNT_MS ? (this.#count.messages * 1000) / elapsedMs : 0;
    this.#count = { fromMs: nowMs, messages: 0 };
    if (this.#fallen === undefined) return;
    if (this.#taken > this.at(nowMs) * UNUSED_SHARE) this.#neededAtMs = nowMs;
    else if (nowMs - this.#neededAtMs > UNUSED_MS) this.#end();
  }

  /** `startedMs`: when the request started; those that were in flight together are throttled once. To which share has it fallen? */
  throttled(startedMs: number, nowMs: number): number {
    const last = this.#fallen;
    // What was on its way when the pace fell takes its share, too, as long as an answer takes.
    if (last !== undefined && startedMs - last.atMs < nowMs - startedMs) return 1;
    const pace = this.at(nowMs);
    const taken = this.#takenBy(nowMs);
    const from = Math.max(SLOWEST, pace === Infinity ? taken : Math.min(pace, taken / UNUSED_SHARE));
    // What is taken without a pace may be anything, for a moment.
    const falls = last === undefined ? FALLS.length : nowMs - last.atMs < SOON_MS ? last.falls + 1 : 1;
    const to = Math.max(SLOWEST, from * FALLS[Math.min(falls, FALLS.length) - 1]!);
    this.#fallen = { from, to, atMs: nowMs, falls };
    this.#neededAtMs = nowMs;
    this.#nextMs = nowMs + 1000 / to;
    return to / from;
  }

  /** Of a route that has just begun, what it has taken so far. */
  #takenBy(nowMs: number): number {
    const { fromMs, messages } = this.#count;
    if (messages === 0) return this.#taken;
    return Math.max(this.#taken, (messages * 1000) / Math.max(SHORT_COUNT_MS, nowMs - fromMs));
  }

  #end(): void {
    this.#fallen = undefined;
    this.#nextMs = 0;
  }
}
