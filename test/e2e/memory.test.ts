// Bounded memory: one transaction of a million rows passes through a process that keeps none of it.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configText } from '../support/config.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';

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

const ROWS = 1_000_000;
const LIMIT_MIB = 400;

test('one transaction of a million rows goes through in bounded memory, each row once', async () => {
  await database.client.query('create table t (id int primary key, note text)');
  const seen = new Uint8Array(ROWS + 1);
  let distinct = 0;
  recorder.onMessage = ({ body }) => {
    const id = Number(/"id":(\d+)/.exec(body)?.[1]);
    if (seen[id] === 0) distinct++;
    seen[id] = 1;
  };
  service = startService({
    config: configText({ database, endpoint: recorder.url, sinks: [{ tables: ['t'], queue: 'rows' }] }),
    directory: directory.path,
  });
  await service.ready();
  await database.client.query("insert into t select i, repeat('x', 100) from generate_series(1, $1::int) i", [
    ROWS,
  ]);
  await waitFor(() => distinct === ROWS, 'every row', 280_000);
  expect(recorder.counts.accepted).toBe(ROWS);
  expect(service.peakRssMiB()).toBeLessThan(LIMIT_MIB);
  expect(await service.stop()).toBe(0);
}, 320_000);
