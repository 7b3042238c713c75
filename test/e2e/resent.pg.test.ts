// kill -9 while a large transaction is read: with rows that come again as they were nothing is said; with others the sink halts at a gap.
import { expect, test } from 'vitest';
import type { FoundBackfill } from '../../src/cli/backfill/ports.ts';
import type { StartedRepair } from '../../src/pipeline/service/repairs.ts';
import { STREAMS_IN_PROGRESS } from '../../src/postgres/versions.ts';
import { serverVersion } from '../support/database-settings.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { connect } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();
/** In front of what is large, and behind it. */
const WANTED = 50;

const sql = (text: string) => world.database.client.query(text);
const config = (slot?: string): string =>
  world
    .config({ sinks: [{ tables: ['wanted'] }], ...(slot !== undefined && { slot }) })
    .replace(`publication: { name: ${world.database.name}`, 'publication: { name: pub');
const ids = (): number[] =>
  world.recorder.messages.map(({ body }) => Number((JSON.parse(body) as ChangeMessage).record['id']));
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const makeTables = () =>
  sql(`create table wanted (id int primary key); create table bulk (id int primary key, note text);
    create table joining (id int primary key); create publication pub for table wanted, bulk`);
/** The sink has the first of it long before the last has come. */
const large = (from: number) => `
  insert into wanted select * from generate_series(${from}, ${from + WANTED - 1});
  insert into bulk select i, repeat('x', 1000) from generate_series(${from * 10_000}, ${from * 10_000 + 150_000}) i;
  insert into wanted select * from generate_series(${from + WANTED}, ${from + 2 * WANTED - 1})`;

test.each([
  ['read at its commit', undefined],
  ['sent while it is in progress', 'streaming: on'],
])('a transaction that is %s is no gap after a kill in the middle of it', async (_, slot) => {
  if (slot !== undefined && (await serverVersion(world.database.client)) < STREAMS_IN_PROGRESS) return;
  await makeTables();
  await world.start({ config: config(slot) });
  await sql(`begin; ${large(1)}; commit`);
  await waitFor(() => world.recorder.counts.accepted >= WANTED / 2, 'the first of it', 60_000);
  await world.service.kill();
  expect(world.recorder.counts.accepted).toBeLessThan(2 * WANTED);
  await world.start({ config: config(slot) });
  await waitFor(() => new Set(ids()).size === 2 * WANTED, 'all of it', 100_000);
  expect(ids().toSorted((a, b) => a - b)).toEqual(range(1, 2 * WANTED));
  const { status, databases } = await world.service.health();
  expect([status, databases[0]!.gaps]).toEqual(['healthy', []]);
});

test('one whose publication was altered while it was open is one, and halts the sink until it is accepted', async () => {
  await makeTables();
  await world.start({ config: config() });
  const writer = await connect(world.database.url);
  await writer.query('begin; insert into joining values (1), (2), (3)');
  await sql('alter publication pub add table joining');
  await sql('insert into joining values (10)');
  await sql('insert into wanted values (0)');
  await waitFor(() => world.recorder.counts.accepted === 1, 'what was committed between');
  await writer.query(`${large(1)}; commit`);
  await writer.end();
  await waitFor(() => world.recorder.counts.accepted > WANTED / 2, 'the first of it', 60_000);
  await world.service.kill();
  await world.start({ config: config() });
  const gap = await waitFor(
    async () => (await world.service.health()).databases[0]!.gaps[0],
    'the gap to be declared',
    60_000,
  );
  expect(gap).toMatchObject({ cause: 'transaction_differs', halts: true });
  // What stands behind the difference is not delivered before somebody has decided.
  expect(ids().filter((id) => id > WANTED)).toEqual([]);
  // While its sink is far behind, as this one that is halted, nothing is read beside the stream.
  const { backfill } = await askCommand<StartedRepair>(world.service, 'repair', 'shop');
  expect(await runCommand(world.service, 'gaps', 'accept', String(gap.id))).toMatchObject({ code: 0 });
  await waitFor(
    async () =>
      (await askCommand<FoundBackfill>(world.service, 'backfill', 'show', backfill!)).state === 'completed',
    'what the transaction wrote to be read again',
    60_000,
  );
  await waitFor(() => ids().includes(2 * WANTED), 'the rest of it', 60_000);
  // All that it wrote has come, whatever of it is missing from what was sent again.
  await waitFor(() => range(1, 2 * WANTED).every((id) => ids().includes(id)), 'every row', 60_000);
});
