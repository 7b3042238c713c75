// Threads that load their modules before it is known what they are to do: while the configuration is read, the source's thread has come so
// far that it can connect at once (bench/scenarios/footprint.ts).
import { parentPort, SHARE_ENV, Worker } from 'node:worker_threads';
import { WORKER_MEMORY } from './memory.ts';

/** By the URLs of their entries. */
const warm = new Map<string, Worker>();

/** Has a thread load what it needs. It keeps no process alive, and nobody hears what becomes of it before it is taken. */
export function warmUp(entry: URL): void {
  const worker = open(entry);
  worker.unref();
  warm.set(entry.href, worker);
  // Whoever needs one opens another, and hears why.
  worker.once('error', () => {
    if (warm.get(entry.href) === worker) warm.delete(entry.href);
  });
}

/** A thread that begins with `data`: the one that is warm, if there is one. */
export function takeThread(entry: URL, data: unknown): Worker {
  const worker = warm.get(entry.href) ?? open(entry);
  warm.delete(entry.href);
  worker.ref();
  worker.postMessage(data);
  return worker;
}

/** In the thread: calls `begin` with what it was taken with. */
export function whenTaken(begin: (data: never) => void): void {
  parentPort!.once('message', begin as (data: unknown) => void);
}

/** With the process' own variables: some may be set while it waits (`ENV_FILE`). */
const open = (entry: URL): Worker => new Worker(entry, { env: SHARE_ENV, resourceLimits: WORKER_MEMORY });
