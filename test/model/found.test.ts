// Sequences that once lost something in silence, as short as they could be made: each stays mended.
import { afterAll, expect, test } from 'vitest';
import { removeEmptyStore } from './directory.ts';
import type { Sequence } from './sequence.ts';
import { RestartWorld } from './world.ts';

afterAll(removeEmptyStore);

const FOUND: readonly (readonly [what: string, sequence: Sequence])[] = [
  [
    'a transaction that was given up at a promotion, and came again, does not part the histories',
    {
      steps: [
        { action: 'failover to a standby behind', seed: 155 },
        { action: 'go on', seed: 0 },
        { action: 'server crashed', seed: 182 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'below a switch a server that had gone back before has others than the log: they are not taken for what it holds',
    {
      steps: [
        { action: 'server copied', seed: 548 },
        { action: 'server restored', seed: 670 },
        { action: 'go on', seed: 0 },
        { action: 'failover to a level standby', seed: 659 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'what was found of a server that went back is known to the next one, whose slot is new',
    {
      steps: [
        { action: 'server copied', seed: 0 },
        { action: 'server restored', seed: 711 },
        { action: 'failover without the slot', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
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
  [
    'a table that was taken out of the publication just before another one is followed is a gap',
    {
      steps: [
        { action: 'table taken out', seed: 0 },
        { action: 'options changed', seed: 853 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'another publication that was narrowed before anybody looked at it is a gap for as long as it is',
    {
      steps: [
        { action: 'options changed', seed: 0 },
        { action: 'publication narrowed', seed: 378 },
        { action: 'ledger deleted', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'a publication that is followed again and still publishes less than it did is a gap again',
    {
      steps: [
        { action: 'publication narrowed', seed: 0 },
        { action: 'go on', seed: 261 },
        { action: 'options changed', seed: 0 },
        { action: 'options changed', seed: 0 },
        { action: 'go on', seed: 716 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'what was looked at on a server that went back to an earlier timeline does not bound a gap of the one that goes on',
    {
      steps: [
        { action: 'server copied', seed: 0 },
        { action: 'failover without the slot', seed: 90 },
        { action: 'server restored', seed: 0 },
        { action: 'publication narrowed', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'the looks that went with the store are those of the log: narrowed and restored meanwhile is a gap',
    {
      steps: [
        { action: 'go on', seed: 0 },
        { action: 'publication narrowed and restored', seed: 16 },
        { action: 'store deleted', seed: 18 },
        { action: 'go on', seed: 20 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'a gap that has no end yet outlives the store',
    {
      steps: [
        { action: 'publication narrowed', seed: 0 },
        { action: 'store deleted', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'a slot that was moved by hand on a server that was restored before is a gap from where it is certain',
    {
      steps: [
        { action: 'server copied', seed: 0 },
        { action: 'go on', seed: 104 },
        { action: 'server restored', seed: 117 },
        { action: 'slot advanced', seed: 130 },
        { action: 'go on', seed: 143 },
      ],
      ack: 'auto',
      version: 18,
    },
  ],
  [
    'a log that was made anew reads with one publication what was read with another before, and that is a gap',
    {
      steps: [
        { action: 'publication narrowed', seed: 0 },
        { action: 'options changed', seed: 0 },
        { action: 'options changed', seed: 0 },
        { action: 'log moved away', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'a timeline on which no server was proved is not taken for another of that number',
    {
      steps: [
        { action: 'server copied', seed: 0 },
        { action: 'failover without the slot', seed: 0 },
        { action: 'server recovered to a point', seed: 6 },
        { action: 'slot remade', seed: 958 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'a log whose newest segment lost its header to the power is cut before it',
    {
      steps: [
        { action: 'new sink', seed: 830 },
        { action: 'go on', seed: 440 },
        { action: 'power cut', seed: 580 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'where store and log were lost, what the publication does not publish any more is missing for as long as it does not',
    {
      steps: [
        { action: 'store deleted', seed: 0 },
        { action: 'publication narrowed', seed: 533 },
        { action: 'log moved away', seed: 109 },
        { action: 'connection lost', seed: 0 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'a transaction that a server set back gives the place and the id of one in progress is another one',
    {
      steps: [
        { action: 'server copied', seed: 0 },
        { action: 'server restored', seed: 349 },
        { action: 'go on', seed: 1 },
        { action: 'go on', seed: 381 },
        { action: 'server restored', seed: 91 },
        { action: 'go on', seed: 504 },
        { action: 'go on', seed: 0 },
      ],
      ack: 'auto',
      version: 17,
    },
  ],
  [
    'what the log holds of a transaction that was given up keeps the keys that it had, however often options change',
    {
      steps: [
        { action: 'options changed', seed: 868 },
        { action: 'failover to a level standby', seed: 681 },
        { action: 'options changed', seed: 0 },
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
