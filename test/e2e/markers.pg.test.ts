// Markers in the write-ahead log, end to end: annotations, and transactions that sinks skip, also across kill -9.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore } from '../../src/store/sqlite.ts';
import { serverVersion } from '../support/database-settings.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

type Body = {
  readonly record: { readonly id: number };
  readonly metadata: { readonly transaction_annotations: unknown; readonly commit_idx: number };
};
const bodiesOf = (queue = 'changes.fifo'): Body[] =>
  world.recorder.messagesOf(queue).map(({ body }) => JSON.parse(body) as Body);
const idsOf = (queue?: string): number[] =>
  bodiesOf(queue)
    .map(({ record }) => record.id)
    .sort((a, b) => a - b);
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

const emit = (prefix: string, content: string): string =>
  `select pg_logical_emit_message(true, '${prefix}', '${content}');`;
const insert = (from: number, to = from): string =>
  `insert into t select i, repeat('x', 200) from generate_series(${from}, ${to}) i;`;

const markersOf = async (sink = 0) => (await world.service.health()).sinks[sink]!.markers;

const SKIPPING = 'markers: { skip: true }';

/** The service reports twice a second. */
const POLL = { timeout: 60_000 };

async function createTable(): Promise<boolean> {
  await world.database.client.query('create table t (id int primary key, note text)');
  return (await serverVersion(world.database.client)) >= 140_000;
}

test('annotations hold for the changes that follow, until they are replaced, cleared, or the transaction ends (C139)', async ({
  skip,
}) => {
  skip(!(await createTable()), 'logical messages are streamed from 14 on');
  await world.start({ config: world.config({ sinks: [{ tables: ['t'] }] }) });
  const set = (content: string): string => emit('sequin:transaction_annotations.set', content);
  await world.database.client.query(`
    begin; ${insert(1)} ${set('{"by": "alice"}')} ${insert(2, 3)} ${set('{"by": "bob", "n": 12345678901234567890}')}
      ${insert(4)} ${emit('tailrace:transaction_annotations.clear', '')} ${insert(5)} ${set('no json')} ${insert(6)}
      ${emit('tailrace:transaction_annotations.set', '[1]')} ${insert(7)} commit;
    begin; ${insert(8)} commit`);
  await waitFor(() => bodiesOf().length === 8, '8 messages');
  const byId = new Map(bodiesOf().map(({ record, metadata }) => [record.id, metadata]));
  expect(range(1, 8).map((id) => byId.get(id)!.transaction_annotations)).toEqual([
    null,
    { by: 'alice' },
    { by: 'alice' },
    { by: 'bob', n: Number('12345678901234567890') },
    null,
    null,
    [1],
    null,
  ]);
  expect(range(1, 7).map((id) => byId.get(id)!.commit_idx)).toEqual(range(0, 6));
  expect(world.recorder.messages.some(({ body }) => body.includes('"n": 12345678901234567890'))).toBe(true);
  await expect.poll(() => markersOf(), POLL).toMatchObject({ invalidAnnotations: 1, ignored: 0 });
});

test('an annotation larger than the log takes leaves nobody else’s in force: null, and counted', async ({
  skip,
}) => {
  skip(!(await createTable()), 'logical messages are streamed from 14 on');
  const config = `${world.config({ sinks: [{ tables: ['t'] }], databaseExtra: SKIPPING })}\nlog: { max_message_bytes: 256KB }`;
  await world.start({ config });
  const set = (content: string): string => emit('sequin:transaction_annotations.set', content);
  const long = 'x'.repeat(400_000);
  await world.database.client.query(`
    begin; ${set('{"by": "alice"}')} ${insert(1)} ${set(`{"by": "${long}"}`)} ${insert(2)}
      ${set('{"by": "bob"}')} ${insert(3)} ${emit('tailrace:skip', long)} ${emit('somebody', long)} ${insert(4)}
      ${emit('tailrace:transaction_annotations.clear', long)} ${insert(5)} commit`);
  await waitFor(() => bodiesOf().length === 5, '5 messages');
  const byId = new Map(bodiesOf().map(({ record, metadata }) => [record.id, metadata]));
  expect(range(1, 5).map((id) => byId.get(id)!.transaction_annotations)).toEqual([
    { by: 'alice' },
    null,
    { by: 'bob' },
    { by: 'bob' },
    null,
  ]);
  await expect.poll(() => markersOf(), POLL).toMatchObject({ invalidAnnotations: 1, ignored: 1 });
});

const TWO_SINKS = [
  { name: 'all', tables: ['t'], extra: 'retry: { max_backoff: 200ms }' },
  { name: 'heedless', queue: 'heedless.fifo', tables: ['t'], extra: 'ignore_markers: true' },
];

