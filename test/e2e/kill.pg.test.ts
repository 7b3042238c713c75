// kill -9 at random moments under load: nothing lost, order held, repeats only among requests that were in flight.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { startLoad } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES } from '../support/workload.ts';

const world = endToEnd();

const KILLS = 8;
const LANES = 8;
const BATCH = 10;

test('kill -9 under load loses nothing, keeps the order, and repeats at most what was in flight (C152, C228)', async () => {
  await createTables(world.database.client);
  const config = world.config({ sinks: [{ tables: TABLES, destination: `lanes: ${LANES}` }] });
  // The slot must be there before the first change.
  await world.start({ config });
  expect(await world.service.stop()).toBe(0);
  const random = seededRandom(3);
  const load = startLoad({
    client: world.database.client,
    random,
    maxCount: 400,
    ids: { from: 0, to: 3000 },
    delivered: () => world.recorder.counts.accepted,
    maxAhead: 10_000,
  });
  for (let kill = 0; kill < KILLS; kill++) {
    world.launch({ config });
    const from = world.recorder.counts.accepted;
    const more = 50 + Math.floor(random() * 3000);
    await waitFor(() => world.recorder.counts.accepted > from + more, `${more} more messages`);
    await world.service.kill();
  }
  const events = await load.stop();
  world.launch({ config });
  await waitFor(() => world.recorder.counts.accepted >= events, `${events} messages`, 100_000);
  const replica = Replica.of(world.recorder.messages);
  expect(replica.changes).toBe(events);
  // A FIFO queue shows none of the repeats: it deduplicates them by id.
  expect(replica.repeats).toBe(0);
  expect(world.recorder.counts.duplicates).toBeLessThanOrEqual(KILLS * LANES * BATCH);
  await replica.compareWith(world.database.client);
  expect(await world.service.stop()).toBe(0);
}, 300_000);
