// kill -9 at random moments under load: nothing lost, order held, repeats only among requests that were in flight.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configText } from '../support/config.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';
import {
  createTables,
  Replica,
  seededRandom,
  TABLES,
  writeTransaction,
  type ChangeMessage,
} from '../support/workload.ts';

let database: TestDatabase;
let recorder: SqsRecorder;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess;

beforeEach(async () => {
  database = await createTestDatabase();
  recorder = await startSqsRecorder();
  directory = createWorkDirectory();
});

afterEach(async ({ task }) => {
  await service.end(task);
  await recorder.stop();
  await database.drop();
  directory.remove();
});

const KILLS = 8;
const LANES = 8;
const BATCH = 10;
const MAX_AHEAD = 10_000;

test('kill -9 under load loses nothing, keeps the order, and repeats at most what was in flight', async () => {
  await createTables(database.client);
  const config = configText({
    database,
    endpoint: recorder.url,
    sinks: [{ tables: TABLES, destination: `lanes: ${LANES}` }],
  });
  // The slot must be there before the first change.
  service = startService({ config, directory: directory.path });
  await service.ready();
  expect(await service.stop()).toBe(0);
  const random = seededRandom(3);
  let version = 0;
  let events = 0;
  let writing = true;
  const writer = (async () => {
    while (writing) {
      // A load that is always ahead, but not by more than can be waited for.
      await waitFor(
        () => !writing || events - recorder.counts.accepted < MAX_AHEAD,
        'the service to catch up',
      );
      events += await writeTransaction(database.client, {
        random,
        count: 1 + Math.floor(random() * 400),
        ids: { from: 0, to: 3000 },
        nextVersion: () => ++version,
      });
    }
  })();
  for (let kill = 0; kill < KILLS; kill++) {
    service = startService({ config, directory: directory.path });
    const from = recorder.counts.accepted;
    const more = 50 + Math.floor(random() * 3000);
    await waitFor(() => recorder.counts.accepted > from + more, `${more} more messages`);
    await service.kill();
  }
  writing = false;
  await writer;
  service = startService({ config, directory: directory.path });
  await waitFor(() => recorder.counts.accepted >= events, `${events} messages`, 100_000);
  const replica = new Replica();
  for (const { body } of recorder.messages) replica.apply(JSON.parse(body) as ChangeMessage);
  expect(replica.changes).toBe(events);
  // A FIFO queue shows none of the repeats: it deduplicates them by id.
  expect(replica.repeats).toBe(0);
  expect(recorder.counts.duplicates).toBeLessThanOrEqual(KILLS * LANES * BATCH);
  await replica.compareWith(database.client);
  expect(await service.stop()).toBe(0);
});
