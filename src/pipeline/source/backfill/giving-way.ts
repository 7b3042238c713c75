// How fast rows may be read beside live changes, so that those take no longer than they do without. Pure: the clock is an argument.
//
// Each kind of changes (of a sink; on their way into the log) leaves a pace (left-pace.ts), and the slowest of them holds. Now and then
// nothing is read for a moment, to learn what changes take then. Where nothing live comes there is no pace.
import { FIRST, LeftPace } from './left-pace.ts';

/** Of how long the judgement is. */
const WINDOW_MS = 200;
/** A pace of which no more was taken in so many of them is of no use: no pace is higher than this many times that. */
const TAKEN_WINDOWS = 5;
const UNUSED = 2;
/** Of whose changes none has come for so long, nothing is asked. */
const HEARD_MS = 5_000;
/** Where no change has come for so long, none is waited for. */
const QUIET_MS = 1_000;
/** Of a rest: until what was read is delivered, at most, without whoever else delivers, and at all; then, while samples are taken. */
const DRAIN_MS = 500;
const MOST_DRAIN_MS = 2_000;
const REST_MS = 250;
/** The first one, where something live comes; and before it is known whether it does. */
const FIRST_REST_MS = 1_000;
const LOOK_MS = 100;
/** From one rest to the next. */
const REST_INTERVAL_MS = 2_000;

/** By whom: what was in the log when the rest began; `by its sinks`: that get what is read, but others have not. */
export type Delivered = 'no' | 'by its sinks' | 'by all';

/** What has happened since the step before. */
export type Seen = {
  /** By who took them, how long live changes took; at rest, those alone that waited for nothing else. */
  readonly latencies: ReadonlyMap<number, readonly number[]>;
  /** Has the stream brought any? */
  readonly isLive: boolean;
  /** Rows that were read. */
  readonly rows: number;
  readonly delivered: Delivered;
};

type Phase =
  | { readonly is: 'free' }
  | { readonly is: 'reading'; readonly sinceMs: number }
  /** `fromMs`: since when what comes is what comes at rest. */
  | { readonly is: 'resting'; readonly sinceMs: number; readonly fromMs: number | undefined };

export class GivingWay {
  readonly #left = new Map<number, LeftPace>();
  readonly #heardAtMs = new Map<number, number>();
  #phase: Phase;
  #pace = FIRST;
  #taken: readonly number[] = [];
  #liveAtMs: number | undefined;
  #hasRested = false;
  #window: Window;

  /** It begins with a rest: an earlier one may have read. */
  constructor(nowMs: number) {
    this.#phase = { is: 'resting', sinceMs: nowMs, fromMs: undefined };
    this.#window = new Window(nowMs);
  }

  /** Reading goes on after a pause: what was known is known still, and what changes take meanwhile is looked at first. */
  resume(nowMs: number): void {
    this.#hasRested = false;
    this.#rest(nowMs);
    this.#window = new Window(nowMs);
  }

  /** Rows a second; Infinity: as fast as can be; 0: it rests. */
  get rowsPerSecond(): number {
    return this.#phase.is === 'resting' ? 0 : this.pace;
  }

  /** The same where a rest is left out. */
  get pace(): number {
    return this.#phase.is === 'free' || this.#liveAtMs === undefined ? Infinity : this.#pace;
  }

  /** To be called several times in a window. */
  step(nowMs: number, seen: Seen): void {
    if (seen.isLive) this.#liveAtMs = nowMs;
    switch (this.#phase.is) {
      case 'free':
        if (seen.isLive) this.#rest(nowMs);
        return;
      case 'resting':
        return this.#goOnResting(this.#phase, nowMs, seen);
      case 'reading':
        return this.#goOnReading(this.#phase, nowMs, seen);
      default:
        this.#phase satisfies never;
    }
  }

