// A backfill beside writers, killed at random moments: at the end the consumer has the table, and no row came after a newer change of it.
import { expect, test } from 'vitest';
import type { FoundBackfill } from '../../src/cli/backfill/ports.ts';
import { keepWriting } from '../support/backfilled.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand } from '../support/operator.ts';
import { connect } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import { seededRandom } from '../support/workload.ts';

const world = endToEnd();

const ROWS = 8_000;
const KILLS = 3;
/** Lanes and batches as they are: what was on its way at a kill may come once more. */
const MOST_REPEATS = 0.005;

type Message = {
  readonly record: { readonly id: number; readonly v: number };
  readonly action: string;
};

function consume(bodies: readonly string[]) {
  const rows = new Map<number, number | undefined>();
  const stale: string[] = [];
  let reads = 0;
  for (const body of bodies) {
    const { record, action } = JSON.parse(body) as Message;
    const { id, v } = record;
    const known = rows.get(id);
    if (action === 'delete') rows.set(id, undefined);
    else {
      if (action === 'read') {
        reads++;
        if (rows.has(id) && (known === undefined || known > v)) stale.push(`${id}: ${v} after ${known}`);
      }
      rows.set(id, v);
    }
  }
  return { rows, stale, reads };
}

test('kill -9 of a service that reads a table beside its writers loses nothing, and brings nothing too late (C202)', async () => {
  const { client } = world.database;
  await client.query(`create table notes (id int primary key, v int, note text);
    insert into notes select i, 0, repeat('n', 100) from generate_series(1, ${ROWS}) i; analyze notes`);
  const config = world.config({
    sinks: [
      {
        name: 'notes',
        tables: ['notes'],
        extra: 'initial_backfill: true\nbackfill: { max_rows_per_second: 1000 }',
      },
    ],
  });
  const random = seededRandom(18);
  await world.start({ config });
  const writer = await connect(world.database.url);
  const stopping = new AbortController();
  const writing = keepWriting(
    (i) => {
      const id = Math.floor(random() * ROWS) + 1;
      return writer.query(`begin; update notes set v = ${i} where id between ${id} and ${id + 3}; delete from notes where id = ${id + 5};
        insert into notes values (${((id * 7) % ROWS) + 1}, ${i}, 'new') on conflict (id) do update set v = ${i}; commit`);
    },
    stopping.signal,
    5,
  );
  for (let kill = 0; kill < KILLS; kill++) {
    const from = world.recorder.counts.accepted;
    const more = 300 + random() * 900;
    await waitFor(() => world.recorder.counts.accepted > from + more, 'more messages');
    await world.service.kill();
    await world.start({ config });
  }
  const backfill = await waitFor(async () => {
    const { backfills } = await askCommand<{ backfills: readonly FoundBackfill[] }>(
      world.service,
      'backfill',
      'list',
    );
    return backfills[0]?.state === 'completed' && backfills[0];
  }, 'the backfill to complete');
  stopping.abort();
  await writing;
  await writer.end();
  const { rows: expected } = await client.query<{ id: number; v: number }>(
    'select id, v from notes order by id',
  );
  const { stale, reads } = await waitFor(() => {
    const consumed = consume(world.recorder.messages.map(({ body }) => body));
    const present = [...consumed.rows].filter(([, v]) => v !== undefined).toSorted(([a], [b]) => a - b);
    return JSON.stringify(present) === JSON.stringify(expected.map(({ id, v }) => [id, v])) && consumed;
  }, 'the consumer to have what the table has');
  expect(stale).toEqual([]);
  // Rows that were read a second time would have keys of their own, or none were.
  expect(reads).toBeGreaterThan(ROWS / 2);
  expect(backfill.rows_appended - reads).toBeLessThanOrEqual(ROWS * MOST_REPEATS);
  expect(await world.service.stop()).toBe(0);
}, 300_000);
