// In which order turns are given, and who gives his up. Time is pretended.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Turns } from '../../../../src/pipeline/source/backfill/turns.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Those who take one, by name, in the order in which they got it, or gave it up. */
function made() {
  const wait = { ms: Infinity };
  const told: string[] = [];
  const turns = new Turns(
    () => wait.ms,
    () => (wait.ms = Infinity),
  );
  const take = (name: string): AbortController => {
    const stop = new AbortController();
    turns.take(stop.signal).then(
      () => told.push(name),
      (error: Error) => told.push(`${name}: ${error.message}`),
    );
    return stop;
  };
  return { wait, told, turns, take };
}

test('turns are given in the order of asking, each when it is time', async () => {
  const { wait, told, turns, take } = made();
  take('first');
  take('second');
  wait.ms = 0;
  turns.look();
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(['first']);
  wait.ms = 20;
  turns.look();
  await vi.advanceTimersByTimeAsync(19);
  expect(told).toEqual(['first']);
  wait.ms = 0;
  await vi.advanceTimersByTimeAsync(1);
  expect(told).toEqual(['first', 'second']);
});

test('whoever gives up is let go at once, wherever it stands, and the others keep their places', async () => {
  const { wait, told, turns, take } = made();
  take('first');
  const second = take('second');
  take('third');
  second.abort(new Error('no more'));
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(['second: no more']);
  for (let i = 0; i < 2; i++) {
    wait.ms = 0;
    turns.look();
  }
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(['second: no more', 'first', 'third']);
});

test('whoever has given up before it asks takes no turn', async () => {
  const { wait, told, turns } = made();
  wait.ms = 0;
  await expect(turns.take(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  expect([told, wait.ms]).toEqual([[], 0]);
});
