// An endpoint that is far away: many requests are in flight, and what holds for few holds for them.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { startLoad } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES } from '../support/workload.ts';

const world = endToEnd();

const DISTANCE_MS = 50;
const KILLS = 3;
const LANES = 64;
/** Where a route begins: more of them were found to bring more. */
const FIRST_LANES = 8;
const BATCH = 10;

async function mostLanes(): Promise<number> {
  const [sink] = (await world.service.health()).sinks;
  return sink?.state === 'running' ? Math.max(...sink.routes.map(({ lanes }) => lanes)) : 0;
}

test('far away, kill -9 with more requests in flight loses nothing, keeps the order, and repeats at most what `lanes` allows', async () => {
  await createTables(world.database.client);
  const config = world.config({ sinks: [{ tables: TABLES, destination: `lanes: ${LANES}` }] });
  await world.start({ config });
  expect(await world.service.stop()).toBe(0);
  world.recorder.distanceMs = DISTANCE_MS;
  const { counts } = world.recorder;
  const load = startLoad({
    client: world.database.client,
    random: seededRandom(21),
    maxCount: 1000,
    ids: { from: 0, to: 100_000 },
    delivered: () => counts.accepted,
    maxAhead: 10_000,
  });
  for (let kill = 0; kill < KILLS; kill++) {
    world.launch({ config });
    await waitFor(async () => (await mostLanes()) > 2 * FIRST_LANES, 'more lanes to be found');
    await world.service.kill();
  }
  const events = await load.stop();
  world.launch({ config });
  await waitFor(() => counts.accepted >= events, `${events} messages`, 100_000);
  const replica = Replica.of(world.recorder.messages);
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBe(0);
  expect(counts.duplicates).toBeGreaterThan(0);
  expect(counts.duplicates).toBeLessThanOrEqual(KILLS * LANES * BATCH);
  await replica.compareWith(world.database.client);
  expect(await world.service.stop()).toBe(0);
}, 300_000);
