// How many requests a route may have in flight: found, not configured. Pure: the clock is an argument.
//
// Lanes double as long as that brings more; what has been found is tried from time to time a step up and a step down. More is worth
// its lanes only where the messages answered grow with them: where they do not, requests wait at the destination instead of here.
// Compare the limiters of https://github.com/Netflix/concurrency-limits, and the power of a network (throughput over delay).

/** What a doubling, or a step, has to bring: throughput to grow with lanes to this power. 1: with them; 0: not at all. */
const WORTH = 0.35;
const STEP_UP = 1.25;
const STEP_DOWN = 0.8;
const LEAP_DOWN = 0.5;
/** Answer times above this many of the shortest, and some milliseconds, mean that requests wait there: no lane is added. */
const LONGEST_ANSWER = 3;
const ANSWER_SLACK_MS = 10;
/** What was found has become worse by so much: it is searched anew, from fewer. */
const WORSE = 0.7;
const SLOWER = 1.5;
const RETREAT = 0.7;
/** The shortest answer time is forgotten after this: the way there may have become longer. */
const SHORTEST_FOR_MS = 30_000;
/** A window is no shorter than this: of few answers nothing can be said. */
const MIN_WINDOW_MS = 10;
/** What has been found is looked at longer. */
const MIN_HELD_WINDOW_MS = 50;
/** Windows between two tries of what has been found; each that fails makes the next wait longer, up to `MAX_REST`. */
const REST = 4;
const MAX_REST = 64;
/** A window tells something of lanes only if a message was waiting for one at so many of its answers. */
const WANTED_SHARE = 0.8;

type Phase = 'searching' | 'holding' | 'up' | 'down';

/** One window: what was answered in it, from when on it counts. */
class Window {
  fromMs = 0;
  /** A change of lanes shows an answer time later. */
  countsFromMs = 0;
  answers = 0;
  wanted = 0;
  messages = 0;
  answerMs = 0;

  open(nowMs: number, settleMs: number): void {
    this.fromMs = nowMs;
    this.countsFromMs = nowMs + settleMs;
    this.answers = 0;
    this.wanted = 0;
    this.messages = 0;
    this.answerMs = 0;
  }
}

export type LaneBounds = { readonly first: number; readonly most: number };

export type Answered = {
  readonly nowMs: number;
  readonly tookMs: number;
  readonly messages: number;
  /** Is there a message that waits for a lane? */
  readonly isWanted: boolean;
};

export class LaneLimit {
  readonly #bounds: LaneBounds;
  #lanes: number;
  #phase: Phase = 'searching';
  readonly #window = new Window();
  #isOpen = false;
  /** Before the last change: messages a millisecond, and with how many lanes. 0: not known. */
  #before = { rate: 0, lanes: 0 };
  /** Mean answer time of what was found. */
  #heldAnswerMs = 0;
  #answerMs = 0;
  #shortestMs = Infinity;
  #shortestAtMs = 0;
  #rest = REST;
  #windowsLeft = REST;
  #nextTry: 'up' | 'down' = 'up';
  #isLimiting = false;

  /** `first` = `most`: they stay. */
  constructor(bounds: LaneBounds) {
    const first = Math.min(bounds.first, bounds.most);
    this.#bounds = { first, most: bounds.most };
    this.#lanes = first;
  }

  get lanes(): number {
    return this.#lanes;
  }
  /** Mean answer time of the last window, in milliseconds; 0: there was none. */
  get answerMs(): number {
    return this.#answerMs;
  }
  /** Did messages wait for lanes in the last window? */
  get isLimiting(): boolean {
    return this.#isLimiting;
  }
  get isAtMost(): boolean {
    return this.#lanes === this.#bounds.most;
  }
  get isFixed(): boolean {
    return this.#bounds.first === this.#bounds.most;
  }

