// Reads the configuration in a thread that lives as long as that takes: the schemas and the parser of YAML, some 15 MiB, go with it.
import { Worker } from 'node:worker_threads';
import { ConfigError, type Fault } from './file/faults.ts';
import type { LoadedSettings, LoadInput } from './load.ts';

export type Loaded =
  | { readonly kind: 'settings'; readonly loaded: LoadedSettings }
  | { readonly kind: 'faults'; readonly faults: readonly Fault[] };

/** `loadSettings`, for whoever runs on for long. Throws ConfigError with all faults at once. */
export async function loadSettingsApart(input: Omit<LoadInput, 'readFile'>): Promise<LoadedSettings> {
  const entry = import.meta.url.endsWith('.ts') ? './loading-worker.ts' : './loading-worker.js';
  const workerData = { ...input, env: { ...input.env } };
  const worker = new Worker(new URL(entry, import.meta.url), { workerData });
  const { promise, resolve, reject } = Promise.withResolvers<Loaded>();
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', (code) =>
    reject(new Error(`the thread that reads the configuration ended with code ${code}`)),
  );
  const answer = await promise;
  if (answer.kind === 'faults') throw new ConfigError(answer.faults);
  return answer.loaded;
}
