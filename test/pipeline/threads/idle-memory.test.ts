import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { IdleRule } from '../../../src/pipeline/threads/idle-memory.ts';
import { waitFor } from '../../support/wait.ts';

const MIB = 1024 * 1024;

/** A thread that is looked at every five seconds. */
class Looked {
  #atMs = 0;
  #spareMs = 0;
  readonly #rule: IdleRule;

  constructor(used: number, resident: number) {
    this.#rule = new IdleRule(this.#look(used, resident));
  }

  /** Mebibytes; and which share of the time since the last look it had nothing to do. */
  isWorth(used: number, resident: number, spare = 1): boolean {
    this.#atMs += 5_000;
    this.#spareMs += 5_000 * spare;
    return this.#rule.isWorthCollecting(this.#look(used, resident));
  }

  collected(used: number, resident: number): void {
    this.#rule.collected(this.#look(used, resident));
  }

  #look(used: number, resident: number) {
    return {
      usedBytes: used * MIB,
      residentBytes: resident * MIB,
      atMs: this.#atMs,
      spareMs: this.#spareMs,
    };
  }
}

test('a thread that has started gives back what it took for that', () => {
  expect(new Looked(19.5, 36).isWorth(20, 36)).toBe(true);
});

test('a thread that has something to do is left alone, whether it allocates, collects by itself, or seems to do neither', () => {
  const thread = new Looked(20, 60);
  expect(thread.isWorth(30, 60)).toBe(false);
  expect(thread.isWorth(20, 60)).toBe(false);
  // What it allocated has just been collected.
  expect(thread.isWorth(20, 60, 0.9)).toBe(false);
  expect(thread.isWorth(20, 60)).toBe(true);
});

test('a thread that has given everything back is not asked again until it has more', () => {
  const thread = new Looked(16, 30);
  thread.collected(16, 18);
  expect(thread.isWorth(16, 18)).toBe(false);
  expect(thread.isWorth(16, 21)).toBe(false);
  expect(thread.isWorth(17, 23)).toBe(true);
});

test('what a thread held on to once, it does not keep after a busy time', () => {
  const thread = new Looked(600, 610);
  thread.collected(600, 610);
  for (let looks = 0; looks < 12; looks++) expect(thread.isWorth(100, 300, 0.5)).toBe(false);
  expect(thread.isWorth(100, 300)).toBe(true);
  thread.collected(20, 30);
  // A little to do now and then is no busy time.
  for (let looks = 0; looks < 6; looks++) {
    expect(thread.isWorth(21, 32, 0.5)).toBe(false);
    expect(thread.isWorth(21, 32)).toBe(false);
  }
});

test('an idle thread ends up with less memory than its garbage took', async () => {
  const module = new URL('../../../src/pipeline/threads/idle-memory.ts', import.meta.url).href;
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     const { getHeapStatistics } = require('node:v8');
     import(workerData).then(({ giveBackIdleMemory }) => {
       let garbage = Array.from({ length: 400_000 }, (_, i) => ({ i }));
       garbage = undefined;
       const say = () => parentPort.postMessage(getHeapStatistics().total_physical_size);
       say();
       giveBackIdleMemory();
       setInterval(say, 100);
     });`,
    { eval: true, workerData: module },
  );
  try {
    const sizes: number[] = [];
    worker.on('message', (size: number) => sizes.push(size));
    await waitFor(() => sizes.length > 0 && sizes.at(-1)! < sizes[0]! / 2, 'the memory to be given back');
    expect(sizes[0]).toBeGreaterThan(16 * MIB);
  } finally {
    await worker.terminate();
  }
});