  /** A request got through. */
  answered({ nowMs, tookMs, messages, isWanted }: Answered): void {
    if (tookMs < this.#shortestMs || nowMs - this.#shortestAtMs > SHORTEST_FOR_MS) {
      this.#shortestMs = tookMs;
      this.#shortestAtMs = nowMs;
    }
    const window = this.#window;
    if (!this.#isOpen) {
      this.#isOpen = true;
      window.open(nowMs, 0);
      return;
    }
    if (nowMs < window.countsFromMs) return;
    window.answers++;
    window.messages += messages;
    window.answerMs += tookMs;
    if (isWanted) window.wanted++;
    const leastMs = Math.max(
      this.#phase === 'searching' ? MIN_WINDOW_MS : MIN_HELD_WINDOW_MS,
      window.answerMs / window.answers,
    );
    if (window.answers < this.#lanes || nowMs - window.countsFromMs < leastMs) return;
    this.#close(nowMs);
  }

  /** The destination takes less than it is given: it gets this share. */
  throttled(share: number, nowMs: number): void {
    if (this.isFixed || share >= 1) return;
    this.#change('searching', Math.floor(this.#lanes * share), 0, nowMs);
  }

  #close(nowMs: number): void {
    const { answers, wanted, messages, answerMs, countsFromMs } = this.#window;
    const rate = messages / (nowMs - countsFromMs);
    this.#answerMs = answerMs / answers;
    this.#isLimiting = wanted >= answers * WANTED_SHARE;
    if (this.isFixed || !this.#isLimiting) {
      // It says nothing of lanes, and what was known before is of another load.
      if (this.#phase === 'up' || this.#phase === 'down') this.#lanes = this.#before.lanes;
      if (this.#phase !== 'searching') this.#phase = 'holding';
      this.#before = { rate: 0, lanes: 0 };
      this.#window.open(nowMs, 0);
      return;
    }
    this.#judge(rate, nowMs);
  }

  #judge(rate: number, nowMs: number): void {
    const { rate: rateBefore, lanes: lanesBefore } = this.#before;
    const isWorth = rateBefore === 0 || rate >= rateBefore * (this.#lanes / lanesBefore) ** WORTH;
    switch (this.#phase) {
      case 'searching':
        if (!isWorth) return this.#hold(lanesBefore, rateBefore, nowMs);
        if (!this.#mayGrow) return this.#hold(this.#lanes, rate, nowMs);
        return this.#change('searching', this.#lanes * 2, rate, nowMs);
      case 'up':
        if (!isWorth) return this.#backTo(lanesBefore, nowMs);
        this.#rest = REST;
        return this.#change('searching', this.#lanes * 2, rate, nowMs);
      case 'down':
        if (!isWorth) return this.#backTo(lanesBefore, nowMs);
        this.#rest = REST;
        return this.#down(rate, nowMs);
      case 'holding':
        if (this.#heldAnswerMs === 0) this.#heldAnswerMs = this.#answerMs;
        else if (rate < rateBefore * WORSE && this.#answerMs > this.#heldAnswerMs * SLOWER)
          return this.#retreat(nowMs);
        if (--this.#windowsLeft > 0) return this.#hold(this.#lanes, rate, nowMs, this.#windowsLeft);
        return this.#try(rate, nowMs);
      default:
        return this.#phase satisfies never;
    }
  }

  get #mayGrow(): boolean {
    return !this.isAtMost && !this.#isSlow;
  }
  get #isSlow(): boolean {
    return this.#answerMs > this.#shortestMs * LONGEST_ANSWER + ANSWER_SLACK_MS;
  }

  #try(rate: number, nowMs: number): void {
    const direction = this.#nextTry;
    this.#nextTry = direction === 'up' ? 'down' : 'up';
    if (direction === 'up' && this.#mayGrow)
      return this.#change('up', Math.ceil(this.#lanes * STEP_UP), rate, nowMs);
    if (direction === 'down') return this.#down(rate, nowMs);
    return this.#hold(this.#lanes, rate, nowMs);
  }

  #down(rate: number, nowMs: number): void {
    if (this.#lanes === this.#bounds.first) return this.#hold(this.#lanes, rate, nowMs);
    const step = this.#isSlow ? LEAP_DOWN : STEP_DOWN;
    return this.#change('down', Math.floor(this.#lanes * step), rate, nowMs);
  }

  /** The way has become longer, or the destination slower: the shortest answer time is of another. */
  #retreat(nowMs: number): void {
    this.#shortestMs = Infinity;
    this.#nextTry = 'down';
    this.#rest = REST;
    this.#change('searching', Math.floor(this.#lanes * RETREAT), 0, nowMs);
  }

  #backTo(lanes: number, nowMs: number): void {
    this.#rest = Math.min(MAX_REST, this.#rest * 2);
    this.#hold(lanes, this.#before.rate, nowMs);
  }

  #hold(lanes: number, rate: number, nowMs: number, windows = this.#rest): void {
    if (this.#phase !== 'holding') this.#heldAnswerMs = 0;
    this.#phase = 'holding';
    this.#windowsLeft = windows;
    this.#before = { rate, lanes };
    this.#set(lanes, nowMs);
  }

  #change(phase: Phase, lanes: number, rate: number, nowMs: number): void {
    this.#phase = phase;
    this.#before = { rate, lanes: this.#lanes };
    this.#set(lanes, nowMs);
  }

  #set(lanes: number, nowMs: number): void {
    const { first, most } = this.#bounds;
    const isNew = lanes !== this.#lanes;
    this.#lanes = Math.max(first, Math.min(most, lanes));
    this.#window.open(nowMs, isNew ? this.#answerMs : 0);
  }
}
