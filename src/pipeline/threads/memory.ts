// How much memory V8 gives a worker thread's short-lived objects. https://nodejs.org/api/worker_threads.html#new-workerfilename-options
import type { ResourceLimits } from 'node:worker_threads';

/**
 * What a row needs is garbage as soon as it is delivered. With the default young generation such garbage took 60 MiB more, and
 * no less time (npm run bench -- drain).
 */
export const WORKER_MEMORY: ResourceLimits = { maxYoungGenerationSizeMb: 16 };
