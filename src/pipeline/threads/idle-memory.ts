// Gives back what a thread has used and needs no more. V8 keeps the pages of its garbage until somebody allocates again: a service
// that has just started, or that had much to do, holds tens of megabytes for nothing.
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';
import { spareMs, steadyMs } from '../../core/clock.ts';

/** Of one thread: its heap, and for how long in all it has been there and has had nothing to do. */
export type HeapLook = {
  readonly usedBytes: number;
  readonly residentBytes: number;
  readonly atMs: number;
  readonly spareMs: number;
};

const LOOK_INTERVAL_MS = 5_000;
/** Threads take turns: on half a processor, three pauses at a time would be one long one. */
const TURN_MS = 500;
/** Who has so much of the time between two looks to spare, and allocates or frees less than this: a pause disturbs nobody. */
const QUIET_SHARE = 0.98;
const QUIET_BYTES = 2 * 1024 * 1024;
/** Who was busy at so many looks has other garbage than before. */
const BUSY_LOOKS = 12;
/** A collection takes some 30 ms: it has to bring something. */
const WORTH_BYTES = 4 * 1024 * 1024;

/** When a thread's garbage is worth a collection. Pure. */
export class IdleRule {
  #before: HeapLook;
  /** What was resident after the last collection. */
  #keptBytes = 0;
  #busyLooks = 0;

  constructor(first: HeapLook) {
    this.#before = first;
  }

  isWorthCollecting(now: HeapLook): boolean {
    const before = this.#before;
    this.#before = now;
    const spareShare = (now.spareMs - before.spareMs) / (now.atMs - before.atMs);
    if (spareShare < QUIET_SHARE || Math.abs(now.usedBytes - before.usedBytes) >= QUIET_BYTES) {
      if (++this.#busyLooks >= BUSY_LOOKS) this.#keptBytes = 0;
      return false;
    }
    return now.residentBytes - this.#keptBytes >= WORTH_BYTES;
  }

  collected(now: HeapLook): void {
    this.#before = now;
    this.#keptBytes = now.residentBytes;
    this.#busyLooks = 0;
  }
}

/** Looks after the thread that calls it, which may end meanwhile; returns what ends it. */
export function giveBackIdleMemory(): () => void {
  const collect = collector();
  const rule = new IdleRule(look());
  const timer = setInterval(
    () => {
      if (!rule.isWorthCollecting(look())) return;
      collect();
      rule.collected(look());
    },
    LOOK_INTERVAL_MS + TURN_MS * threadId,
  ).unref();
  return () => clearInterval(timer);
}

function look(): HeapLook {
  const { used_heap_size: usedBytes, total_physical_size: residentBytes } = getHeapStatistics();
  return { usedBytes, residentBytes, atMs: steadyMs(), spareMs: spareMs() };
}

/** Only this kind of collection also gives the pages back. https://github.com/v8/v8/blob/main/src/extensions/gc-extension.cc */
function collector(): () => void {
  // Contexts made from now on have `gc`, this one has not. The flag is the process', and other threads do the same: nobody takes it back.
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: object) => void;
  return () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
