// Parses filters in a thread that lives as long as that takes: the parser's memory goes with it.
import { Worker } from 'node:worker_threads';
import type { WhereFault } from './fault.ts';
import type { Filter } from './syntax.ts';

export type Parsed =
  | { readonly kind: 'filter'; readonly filter: Filter }
  | { readonly kind: 'fault'; readonly fault: WhereFault };

/** In the order of `texts`. Without any, no thread is started. */
export async function parseFilters(texts: readonly string[]): Promise<readonly Parsed[]> {
  if (texts.length === 0) return [];
  const entry = import.meta.url.endsWith('.ts') ? './parsing-worker.ts' : './parsing-worker.js';
  const worker = new Worker(new URL(entry, import.meta.url), { workerData: texts });
  const { promise, resolve, reject } = Promise.withResolvers<readonly Parsed[]>();
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`the parser of filters ended with code ${code}`)));
  return promise;
}
