// How much memory V8 gives a worker thread's short-lived objects. https://nodejs.org/api/worker_threads.html#new-workerfilename-options
import type { ResourceLimits } from 'node:worker_threads';

/**
 * What a row needs is garbage as soon as it is delivered, and what is on its way must not outlive two collections, or it is kept with what
 * stays. Of a drain (npm run bench -- drain, distance): half as much takes a tenth more time where the destination is far away, and 40 MiB
 * more; the default took 60 MiB more than that half, and no less time.
 */
export const WORKER_MEMORY: ResourceLimits = { maxYoungGenerationSizeMb: 32 };
