// The thread of `loading.ts`: reads the configuration that it is given, answers, and ends.
import { parentPort, workerData } from 'node:worker_threads';
import { ConfigError } from './file/faults.ts';
import { loadSettings, type LoadInput } from './load.ts';
import type { Loaded } from './loading.ts';

async function load(): Promise<Loaded> {
  try {
    return { kind: 'settings', loaded: await loadSettings(workerData as LoadInput) };
  } catch (error) {
    if (error instanceof ConfigError) return { kind: 'faults', faults: error.faults };
    throw error;
  }
}

parentPort!.postMessage(await load());
