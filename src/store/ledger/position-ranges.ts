// A set of positions as sorted ranges, in bounded memory: what does not fit goes to a file that has no name.
//
// Positions come nearly in order, a run of them at a time. A full run is sorted; the oldest runs stay in memory, later ones
// are written out and read back by windows. Asked in nearly the order of the log, one window or two of them are in use.
import { closeSync, constants, readSync, rmSync, writeSync } from 'node:fs';
import type { Lsn } from '../../core/lsn.ts';
import { openFile } from '../../data-directory/files.ts';

/** Of a range: epoch, LSN (high and low half), first index, last index. */
const FIELDS = 5;
const RANGE_BYTES = FIELDS * 4;
/** Ranges in a full run. */
const RUN_RANGES = 65_536;
const FIRST_RUN_RANGES = 256;
/** Full runs that stay in memory: more than a ledger holds that is compacted in time (10 MB). */
const MAX_RUNS_IN_MEMORY = 8;
/** Ranges that are read back at once. */
const WINDOW_RANGES = 1024;
/** Windows in memory. */
const MAX_WINDOWS = 16;

export type PositionRange = {
  readonly epoch: number;
  readonly commitLsn: Lsn;
  readonly first: number;
  readonly last: number;
};

/** Sorted ranges that do not overlap: `FIELDS` numbers each. */
type Ranges = Uint32Array<ArrayBuffer>;

type SpilledRun = {
  readonly fileOffset: number;
  readonly count: number;
  /** The first range of each window, and the last range of all. */
  readonly fences: Ranges;
  /** The window in memory, by its number. */
  window: { readonly number: number; readonly ranges: Ranges } | undefined;
};

export class PositionRanges {
  readonly #spillFile: string;
  #open: Ranges = new Uint32Array(FIRST_RUN_RANGES * FIELDS);
  #count = 0;
  /** Sorted. */
  readonly #runs: Ranges[] = [];
  readonly #spilled: SpilledRun[] = [];
  #lastSpilled = 0;
  /** Runs with a window in memory, least recently read first. */
  readonly #windows: SpilledRun[] = [];
  #spillFd: number | undefined;
  #spillBytes = 0;
  #sealed = false;

  /** `spillFile`: a path on a disk with room; there is never a file of that name for longer than a moment. */
  constructor(spillFile: string) {
    this.#spillFile = spillFile;
  }

  add({ epoch, commitLsn, first, last }: PositionRange): void {
    const high = Number(commitLsn >> 32n);
    const low = Number(commitLsn & 0xffff_ffffn);
    const ranges = this.#open;
    const end = this.#count * FIELDS;
    if (
      this.#count > 0 &&
      ranges[end - 1]! + 1 === first &&
      ranges[end - 3] === low &&
      ranges[end - 4] === high &&
      ranges[end - 5] === epoch
    ) {
      ranges[end - 1] = last;
      return;
    }
    if (end === ranges.length) {
      this.#grow();
      return this.add({ epoch, commitLsn, first, last });
    }
    ranges[end] = epoch;
    ranges[end + 1] = high;
    ranges[end + 2] = low;
    ranges[end + 3] = first;
    ranges[end + 4] = last;
    this.#count++;
    this.#sealed = false;
  }

