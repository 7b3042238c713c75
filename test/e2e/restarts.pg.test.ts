// Random sequences of restarts, moves, crashes and restores against real servers: a change is delivered, or lies in a declared
// gap, or the service says why it stands. Never silence.
import { afterAll, describe, expect, test, vi } from 'vitest';
import { pick, randomActs } from '../support/restart-acts.ts';
import { runSequence, type Sequence } from '../support/restart-sequence.ts';
import { removeTemplate } from '../support/restart-server.ts';
import { seededRandom } from '../support/workload.ts';

/** What runs every time takes two minutes; the proof has many, and goes on from seed to seed. */
const SEQUENCES = Number(process.env['TAILRACE_TEST_SEQUENCES'] ?? 20);
const FIRST_SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 1);
/** They wait more than they work. */
const AT_A_TIME = Number(process.env['TAILRACE_TEST_AT_A_TIME'] ?? 3);
vi.setConfig({ testTimeout: 600_000, maxConcurrency: AT_A_TIME });
afterAll(removeTemplate);

function sequenceOf(number: number): Sequence {
  const seed = number * 7919;
  const random = seededRandom(seed);
  const acts = randomActs(random);
  return { acts, ack: pick(['auto', 'delivered', 'durable'], random), seed };
}

/** What never came and that nothing names; the story is printed where there is any, or where somebody runs many. */
async function faultsOf(name: string, sequence: Sequence): Promise<readonly string[]> {
  const { faults, story } = await runSequence(sequence);
  const verdict = faults.length === 0 ? 'well' : 'FAULT';
  if (faults.length > 0 || process.env['TAILRACE_TEST_SEQUENCES'] !== undefined)
    console.log(`${verdict} ${name}, ack ${sequence.ack}: ${sequence.acts.join(', ')}\n${story}`);
  return faults.slice(0, 10);
}

describe.concurrent('nothing is missing in silence', () => {
  test.each(Array.from({ length: SEQUENCES }, (_, i) => FIRST_SEED + i))(
    'after sequence %i',
    async (number) => {
      expect(await faultsOf(`sequence ${number}`, sequenceOf(number))).toEqual([]);
    },
  );
});
