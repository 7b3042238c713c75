// The guard on the hot path's speed: a ratio in one process, never a time. What it guards is measured by `npm run bench`.
import { expect, test } from 'vitest';
import { renderWork } from '../../bench/micro/render.ts';

const ROWS = 20_000;
const ROUNDS = 8;
/** About 0.3 on a quiet machine. */
const MAX_RATIO = 0.7;

const nanosecondsOf = (work: () => void): number => {
  const began = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - began);
};

test('decoding and rendering a row costs well less than parsing and writing its message with JSON', () => {
  const { decodeAndRender, parseAndStringify } = renderWork();
  let ours = Infinity;
  let javascripts = Infinity;
  // In turn, and the best of each: what else runs on the machine disturbs both, and not every round.
  for (let round = 0; round < ROUNDS; round++) {
    ours = Math.min(
      ours,
      nanosecondsOf(() => decodeAndRender(ROWS)),
    );
    javascripts = Math.min(
      javascripts,
      nanosecondsOf(() => parseAndStringify(ROWS)),
    );
  }
  expect(ours / javascripts).toBeLessThan(MAX_RATIO);
});
