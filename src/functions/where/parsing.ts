// Parses filters in a thread that lives as long as that takes: the parser's memory goes with it.
import { Worker } from 'node:worker_threads';
import type { WhereFault } from './fault.ts';
import type { Filter } from './syntax.ts';

export type Parsed =
  | { readonly kind: 'filter'; readonly filter: Filter }
  | { readonly kind: 'fault'; readonly fault: WhereFault };

type Question = {
  readonly texts: readonly string[];
  readonly resolve: (parsed: readonly Parsed[]) => void;
  readonly reject: (error: unknown) => void;
};

/** What waits for the thread: many sinks begin at once, and each parser takes its memory. */
const waiting: Question[] = [];
let isParsing = false;

/** In the order of `texts`. Without any, no thread is started. */
export function parseFilters(texts: readonly string[]): Promise<readonly Parsed[]> {
  if (texts.length === 0) return Promise.resolve([]);
  const { promise, resolve, reject } = Promise.withResolvers<readonly Parsed[]>();
  waiting.push({ texts, resolve, reject });
  if (!isParsing) void parseAll();
  return promise;
}

/** One thread after the other: what is asked meanwhile has the next one together. */
async function parseAll(): Promise<void> {
  isParsing = true;
  while (waiting.length > 0) {
    const questions = waiting.splice(0);
    try {
      const parsed = await parseInThread(questions.flatMap(({ texts }) => texts));
      let at = 0;
      for (const { texts, resolve } of questions) resolve(parsed.slice(at, (at += texts.length)));
    } catch (error) {
      for (const { reject } of questions) reject(error);
    }
  }
  isParsing = false;
}

function parseInThread(texts: readonly string[]): Promise<readonly Parsed[]> {
  const entry = import.meta.url.endsWith('.ts') ? './parsing-worker.ts' : './parsing-worker.js';
  const worker = new Worker(new URL(entry, import.meta.url), { workerData: texts });
  const { promise, resolve, reject } = Promise.withResolvers<readonly Parsed[]>();
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`the parser of filters ended with code ${code}`)));
  return promise;
}
