// How much memory V8 takes for a thread's objects. https://nodejs.org/api/worker_threads.html#new-workerfilename-options
import { setFlagsFromString } from 'node:v8';
import type { ResourceLimits } from 'node:worker_threads';

/**
 * What a row needs is garbage as soon as it is delivered, and what is on its way must not outlive two collections, or it is kept with what
 * stays. Of a drain (npm run bench -- drain, distance): half as much takes a tenth more time where the destination is far away, and 40 MiB
 * more; the default took 60 MiB more than that half, and no less time.
 */
export const WORKER_MEMORY: ResourceLimits = { maxYoungGenerationSizeMb: 32 };

/** Of what is left after a collection, what may be added before the next one. */
const GROWTH_PERCENT = 60;

/**
 * Of all threads of the process: V8's own rule lets what stays double or more before it looks at it again, and most of that is garbage: rows
 * that were on their way for longer than others. Ten sinks on one table take 70 MiB less.
 */
export const growHeapsSlowly = (): void => setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
