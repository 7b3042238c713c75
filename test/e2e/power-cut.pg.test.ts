// Power cuts at random moments under load: the process is gone, and with it what was not synced, of files and of names.
import { resolve } from 'node:path';
import { expect, test, vi } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { startLoad } from '../support/load.ts';
import { DiskRecord } from '../support/power-cut-disk.ts';
import { POWER_CUT_DIRECTORY, recordOf } from '../support/power-cut.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES } from '../support/workload.ts';

const world = endToEnd();

/** The proof has many; what runs every time has a few. */
const CUTS = Number(process.env['TAILRACE_TEST_CUTS'] ?? 4);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 5);
vi.setConfig({ testTimeout: 120_000 + CUTS * 15_000 });

const POWER_CUT = resolve(import.meta.dirname, '../support/power-cut.ts');

// Under `durable` Postgres forgets what only our disk has.
test.each(['delivered', 'durable'])(
  'power cuts under load lose nothing and keep the order, with ack: %s',
  async (ack) => {
    await createTables(world.database.client);
    const { directory } = world;
    const how = {
      config: world.config({ sinks: [{ tables: TABLES }], slot: `ack: ${ack}` }),
      env: { [POWER_CUT_DIRECTORY]: directory },
      nodeArgs: ['--import', POWER_CUT],
    };
    // The slot must be there before the first change.
    await world.start(how);
    expect(await world.service.stop()).toBe(0);
    const random = seededRandom(SEED);
    const load = startLoad({
      client: world.database.client,
      random,
      maxCount: 400,
      ids: { from: 0, to: 3000 },
      delivered: () => world.recorder.counts.accepted,
      maxAhead: 10_000,
    });
    for (let cut = 0; cut < CUTS; cut++) {
      world.launch(how);
      const from = world.recorder.counts.accepted;
      const more = 50 + Math.floor(random() * 3000);
      await waitFor(() => world.recorder.counts.accepted > from + more, `${more} more messages`);
      await world.service.kill();
      // Every other time nothing that was not synced survives, else a part of it.
      new DiskRecord(directory, recordOf(directory)).cut(cut % 2 === 0 ? undefined : random);
    }
    const events = await load.stop();
    world.launch(how);
    await waitFor(() => world.recorder.counts.accepted >= events, `${events} messages`, 100_000);
    const replica = Replica.of(world.recorder.messages);
    expect(replica.changes).toBe(events);
    expect(replica.repeats).toBe(0);
    await replica.compareWith(world.database.client);
    expect((await world.service.health()).databases[0]).toMatchObject({ gaps: [] });
    expect(await world.service.stop()).toBe(0);
  },
);
