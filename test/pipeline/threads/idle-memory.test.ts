import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { isWorthCollecting } from '../../../src/pipeline/threads/idle-memory.ts';
import { waitFor } from '../../support/wait.ts';

const MIB = 1024 * 1024;
const heap = (used: number, resident: number) => ({ usedBytes: used * MIB, residentBytes: resident * MIB });

test('a thread that has started gives back what it took for that', () => {
  expect(isWorthCollecting(heap(20, 36), heap(19.5, 36), 0)).toBe(true);
});

test('a thread that has something to do is left alone, whether it allocates or has just collected by itself', () => {
  expect(isWorthCollecting(heap(30, 60), heap(20, 60), 18 * MIB)).toBe(false);
  expect(isWorthCollecting(heap(20, 60), heap(30, 60), 18 * MIB)).toBe(false);
});

test('a thread that has given everything back is not asked again until it has more', () => {
  expect(isWorthCollecting(heap(16, 18), heap(16, 18), 18 * MIB)).toBe(false);
  expect(isWorthCollecting(heap(17, 21), heap(16, 21), 18 * MIB)).toBe(false);
  expect(isWorthCollecting(heap(18, 23), heap(17, 23), 18 * MIB)).toBe(true);
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
