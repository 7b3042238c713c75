// Sequences that once lost something in silence, as short as they could be made: each stays mended.
import { afterAll, expect, test } from 'vitest';
import { removeEmptyStore } from './directory.ts';
import type { Sequence } from './sequence.ts';
import { RestartWorld } from './world.ts';

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
  [
    'another publication than before is a gap from where nothing was read yet, however it was looked at since',
    {
      steps: [
        { action: 'publication dropped', seed: 0 },
        { action: 'options changed', seed: 0 },
        { action: 'go on', seed: 350 },
        { action: 'options changed', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 18,
    },
  ],
  [
    'another publication that leaves transactions out is no other history',
    {
      steps: [
        { action: 'publication narrowed', seed: 0 },
        { action: 'options changed', seed: 0 },
        { action: 'go on', seed: 190 },
        { action: 'options changed', seed: 233 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'what was looked at in a history that parted does not bound a gap of the one that goes on',
    {
      steps: [
        { action: 'failover without the slot', seed: 95 },
        { action: 'publication narrowed', seed: 0 },
        { action: 'failover to a standby behind', seed: 250 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'no stream goes on behind a gap that ends above the WAL of a server that was restored since',
    {
      steps: [
        { action: 'server copied', seed: 0 },
        { action: 'publication remade', seed: 449 },
        { action: 'go on', seed: 0 },
        { action: 'server recovered to a point', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'what was looked at in a history that parted bounds no gap, also where later looks are of the one that goes on',
    {
      steps: [
        { action: 'table taken out', seed: 0 },
        { action: 'go on', seed: 620 },
        { action: 'go on', seed: 442 },
        { action: 'failover to a level standby', seed: 474 },
        { action: 'failover to a standby behind', seed: 90 },
        { action: 'publication dropped', seed: 298 },
      ],
      ack: 'auto',
      version: 18,
    },
  ],
  [
    'a server restored from a snapshot is not taken for the same one because another publication is followed as well',
    {
      steps: [
        { action: 'server copied', seed: 0 },
        { action: 'server restored', seed: 0 },
        { action: 'options changed', seed: 192 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'delivered',
      version: 18,
    },
  ],
  [
    'a log that was made at a start that came no further misses what the slot has moved past since',
    {
      steps: [
        { action: 'disk full', seed: 0 },
        { action: 'log moved away', seed: 0 },
        { action: 'slot dropped', seed: 0 },
      ],
      ack: 'auto',
      version: 18,
    },
  ],
];

test.each(FOUND)('%s', async (_, sequence) => {
  expect(await new RestartWorld(sequence).run()).toBeUndefined();
});

// The last look at the publication before is older than what was read of it: what it left out since then nobody looks for.
test.fails(
  'a table that was taken out of the publication just before another one is followed is a gap',
  async () => {
    const steps = [
      { action: 'table taken out', seed: 0 },
      { action: 'options changed', seed: 853 },
      { action: 'go on', seed: 0 },
    ] as const;
    expect(await new RestartWorld({ steps, ack: 'auto', version: 17, strict: true }).run()).toBeUndefined();
  },
);
