// Thousands of random sequences of restarts, moves, crashes and failovers: whatever happens, a change is delivered, or lies in a
// declared gap, or the service says why it stands.
import fc from 'fast-check';
import { afterAll, expect, test, vi } from 'vitest';
import { ACTIONS, HARMLESS, removeEmptyStore, RestartWorld, type Sequence } from './world.ts';

const SEQUENCES = Number(process.env['TAILRACE_TEST_MODEL_SEQUENCES'] ?? 300);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 14);
vi.setConfig({ testTimeout: 60_000 + SEQUENCES * 200 });
afterAll(removeEmptyStore);

const steps = (actions: readonly (typeof ACTIONS)[number][]) =>
  fc.array(fc.record({ action: fc.constantFrom(...actions), seed: fc.nat(999) }), {
    minLength: 1,
    maxLength: 10,
  });

const sequences = (actions: readonly (typeof ACTIONS)[number][]): fc.Arbitrary<Sequence> =>
  fc.record({
    steps: steps(actions),
    ack: fc.constantFrom('auto', 'delivered', 'durable'),
    version: fc.constantFrom(17, 18),
  });

const holds = (actions: readonly (typeof ACTIONS)[number][], numRuns: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(sequences(actions), async (sequence) => {
      const fault = await new RestartWorld(sequence).run();
      if (fault !== undefined) throw new Error(fault);
    }),
    { seed: SEED, numRuns, endOnFailure: process.env['TAILRACE_TEST_NO_SHRINK'] !== undefined },
  );

test(`after ${SEQUENCES} random sequences nothing is missing in silence (seed ${SEED})`, async () => {
  await holds(ACTIONS, SEQUENCES);
});

test('restarts, crashes and power cuts alone cost nothing and declare nothing', async () => {
  await holds([...HARMLESS], Math.ceil(SEQUENCES / 4));
});

test('a sequence without an action is at peace', async () => {
  expect(await new RestartWorld({ steps: [], ack: 'delivered', version: 18 }).run()).toBeUndefined();
});
