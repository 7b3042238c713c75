// How many requests a route may have in flight: found, not configured. Pure: the clock is an argument.
//
// By Little's law what is under way is throughput by answer time. Where nothing waits, answers take as long as the way and the work;
// so lanes for the throughput that there is, at that answer time and somewhat more, are enough: all others only wait, there or here.
// While nothing waits, lanes double. As BBR has it for a path: https://datatracker.ietf.org/doc/draft-ietf-ccwg-bbr/

/** Answers may take so many times as long as those that wait nowhere: what holds up some of them leaves no lane unused. */
const HEADROOM = 1.75;
/** And so much longer, the pauses of a process at either end: of a near one, which is as often awaited as it waits, they are the most. */
const PAUSES_MS = 8;
/** So many times that is slow: do fewer lanes not help, the way has become longer. */
const SLOW = 1.3;
/** For less than this there are no more: what another sender leaves for a moment is not taken from it. */
const WORTH_MORE = 1.15;
/** And there are these: with them two routes to one destination become alike. */
const MORE = 4;
/** Up to so many times the answer time of requests that wait nowhere, and half of the pauses, they wait nowhere. */
const NO_QUEUE = 1.25;
/** Lanes of a window, in those of the one before. */
const MOST_GROWTH = 2;
const MOST_LOSS = 0.8;
/** A window is no shorter than this, while lanes double: of few answers nothing can be said. */
const MIN_WINDOW_MS = 10;
/** What has been found is looked at longer. */
const MIN_HELD_WINDOW_MS = 50;
/** Whether requests wait is asked with so many of the lanes, for a window. */
const ASKING = 0.25;
/** Answers follow the lanes to a power of so much at least, or not at all. 1: they wait for each other alone; 0: for nothing. */
const FOLLOWED = 0.25;
/**
 * From one question to the next; soon: to the first, of a process that has become warm, and where answers are slow. All routes of a process
 * ask at the same moments, so that those that fill one destination together see what it is without the others.
 */
const ASK_EVERY_MS = 5000;
const ASK_SOON_EVERY_MS = 500;
/** An answer tells at most so many times what was known: another sender may be what it waits for. */
const MOST_RISE = 1.5;
/** A request that failed after so many times an answer's time, while others were answered, has waited for a place that there is none of. */
const HANG = 5;
const MIN_HANG_MS = 1000;
/** Others were answered: in the last of so many parts of its time. */
const HANG_PARTS = 4;
/** Until the next question no more are taken away: it may be the way. */
const LEAST_UNASKED = 0.5;
/** Of a window's requests so many failed at once, while others were answered: the destination may refuse what is too much for it. */
const REFUSED_SHARE = 0.2;
const MIN_REFUSED = 10;
/** Lanes that did something are so many of those that are left. */
const BESIDE_REFUSED = 1.25;
/** Lanes are to be so many of those before, or nothing can be told by what is answered. */
const TELLING_CUT = 0.8;
/** Of what would be lost if lanes were all that counts, more than this has to stay. */
const KEPT_SHARE = 0.25;
/** What it refuses has nothing to do with how many there are: then it is not asked again so soon. */
const BLAMELESS_MS = 10_000;
/** Lanes are so many of those with which some hung, and become more from question to question: by `MORE`, or so many times. */
const WITHOUT_HANG = 0.5;
const WAY_BACK = 1.1;
/**
 * A sender that has less of its time to spare is what requests wait for, too: where they do wait, no lanes more help, and fewer are as
 * fast. Where they do not, others are what takes its time.
 */
const SPARE_SHARE = 0.05;
const BUSY_LOSS = 0.9;
const BUSY_GROWTH = 1.1;
/** A window tells something of lanes only if a message was waiting for one at so many of its answers. */
const WANTED_SHARE = 0.8;

/** What was answered, from when on it counts. */
class Window {
  fromMs = 0;
  spareFromMs = 0;
  answers = 0;
  wanted = 0;
  answerMs = 0;
  refused = 0;

  /** How long it is at least: an answer's time, of those that there are. */
  leastMs(isDoubling: boolean): number {
    return Math.max(isDoubling ? MIN_WINDOW_MS : MIN_HELD_WINDOW_MS, this.answerMs / this.answers);
  }

  /** Answers in a millisecond: it begins with the first, which took its time as the others did. */
  perMs(nowMs: number): number {
    return this.answers / (nowMs - this.fromMs + this.answerMs / this.answers);
  }
}

export type LaneBounds = { readonly first: number; readonly most: number };

type Seen = { readonly lanes: number; readonly answerMs: number };

export type Answered = {
  readonly nowMs: number;
  readonly tookMs: number;
  /** Is there a message that waits for a lane? */
  readonly isWanted: boolean;
  /** For how long the sender has had nothing to do, in all. */
  readonly spareMs: number;
};

