// Bounded memory: one transaction of a million rows passes through a process that keeps none of it.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

const ROWS = 1_000_000;
const LIMIT_MIB = 400;

test('one transaction of a million rows goes through in bounded memory, each row once (C122, C253)', async () => {
  await world.database.client.query('create table t (id int primary key, note text)');
  const seen = new Uint8Array(ROWS + 1);
  let distinct = 0;
  world.recorder.onMessage = ({ body }) => {
    const id = Number(/"id":(\d+)/.exec(body)?.[1]);
    if (seen[id] === 0) distinct++;
    seen[id] = 1;
  };
  await world.start({
    config: world.config({ sinks: [{ tables: ['t'], queue: 'rows' }] }),
  });
  await world.database.client.query(
    "insert into t select i, repeat('x', 100) from generate_series(1, $1::int) i",
    [ROWS],
  );
  await waitFor(() => distinct === ROWS, 'every row', 280_000);
  expect(world.recorder.counts.accepted).toBe(ROWS);
  expect(world.service.peakRssMiB()).toBeLessThan(LIMIT_MIB);
  expect(await world.service.stop()).toBe(0);
}, 320_000);
