// How much memory V8 takes for a thread's objects. https://nodejs.org/api/worker_threads.html#new-workerfilename-options
import { setFlagsFromString } from 'node:v8';
import type { ResourceLimits } from 'node:worker_threads';

/**
 * What a row needs is garbage as soon as it is delivered, and what is on its way must not outlive two collections, or it is kept with what
 * stays. Of a drain (npm run bench -- drain, distance): half as much takes more time where the destination is far away; a third more takes
 * 5 % less there, and 28 MiB more where ten sinks share a thread.
 */
export const WORKER_MEMORY: ResourceLimits = { maxYoungGenerationSizeMb: 48 };

/**
 * Of V8.
 *
 * `heap-growing-percent`: of what is left after a collection, so much may be added before the next one. V8's own rule lets it double or more,
 * and most of that is garbage: rows that were on their way for longer than others. Ten sinks on one table take 70 MiB less.
 *
 * `no-allocation-site-pretenuring`: where most of what a place in the code allocates has outlived a collection, V8 puts all that it allocates
 * from then on where only a whole collection finds it. That is true of messages in the first moments of a drain, and not later: without it a
 * change takes a tenth less CPU, and the heap is collected as a whole a seventh as often.
 */
export const HEAP_FLAGS: readonly string[] = [
  '--heap-growing-percent=60',
  '--no-allocation-site-pretenuring',
];

/** For all threads of the process, before the first of them starts. */
export function suitHeaps(): void {
  for (const flag of HEAP_FLAGS) setFlagsFromString(flag);
}