test('from its marker on a transaction is skipped by the sinks that it names, with a record', async ({
  skip,
}) => {
  skip(!(await createTable()), 'logical messages are streamed from 14 on');
  await world.start({ config: world.config({ sinks: TWO_SINKS, databaseExtra: SKIPPING }) });
  await world.database.client.query(`
    begin; ${insert(1, 2)} ${emit('tailrace:skip', '')} ${insert(3, 5)} update t set note = 'x' where id = 1; commit;
    begin; ${emit('tailrace:skip', '["other"]')} ${insert(6)} commit;
    begin; ${emit('tailrace:skip', 'other, all')} ${insert(7)} commit;
    begin; ${insert(8)} commit`);
  await waitFor(() => idsOf().includes(8) && idsOf('heedless.fifo').length === 9, 'the last change');
  expect(idsOf()).toEqual([1, 2, 6, 8]);
  expect(idsOf('heedless.fifo')).toEqual([1, ...range(1, 8)]);
  await expect
    .poll(() => markersOf(0), POLL)
    .toMatchObject({
      skippedTransactions: 2,
      skippedChanges: 5,
      lastSkipped: [{ changes: 4 }, { changes: 1 }],
      ignored: 0,
    });
  await expect.poll(() => markersOf(1), POLL).toMatchObject({ skippedTransactions: 0, ignored: 1 });
  expect(await world.service.stop()).toBe(0);
  const store = openStore(join(world.directory, 'data', 'tailrace.db'));
  const kept = store.skipped.list({ database: 'shop', sink: 'all' });
  expect(kept).toMatchObject([{ changes: 4 }, { changes: 1 }]);
  expect(store.skipped.list({ database: 'shop', sink: 'heedless' })).toEqual([]);
  store.close();
  const { rows } = await world.database.client.query<{ xid: string }>(
    'select xmin::text as xid from t where id = 7',
  );
  expect(kept[1]?.xid).toBe(Number(rows[0]?.xid));
  // The first at once; what follows within a minute is counted.
  expect(world.service.log.filter(({ msg }) => msg?.startsWith('skipped what follows'))).toHaveLength(1);
});

test('where the database does not allow it, a skip marker is counted and nothing is skipped', async ({
  skip,
}) => {
  skip(!(await createTable()), 'logical messages are streamed from 14 on');
  await world.start({ config: world.config({ sinks: [{ tables: ['t'] }] }) });
  await world.database.client.query(`begin; ${emit('tailrace:skip', '')} ${insert(1)} commit`);
  await waitFor(() => idsOf().length === 1, 'the change');
  await expect.poll(() => markersOf(), POLL).toMatchObject({ ignored: 1, skippedTransactions: 0 });
});

const ROWS = 8_000;

test('after kill -9 in the middle of a marked transaction its later changes are marked as its earlier ones (C142)', async ({
  skip,
}) => {
  skip(!(await createTable()), 'logical messages are streamed from 14 on');
  const config = world.config({ faulty: true, sinks: TWO_SINKS, databaseExtra: SKIPPING });
  let open = ROWS / 4;
  world.proxy.decide = ({ action, entries, queue }) => {
    if (action !== 'SendMessageBatch' || queue !== 'changes.fifo') return undefined;
    open -= entries.length;
    return open >= 0 ? undefined : { kind: 'error', status: 503, code: 'ServiceUnavailable' };
  };
  await world.start({ config });
  const first = insert(1, ROWS / 2);
  const last = insert(ROWS / 2 + 1, ROWS);
  await world.database.client.query(
    `begin; ${emit('tailrace:transaction_annotations.set', '{"load": 7}')} ${first} ${emit('tailrace:skip', 'all')} ${last} commit`,
  );
  await waitFor(() => bodiesOf('heedless.fifo').length === ROWS, 'the sink that skips nothing');
  await waitFor(() => open < 0, 'the other to be stopped in the middle');
  await waitFor(
    async () => (await world.service.health()).sinks[0]!.delivered > ROWS / 8,
    'its cursor to move',
  );
  await world.service.kill();
  world.proxy.heal();
  await world.start({ config });
  await world.database.client.query(insert(ROWS + 1));
  await waitFor(() => idsOf().includes(ROWS + 1), 'the change after it');
  await waitFor(() => idsOf().length >= ROWS / 2 + 1, 'all that is not skipped');
  expect(idsOf()).toEqual([...range(1, ROWS / 2), ROWS + 1]);
  const marked = bodiesOf().filter(({ record }) => record.id <= ROWS);
  expect(
    marked.every(({ metadata }) => JSON.stringify(metadata.transaction_annotations) === '{"load":7}'),
  ).toBe(true);
  await expect.poll(() => markersOf(), POLL).toMatchObject({ lastSkipped: [{ changes: ROWS / 2 }] });
});
