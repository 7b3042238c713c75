// Gives back what a thread has used and needs no more. V8 keeps the pages of its garbage until somebody allocates again: a service
// that has just started, or that had much to do, holds tens of megabytes for nothing.
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';

/** Of one thread's heap. */
export type HeapLook = { readonly usedBytes: number; readonly residentBytes: number };

const LOOK_INTERVAL_MS = 5_000;
/** Threads take turns: on half a processor, three pauses at a time would be one long one. */
const TURN_MS = 500;
/** Who allocates less between two looks, or frees less, has nothing to do: a pause disturbs nobody. */
const QUIET_BYTES = 2 * 1024 * 1024;
/** A collection takes some 30 ms: it has to bring something. */
const WORTH_BYTES = 4 * 1024 * 1024;

/** `keptBytes`: what was resident after the last collection. */
export const isWorthCollecting = (now: HeapLook, before: HeapLook, keptBytes: number): boolean =>
  Math.abs(now.usedBytes - before.usedBytes) < QUIET_BYTES && now.residentBytes - keptBytes >= WORTH_BYTES;

/** Looks after the thread that calls it, which may end meanwhile; returns what ends it. */
export function giveBackIdleMemory(): () => void {
  const collect = collector();
  let before = look();
  let keptBytes = 0;
  const timer = setInterval(
    () => {
      const now = look();
      const isWorth = isWorthCollecting(now, before, keptBytes);
      before = now;
      if (!isWorth) return;
      collect();
      before = look();
      keptBytes = before.residentBytes;
    },
    LOOK_INTERVAL_MS + TURN_MS * threadId,
  ).unref();
  return () => clearInterval(timer);
}

function look(): HeapLook {
  const { used_heap_size: usedBytes, total_physical_size: residentBytes } = getHeapStatistics();
  return { usedBytes, residentBytes };
}

/** Only this kind of collection also gives the pages back. https://github.com/v8/v8/blob/main/src/extensions/gc-extension.cc */
function collector(): () => void {
  // Contexts made from now on have `gc`, so that nobody else gets it.
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: object) => void;
  setFlagsFromString('--no-expose-gc');
  return () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