export class LaneLimit {
  readonly #bounds: LaneBounds;
  #lanes: number;
  /** Undefined: nothing was answered yet. */
  #window: Window | undefined;
  /** When the lanes were others last. */
  #changedAtMs = -Infinity;
  #isDoubling = true;
  /** Requests have waited for each other once. */
  #isFound = false;
  #answerMs = 0;
  /** Mean answer time of requests that wait nowhere, as far as it is known. */
  #unqueuedMs = Infinity;
  /** How it was before the lanes of this window, which ask whether requests wait for each other. */
  #before: Seen | undefined;
  #askedAtMs: number | undefined;
  #hasAsked = false;
  /** Until they are asked for again there are no fewer. */
  #leastLanes = 0;
  /** Answers are slow, and fewer lanes have not made them faster. */
  #isHelpless = false;
  /** More of them would hang, or be refused. */
  #ceiling = Infinity;
  /** There are fewer for that, as long as as many are answered in a millisecond as with these. */
  #cut: { readonly lanes: number; readonly perMs: number } | undefined;
  #blamelessUntilMs = -Infinity;
  #hungAtMs = -Infinity;
  #answeredAtMs = -Infinity;
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
  get #isFixed(): boolean {
    return this.#bounds.first === this.#bounds.most;
  }

  /** A request got through. */
  answered({ nowMs, tookMs, isWanted, spareMs }: Answered): void {
    this.#answeredAtMs = nowMs;
    const window = this.#window;
    if (window === undefined) {
      this.#window = new Window();
      return;
    }
    // What is answered of before tells of the lanes of before.
    const startedMs = nowMs - tookMs;
    if (startedMs < this.#changedAtMs) return;
    if (window.answers === 0) {
      window.fromMs = nowMs;
      window.spareFromMs = spareMs;
    }
    window.answers++;
    window.answerMs += tookMs;
    if (isWanted) window.wanted++;
    if (window.answers < this.#lanes || nowMs - window.fromMs < window.leastMs(this.#isDoubling)) return;
    const isBusy = spareMs - window.spareFromMs < (nowMs - window.fromMs) * SPARE_SHARE;
    this.#close(window, nowMs, isBusy);
  }

  /** The destination takes less than it is given: it gets this share. */
  throttled(share: number, nowMs: number): void {
    if (this.#isFixed || share >= 1) return;
    this.#before = undefined;
    this.#set(this.#lanes * share, nowMs);
  }

  /**
   * A request failed, or got no answer. One that hung, while others did not, says that there are too many; those in flight together say it
   * once. Many that failed at once, while others were answered, may say it as well.
   */
  failed(startedMs: number, nowMs: number): void {
    if (this.#isFixed) return;
    const tookMs = nowMs - startedMs;
    const hasHung = tookMs > Math.max(MIN_HANG_MS, this.#answerMs * HANG);
    if (!hasHung) return this.#refused(startedMs, nowMs);
    const areOthersAnswered = nowMs - this.#answeredAtMs < tookMs / HANG_PARTS;
    if (!areOthersAnswered || startedMs < this.#hungAtMs) return;
    this.#hungAtMs = nowMs;
    this.#before = undefined;
    this.#ceiling = Math.max(this.#bounds.first, this.#lanes * WITHOUT_HANG);
    this.#set(this.#lanes, nowMs);
  }

  #refused(startedMs: number, nowMs: number): void {
    const window = this.#window;
    // They come sooner than answers.
    if (window === undefined || window.answers === 0 || startedMs < this.#changedAtMs) return;
    window.refused++;
    if (nowMs - window.fromMs >= window.leastMs(this.#isDoubling)) this.#cutRefused(window, nowMs);
  }

  /** By Little's law, too, so many lanes are of use: those under way that are answered. */
  #cutRefused(window: Window, nowMs: number): boolean {
    const { answers, refused, answerMs } = window;
    if (refused < Math.max(MIN_REFUSED, (answers + refused) * REFUSED_SHARE)) return false;
    const perMs = window.perMs(nowMs);
    const useful = ((perMs * answerMs) / answers) * BESIDE_REFUSED;
    if (useful >= this.#lanes || nowMs < this.#blamelessUntilMs) return false;
    this.#cut ??= { lanes: this.#lanes, perMs };
    this.#before = undefined;
    this.#isDoubling = false;
    this.#isFound = true;
    this.#answerMs = answerMs / answers;
    this.#ceiling = Math.max(this.#bounds.first, useful);
    this.#set(this.#lanes, nowMs);
    return true;
  }

  /** With fewer lanes less is answered: it refuses whatever it likes, and they are as many as before. */
  #isBlameless(window: Window, nowMs: number): boolean {
    const cut = this.#cut;
    if (cut === undefined || this.#lanes > cut.lanes * TELLING_CUT) return false;
    this.#cut = undefined;
    const share = this.#lanes / cut.lanes;
    if (window.perMs(nowMs) >= cut.perMs * (share + (1 - share) * KEPT_SHARE)) return false;
    this.#blamelessUntilMs = nowMs + BLAMELESS_MS;
    this.#ceiling = Infinity;
    this.#set(cut.lanes, nowMs);
    return true;
  }

  #close(window: Window, nowMs: number, isBusy: boolean): void {
    const { answers, wanted, answerMs } = window;
    if (this.#isBlameless(window, nowMs) || this.#cutRefused(window, nowMs)) return;
    this.#answerMs = answerMs / answers;
    this.#isLimiting = wanted >= answers * WANTED_SHARE;
    this.#unqueuedMs = Math.min(this.#unqueuedMs, this.#answerMs);
    if (this.#isFixed || !this.#isLimiting) {
      // It says nothing of lanes, and what was asked was of another load.
      if (this.#before !== undefined) this.#lanes = this.#before.lanes;
      this.#before = undefined;
      this.#window = new Window();
      return;
    }
    const before = this.#hear(isBusy);
    const at = before ?? { lanes: this.#lanes, answerMs: this.#answerMs };
    const goal = this.#goalOf(at, isBusy);
    const isSlow = this.#isSlow(at);
    if (at.answerMs <= this.#slowestMs) this.#isHelpless = false;
    if (this.#isDue(nowMs, isSlow)) {
      this.#askedAtMs = nowMs;
      this.#ceiling = Math.max(this.#ceiling + MORE, this.#ceiling * WAY_BACK);
      if (!this.#isDoubling) return this.#ask(nowMs);
    }
    // Before it is known that fewer help there are no fewer.
    const helped = before !== undefined && !this.#isHelpless;
    const fewest = (this.#isHelpless || isSlow) && !isBusy ? at.lanes : at.lanes * MOST_LOSS;
    const unasked = isBusy ? 0 : this.#leastLanes;
    const least = helped ? this.#lanes : Math.min(at.lanes, Math.max(fewest, unasked));
    this.#set(Math.max(least, Math.min(at.lanes * MOST_GROWTH, goal)), nowMs);
  }

  #goalOf({ lanes, answerMs }: Seen, isBusy: boolean): number {
    const unqueuedMs = this.#unqueuedMs;
    this.#isDoubling = answerMs < unqueuedMs * NO_QUEUE + PAUSES_MS / 2;
    if (this.#isDoubling)
      return isBusy && this.#isFound ? Math.ceil(lanes * BUSY_GROWTH) : lanes * MOST_GROWTH;
    this.#isFound = true;
    const share = this.#slowestMs / answerMs;
    if (isBusy) return lanes * Math.min(BUSY_LOSS, share);
    if (share > 1) return share < WORTH_MORE ? lanes : lanes * share;
    return lanes * share + MORE;
  }
  #isDue(nowMs: number, isSlow: boolean): boolean {
    this.#askedAtMs ??= nowMs;
    const everyMs = isSlow || !this.#hasAsked ? ASK_SOON_EVERY_MS : ASK_EVERY_MS;
    return Math.floor(nowMs / everyMs) > Math.floor(this.#askedAtMs / everyMs);
  }
  #isSlow({ answerMs }: Seen): boolean {
    return answerMs > this.#slowestMs * SLOW;
  }
  /** What answers may take. */
  get #slowestMs(): number {
    return this.#unqueuedMs * HEADROOM + PAUSES_MS;
  }

  /** With fewer lanes answers are faster, if requests wait for each other. Where there are no fewer, more of them tell as well. */
  #ask(nowMs: number): void {
    this.#hasAsked = true;
    const before = { lanes: this.#lanes, answerMs: this.#answerMs };
    this.#leastLanes = before.lanes * LEAST_UNASKED;
    this.#set(before.lanes * ASKING, nowMs);
    if (this.#lanes * 2 > before.lanes) this.#set(before.lanes * MOST_GROWTH, nowMs);
    if (this.#lanes !== before.lanes) this.#before = before;
  }

  /**
   * What was before the question, if one was asked. Where the answer time has not followed the lanes it is that of the way by now, unless
   * it is the sender's own.
   */
  #hear(isBusy: boolean): Seen | undefined {
    const before = this.#before;
    if (before === undefined) return undefined;
    this.#before = undefined;
    const followed = Math.log(this.#answerMs / before.answerMs) / Math.log(this.#lanes / before.lanes);
    this.#isHelpless = followed < FOLLOWED && !isBusy;
    if (this.#isHelpless)
      this.#unqueuedMs = Math.min(this.#answerMs, before.answerMs, this.#unqueuedMs * MOST_RISE);
    return before;
  }

  #set(lanes: number, nowMs: number): void {
    const { first, most } = this.#bounds;
    const before = this.#lanes;
    this.#lanes = Math.max(first, Math.min(most, Math.floor(this.#ceiling), Math.round(lanes)));
    if (this.#lanes !== before) this.#changedAtMs = nowMs;
    this.#window &&= new Window();
  }
}