  /** Of all that was added, is this position a part? */
  has(epoch: number, commitLsn: Lsn, index: number): boolean {
    if (!this.#sealed) this.#seal();
    const high = Number(commitLsn >> 32n);
    const low = Number(commitLsn & 0xffff_ffffn);
    // Whoever asks in order finds most of it where the last one was.
    const { length } = this.#spilled;
    const from = this.#lastSpilled;
    for (let i = 0; i < length; i++) {
      const number = from + i < length ? from + i : from + i - length;
      if (!this.#holdsSpilled(this.#spilled[number]!, epoch, high, low, index)) continue;
      this.#lastSpilled = number;
      return true;
    }
    for (const run of this.#runs) if (holds(run, run.length / FIELDS, epoch, high, low, index)) return true;
    return holds(this.#open, this.#count, epoch, high, low, index);
  }

  get isEmpty(): boolean {
    return this.#count === 0 && this.#runs.length === 0 && this.#spilled.length === 0;
  }

  /** What this set takes of memory now. */
  get bytesInMemory(): number {
    const windows = this.#windows.reduce((sum, { window }) => sum + (window?.ranges.byteLength ?? 0), 0);
    const fences = this.#spilled.reduce((sum, run) => sum + run.fences.byteLength, 0);
    const runs = this.#runs.reduce((sum, run) => sum + run.byteLength, 0);
    return this.#open.byteLength + runs + fences + windows;
  }

  close(): void {
    if (this.#spillFd !== undefined) closeSync(this.#spillFd);
    this.#spillFd = undefined;
    this.#spilled.length = 0;
    this.#windows.length = 0;
    this.#runs.length = 0;
    this.#open = new Uint32Array(0);
    this.#count = 0;
  }

  #grow(): void {
    if (this.#count < RUN_RANGES) {
      const larger = new Uint32Array(Math.min(RUN_RANGES, this.#count * 4) * FIELDS);
      larger.set(this.#open);
      this.#open = larger;
      return;
    }
    const run = sorted(this.#open);
    if (this.#runs.length < MAX_RUNS_IN_MEMORY) this.#runs.push(run);
    else this.#spill(run);
    this.#count = 0;
  }

  /** The run in hand is sorted for being asked; it goes on to be filled. */
  #seal(): void {
    const run = sorted(this.#open.subarray(0, this.#count * FIELDS));
    this.#open.set(run);
    this.#count = run.length / FIELDS;
    this.#sealed = true;
  }

  #spill(run: Ranges): void {
    this.#spillFd ??= openNameless(this.#spillFile);
    const bytes = Buffer.from(run.buffer, run.byteOffset, run.byteLength);
    for (let done = 0; done < bytes.length;) {
      done += writeSync(this.#spillFd, bytes, done, bytes.length - done, this.#spillBytes + done);
    }
    const count = run.length / FIELDS;
    const windows = Math.ceil(count / WINDOW_RANGES);
    const fences = new Uint32Array((windows + 1) * FIELDS);
    for (let window = 0; window < windows; window++) {
      const at = window * WINDOW_RANGES * FIELDS;
      fences.set(run.subarray(at, at + FIELDS), window * FIELDS);
    }
    fences.set(run.subarray(-FIELDS), windows * FIELDS);
    this.#spilled.push({ fileOffset: this.#spillBytes, count, fences, window: undefined });
    this.#spillBytes += bytes.length;
  }

  #holdsSpilled(run: SpilledRun, epoch: number, high: number, low: number, index: number): boolean {
    const { fences } = run;
    const windows = fences.length / FIELDS - 1;
    if (order(fences, 0, epoch, high, low, index) > 0) return false;
    if (order(fences, windows, epoch, high, low, index) <= 0) {
      return isIn(fences, windows, epoch, high, low, index);
    }
    const ranges = this.#window(run, lastAtOrBefore(fences, windows, epoch, high, low, index));
    return holds(ranges, ranges.length / FIELDS, epoch, high, low, index);
  }

  #window(run: SpilledRun, number: number): Ranges {
    if (run.window?.number === number) return run.window.ranges;
    const from = number * WINDOW_RANGES;
    const ranges = new Uint32Array(Math.min(WINDOW_RANGES, run.count - from) * FIELDS);
    const bytes = Buffer.from(ranges.buffer);
    const position = run.fileOffset + from * RANGE_BYTES;
    if (readSync(this.#spillFd!, bytes, 0, bytes.length, position) < bytes.length) {
      throw new Error(`${this.#spillFile} lost what was written to it`);
    }
    run.window = { number, ranges };
    const known = this.#windows.indexOf(run);
    if (known !== -1) this.#windows.splice(known, 1);
    this.#windows.push(run);
    if (this.#windows.length > MAX_WINDOWS) this.#windows.shift()!.window = undefined;
    return ranges;
  }
}

/** Open, and deleted: it is gone with the process. */
function openNameless(file: string): number {
  rmSync(file, { force: true });
  const fd = openFile(file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL);
  rmSync(file);
  return fd;
}

/** Negative when the first position of range number `at` comes before the one given. */
function order(ranges: Ranges, at: number, epoch: number, high: number, low: number, index: number): number {
  const field = at * FIELDS;
  return (
    ranges[field]! - epoch ||
    ranges[field + 1]! - high ||
    ranges[field + 2]! - low ||
    ranges[field + 3]! - index
  );
}

/** Number of the last range that begins at or before a position; -1: none. */
function lastAtOrBefore(
  ranges: Ranges,
  count: number,
  epoch: number,
  high: number,
  low: number,
  index: number,
): number {
  let from = 0;
  let to = count;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (order(ranges, middle, epoch, high, low, index) <= 0) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}

/** Is a position in one of the first `count` ranges? */
function holds(
  ranges: Ranges,
  count: number,
  epoch: number,
  high: number,
  low: number,
  index: number,
): boolean {
  if (count === 0 || order(ranges, 0, epoch, high, low, index) > 0) return false;
  return isIn(ranges, lastAtOrBefore(ranges, count, epoch, high, low, index), epoch, high, low, index);
}

/** Is a position that does not come before range number `at` in that range? */
function isIn(ranges: Ranges, at: number, epoch: number, high: number, low: number, index: number): boolean {
  const field = at * FIELDS;
  return (
    ranges[field] === epoch &&
    ranges[field + 1] === high &&
    ranges[field + 2] === low &&
    index <= ranges[field + 4]!
  );
}

/** A copy in order, in which ranges that touch are one. */
function sorted(ranges: Ranges): Ranges {
  const count = ranges.length / FIELDS;
  const compare = (a: number, b: number): number =>
    order(
      ranges,
      a,
      ranges[b * FIELDS]!,
      ranges[b * FIELDS + 1]!,
      ranges[b * FIELDS + 2]!,
      ranges[b * FIELDS + 3]!,
    );
  let inOrder = true;
  for (let i = 1; i < count && inOrder; i++) inOrder = compare(i - 1, i) <= 0;
  // An array, not a typed one: its sort is fast where nearly everything is in order.
  const numbers = Array.from({ length: count }, (_, i) => i);
  if (!inOrder) numbers.sort(compare);
  const result = new Uint32Array(ranges.length);
  let end = 0;
  for (const number of numbers) {
    const from = number * FIELDS;
    const touches =
      end > 0 &&
      result[end - 5] === ranges[from] &&
      result[end - 4] === ranges[from + 1] &&
      result[end - 3] === ranges[from + 2] &&
      ranges[from + 3]! <= result[end - 1]! + 1;
    if (touches) {
      result[end - 1] = Math.max(result[end - 1]!, ranges[from + 4]!);
    } else {
      result.set(ranges.subarray(from, from + FIELDS), end);
      end += FIELDS;
    }
  }
  return result.slice(0, end);
}
