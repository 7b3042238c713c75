// A disk that others fill: the source pauses and says why, the service lives, and nothing is lost once there is room.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

const world = endToEnd();
const HOOK = new URL('../support/full-disk.ts', import.meta.url).href;

test.each([
  { how: 'as it says, before a write finds out', lies: {} },
  { how: 'as a write finds out', lies: { FULL_DISK_LIES: 'yes' } },
])(
  'a full disk, $how, pauses the source with a reason, and everything arrives once there is room',
  async ({ lies }) => {
    await createTables(world.database.client);
    const random = seededRandom(20);
    const flag = join(world.directory, 'full');
    const env = { NODE_OPTIONS: `--import=${HOOK}`, FULL_DISK: flag, ...lies };
    await world.start({ config: world.config({ sinks: [{ tables: TABLES }] }), env });
    let events = 0;
    let version = 0;
    const write = async (transactions: number): Promise<void> => {
      for (let i = 0; i < transactions; i++) {
        events += await writeTransaction(world.database.client, {
          random,
          count: 1 + Math.floor(random() * 80),
          ids: { from: 0, to: 200 },
          nextVersion: () => ++version,
        });
      }
    };
    await write(5);
    await waitFor(() => world.recorder.messages.length >= events, 'the first messages');
    const before = events;
    writeFileSync(flag, '');
    await write(20);
    await waitFor(async () => {
      const [database] = (await world.service.health()).databases;
      return database?.status === 'degraded' && /disk/.test(database.reason ?? '');
    }, 'the status to name the disk');
    expect(world.recorder.messages.length).toBeLessThan(events);
    expect(world.service.child.exitCode).toBeNull();
    rmSync(flag);
    await waitFor(() => world.recorder.messages.length >= events, `${events} messages, after ${before}`);
    const replica = Replica.of(world.recorder.messages);
    expect(replica.changes).toBe(events);
    expect(replica.repeats).toBe(0);
    await replica.compareWith(world.database.client);
    await waitFor(
      async () => (await world.service.health()).databases[0]?.status === 'healthy',
      'it to be well',
    );
    expect(await world.service.stop()).toBe(0);
  },
);
