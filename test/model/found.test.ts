// Sequences that once lost something in silence, as short as they could be made: each stays mended.
import { afterAll, expect, test } from 'vitest';
import { removeEmptyStore, RestartWorld, type Sequence } from './world.ts';

afterAll(removeEmptyStore);

const FOUND: readonly (readonly [what: string, sequence: Sequence])[] = [
  [
    'a slot that somebody moved past what our disk has is not taken for our own flush, whatever the power does',
    {
      steps: [
        { action: 'slot remade', seed: 0 },
        { action: 'power cut', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'the directory of the log is durable before anything in it is relied on',
    {
      steps: [
        { action: 'go on', seed: 670 },
        { action: 'go on', seed: 988 },
        { action: 'power cut', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'a gap behind which the stream goes on keeps its end, also beside one that has none yet',
    {
      steps: [
        { action: 'options changed', seed: 0 },
        { action: 'go on', seed: 338 },
        { action: 'publication dropped', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
];

test.each(FOUND)('%s', async (_, sequence) => {
  expect(await new RestartWorld(sequence).run()).toBeUndefined();
});
