// Thousands of random sequences of restarts, moves, crashes and failovers: whatever happens, a change is delivered, or lies in a
// declared gap, or the service says why it stands. A sequence that fails is made as short as it goes.
import * as fc from 'fast-check';
import { afterAll, expect, test, vi } from 'vitest';
import { removeEmptyStore } from './directory.ts';
import { ACTIONS, EXACT, HARMLESS, type Action, type Sequence } from './sequence.ts';
import { RestartWorld } from './world.ts';

/** The proof has a hundred thousand; what a person waits for, fewer. */
const USUAL_SEQUENCES = process.env['npm_lifecycle_event'] === 'test:quick' ? 50 : 400;
const SEQUENCES = Number(process.env['TAILRACE_TEST_MODEL_SEQUENCES'] ?? USUAL_SEQUENCES);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 14);
/** So many at once: each waits for the disk now and then. */
const AT_ONCE = 4;
vi.setConfig({ testTimeout: 120_000 + SEQUENCES * 300 });
afterAll(removeEmptyStore);

const sequencesOf = (actions: readonly Action[]): fc.Arbitrary<Sequence> =>
  fc.record({
    steps: fc.array(fc.record({ action: fc.constantFrom(...actions), seed: fc.nat(999) }), {
      minLength: 1,
      maxLength: 10,
    }),
    ack: fc.constantFrom('auto', 'delivered', 'durable'),
    version: fc.constantFrom(17, 18),
  });

/** The shortest sequence that goes wrong, and how; undefined: none does. */
async function faultAmong(actions: readonly Action[], count: number): Promise<string | undefined> {
  const sequences = sequencesOf(actions);
  const waiting = fc.sample(sequences, { seed: SEED, numRuns: count });
  const failed: Sequence[] = [];
  const runSome = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined && failed.length === 0; next = waiting.pop()) {
      if ((await new RestartWorld(next).run()) !== undefined) failed.push(next);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, runSome));
  if (failed.length === 0) return undefined;
  const property = fc.asyncProperty(sequences, async (sequence) => {
    const fault = await new RestartWorld(sequence).run();
    if (fault !== undefined) throw new Error(fault);
  });
  const shrunk = await fc.check(property, { examples: [[failed[0]!]], numRuns: 1 });
  if (!shrunk.failed) return `it failed once, and then not again: ${JSON.stringify(failed[0])}`;
  return `${JSON.stringify(shrunk.counterexample)}\n${String(shrunk.errorInstance)}`;
}

test(`after ${SEQUENCES} random sequences nothing is missing in silence (seed ${SEED})`, async () => {
  expect(await faultAmong(ACTIONS, SEQUENCES)).toBeUndefined();
});

test('restarts, crashes and power cuts alone cost nothing and declare nothing', async () => {
  expect(await faultAmong([...HARMLESS], Math.ceil(SEQUENCES / 4))).toBeUndefined();
});

test('whatever histories part, what is lost of them is accounted for to the row, and nothing of it is sent', async () => {
  expect(await faultAmong([...EXACT], Math.ceil(SEQUENCES / 2))).toBeUndefined();
});

test('where nothing happens everything arrives, and nothing is declared', async () => {
  expect(await new RestartWorld({ steps: [], ack: 'delivered', version: 18 }).run()).toBeUndefined();
});