  #isQuiet(nowMs: number): boolean {
    return this.#liveAtMs === undefined || nowMs - this.#liveAtMs >= QUIET_MS;
  }

  #rest(nowMs: number): void {
    this.#phase = { is: 'resting', sinceMs: nowMs, fromMs: undefined };
  }

  #goOnResting(
    { sinceMs, fromMs }: Extract<Phase, { is: 'resting' }>,
    nowMs: number,
    { latencies, delivered }: Seen,
  ): void {
    if (fromMs === undefined) return this.#goOnDraining(sinceMs, nowMs, delivered);
    this.#window.add(latencies);
    const restMs = this.#hasRested ? REST_MS : FIRST_REST_MS;
    const isOver = this.#isQuiet(nowMs) || nowMs - fromMs >= restMs;
    if (isOver || nowMs - this.#window.sinceMs >= WINDOW_MS) this.#hasRestedFor(nowMs);
    if (!isOver) return;
    this.#hasRested ||= nowMs - fromMs >= restMs;
    this.#goOn(nowMs);
  }

  #hasRestedFor(nowMs: number): void {
    for (const [who, came] of this.#window.latencies) this.#of(who).rested(came, nowMs);
    this.#window = new Window(nowMs);
  }

  #goOnDraining(sinceMs: number, nowMs: number, delivered: Delivered): void {
    const forMs = nowMs - sinceMs;
    if (this.#isQuiet(nowMs) && forMs >= LOOK_MS) return this.#goOn(nowMs);
    if (delivered === 'by all' || (delivered === 'by its sinks' && forMs >= DRAIN_MS)) {
      this.#phase = { is: 'resting', sinceMs, fromMs: nowMs };
      this.#window = new Window(nowMs);
    }
    // It was no rest.
    else if (forMs >= MOST_DRAIN_MS) this.#goOn(nowMs);
  }

  #goOn(nowMs: number): void {
    this.#phase = this.#isQuiet(nowMs) ? { is: 'free' } : { is: 'reading', sinceMs: nowMs };
    this.#window = new Window(nowMs);
  }

  #goOnReading(
    { sinceMs }: Extract<Phase, { is: 'reading' }>,
    nowMs: number,
    { latencies, rows }: Seen,
  ): void {
    if (this.#isQuiet(nowMs)) return void (this.#phase = { is: 'free' });
    const window = this.#window;
    window.rows += rows;
    window.add(latencies);
    if (nowMs - window.sinceMs < WINDOW_MS) return;
    this.#judge(window.latencies, (window.rows * 1000) / (nowMs - window.sinceMs), nowMs);
    this.#window = new Window(nowMs);
    if (nowMs - sinceMs >= REST_INTERVAL_MS) this.#rest(nowMs);
  }

  /** `taken`: rows a second that were read. */
  #judge(latencies: ReadonlyMap<number, readonly number[]>, taken: number, nowMs: number): void {
    this.#taken = [...this.#taken.slice(1 - TAKEN_WINDOWS), taken];
    const most = Math.max(FIRST, UNUSED * Math.max(...this.#taken));
    for (const [who, came] of latencies) {
      this.#of(who).judge(came, most, nowMs);
      this.#heardAtMs.set(who, nowMs);
    }
    const isHeard = (who: number): boolean => nowMs - (this.#heardAtMs.get(who) ?? -Infinity) < HEARD_MS;
    const left = [...this.#left]
      .filter(([who]) => isHeard(who))
      .map(([, { rowsPerSecond }]) => rowsPerSecond);
    this.#pace = Math.min(most, ...left);
  }

  #of(who: number): LeftPace {
    const known = this.#left.get(who) ?? new LeftPace();
    this.#left.set(who, known);
    return known;
  }
}

/** What came in it, by who took it. */
class Window {
  readonly sinceMs: number;
  readonly latencies = new Map<number, readonly number[]>();
  rows = 0;

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  add(latencies: Seen['latencies']): void {
    for (const [who, came] of latencies)
      this.latencies.set(who, [...(this.latencies.get(who) ?? []), ...came]);
  }
}
