// Backfills of a real source beside a real stream: what the log holds at the end is the table, and no row comes after a newer change of it.
import { describe, expect, test } from 'vitest';
import { ask, backfillRoom, completed, found, keepWriting, progressOf } from '../../../support/backfilled.ts';
import { tablePattern } from '../../../../src/core/selection.ts';
import { serverVersion } from '../../../support/database-settings.ts';
import { connect, waitFor } from '../../../support/postgres.ts';
import type { TestSource } from '../../../support/source.ts';

const room = backfillRoom();

describe('a table that is there already', () => {
  test('is read into the log whole, for whom it was asked for (C194)', async () => {
    await room.client.query(
      `create table notes (id int primary key, v int, "Text" text); insert into notes select i, 1, 'n' || i from generate_series(1, 3000) i; analyze notes`,
    );
    const source = await room.start();
    const id = ask(source, { sinks: [] });
    const backfill = await completed(source, id);
    const { rows, reads } = await source.read();
    expect(rows.map(({ action, values }) => [action, ...values])).toEqual(
      (await room.rowsOf()).map((values) => ['read', ...values]),
    );
    expect(rows[0]!.relation).toMatchObject({ schema: 'public', table: 'notes', key: ['id'] });
    expect(new Set(rows.map(({ index }) => index)).size).toBe(3000);
    expect(reads.every(({ backfill: of, sinks }) => of === id && sinks === undefined)).toBe(true);
    expect(progressOf(backfill)).toMatchObject({
      scanned: 3000,
      appended: 3000,
      dropped: 0,
      readAgain: 0,
      restarts: 0,
      estimatedRows: 3000,
    });
  });
});

describe('a table that is written to meanwhile', () => {
  test('is the consumer’s at the end, with no row after a newer change of it (C195–C197)', async () => {
    await room.client.query(
      `create table notes (id int primary key, v int, note text); insert into notes select i, 0, 'n' || i from generate_series(1, 20000) i`,
    );
    const source = await room.start();
    const stopping = new AbortController();
    const writer = await connect(room.database.url);
    const writing = keepWriting((i) => {
      const id = (step: number): number => ((i * 7919 * step) % 20_000) + 1;
      return writer.query(
        `begin; update notes set v = ${i} where id between ${id(1)} and ${id(1) + 5}; delete from notes where id = ${id(3)};
         insert into notes values (${id(5)}, ${i}, 'again') on conflict (id) do update set v = ${i}; commit`,
      );
    }, stopping.signal);
    const id = ask(source);
    const backfill = await completed(source, id);
    stopping.abort();
    expect(await writing).toBeGreaterThan(10);
    await writer.end();
    const consumer = await room.consumed(source);
    expect(consumer.stale).toEqual([]);
    expect(progressOf(backfill).appended).toBeGreaterThan(15_000);
    expect(found(source, id).heldBy).toBeUndefined();
  });
});

test('for who takes no updates, a row that is updated while it is read is read until it gets through', async () => {
  await room.client.query(
    `create table notes (id int primary key, v int, note text); insert into notes select i, 0, 'n' || i from generate_series(1, 3000) i`,
  );
  const source = await room.start({}, { withoutUpdates: new Set(['consumer']) });
  const stopping = new AbortController();
  const writer = await connect(room.database.url);
  const writing = keepWriting(
    (i) => writer.query(`update notes set v = ${i} where id % 50 = ${i % 50}`),
    stopping.signal,
  );
  const backfill = await completed(
    source,
    ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 3000 } }),
  );
  stopping.abort();
  await writing;
  await writer.end();
  const { stale } = await room.consumed(source);
  expect(stale).toEqual([]);
  expect(progressOf(backfill).readAgain).toBeGreaterThan(0);
  const { rows } = await source.read();
  const read = rows.filter(({ action }) => action === 'read').map(({ values: [id] }) => id);
  expect(new Set(read).size).toBe(3000);
});

describe('a table without a key', () => {
  test('is read by its pages, each row known by its place (C207)', async () => {
    await room.client.query(
      `create table notes (id int, v int); alter table notes replica identity full; insert into notes select i, 0 from generate_series(1, 2000) i`,
    );
    const source = await room.start();
    const backfill = await completed(source, ask(source));
    const { rows } = await source.read();
    expect(rows.map(({ values }) => values.slice(0, 2))).toEqual(await room.rowsOf());
    expect(new Set(rows.map(({ values }) => values[2])).size).toBe(2000);
    expect(progressOf(backfill)).toMatchObject({ appended: 2000, readAgain: 0, notes: [] });
  });

  test('that is changed all the time is read in the end, and it is said what that may mean', async () => {
    await room.client.query(
      `create table notes (id int, v int); alter table notes replica identity full; insert into notes select i, 0 from generate_series(1, 200) i`,
    );
    const source = await room.start();
    const stopping = new AbortController();
    // So many that no chunk is without a change.
    const writers = await Promise.all(Array.from({ length: 4 }, () => connect(room.database.url)));
    const writing = writers.map((writer) =>
      keepWriting((i) => writer.query(`insert into notes values (${1000 + i}, 0)`), stopping.signal),
    );
    const backfill = await completed(source, ask(source));
    stopping.abort();
    await Promise.all(writing);
    await Promise.all(writers.map((writer) => writer.end()));
    const { appended, readAgain, notes } = progressOf(backfill);
    expect(appended).toBeGreaterThanOrEqual(200);
    expect(readAgain).toBeGreaterThanOrEqual(200);
    expect(notes).toEqual([expect.stringContaining('changed all the time')]);
  });

  test('that is rewritten midway is begun again, with keys of their own for its rows', async () => {
    await room.client.query(
      `create table notes (id int, v int) with (fillfactor = 10); alter table notes replica identity full; insert into notes select i, 0 from generate_series(1, 20000) i`,
    );
    const source = await room.start();
    const id = ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 2500 } });
    await waitFor(() => progressOf(found(source, id)).appended > 0, 'some rows to be read');
    await room.client.query('delete from notes where id % 2 = 0');
    await room.client.query('vacuum full notes');
    const backfill = await completed(source, id);
    const { restarts, notes } = progressOf(backfill);
    expect(restarts).toBe(1);
    expect(notes).toEqual([expect.stringContaining('was rewritten')]);
    const { reads, rows } = await source.read();
    expect(new Set(reads.map((read) => read.backfill))).toEqual(new Set([id, `${id}.1`]));
    const present = new Set((await room.rowsOf()).map(([row]) => row));
    const again = rows.slice(-10_000);
    expect(new Set(again.map(({ values }) => values[0]))).toEqual(present);
  });
});

describe('a table that changes its form midway', () => {
  const limits = { queryTimeoutMs: 5000, maxRowsPerSecond: 2500 };
  const begin = async () => {
    await room.client.query(
      `create table notes (id int primary key, v int); insert into notes select i, 0 from generate_series(1, 8000) i`,
    );
    const source = await room.start();
    const id = ask(source, { limits });
    await waitFor(() => progressOf(found(source, id)).appended > 0, 'some rows to be read');
    return { source, id };
  };

  test('is read on as it is then', async () => {
    const { source, id } = await begin();
    await room.client.query(`alter table notes add note text default 'new'`);
    const backfill = await completed(source, id);
    expect(progressOf(backfill)).toMatchObject({ appended: 8000, restarts: 0 });
    const { rows } = await source.read();
    expect(rows[0]!.values).toEqual(['1', '0']);
    expect(rows.at(-1)!.values).toEqual(['8000', '0', 'new']);
  });

  test('is begun again under another key', async () => {
    const { source, id } = await begin();
    await room.client.query('alter table notes drop constraint notes_pkey, add primary key (v, id)');
    const backfill = await completed(source, id);
    expect(progressOf(backfill).restarts).toBe(1);
    const { rows } = await source.read();
    expect(rows.slice(-8000).map(({ values }) => values[0])).toEqual(
      (await room.rowsOf()).map(([row]) => row),
    );
  });

  test('has no more rows once it is truncated (C088, C200)', async () => {
    const { source, id } = await begin();
    await room.client.query('truncate notes');
    await completed(source, id);
    const { rows } = await source.read();
    expect(rows.findLast(({ action }) => action === 'read')!.index).toBeLessThan(8000);
    expect(rows.at(-1)!.action).toBe('truncate');
  });

  test('and is dropped, is read no further, which is said (C200)', async () => {
    const { source, id } = await begin();
    await room.client.query('drop table notes');
    const backfill = await completed(source, id);
    expect(progressOf(backfill).notes).toEqual([expect.stringContaining('not there any more')]);
  });
});

describe('a partitioned table', () => {
  const makeParts = () =>
    room.client.query(
      `create table notes (id int, v int, primary key (id)) partition by range (id);
       create table notes_1 partition of notes for values from (1) to (4001);
       create table notes_2 partition of notes for values from (4001) to (8001);
       insert into notes select i, 0 from generate_series(1, 8000) i`,
    );
  const idsIn = async (source: TestSource) =>
    (await source.read()).rows.map(({ values: [value] }) => Number(value));

  test('is read partition by partition, also one that is attached with its rows meanwhile (C096)', async () => {
    await makeParts();
    const source = await room.start();
    const id = ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 2500 } });
    await waitFor(() => progressOf(found(source, id)).appended > 0, 'some rows to be read');
    await room.client.query(
      `create table notes_3 (like notes including all); insert into notes_3 select i, 0 from generate_series(8001, 8100) i;
       alter table notes attach partition notes_3 for values from (8001) to (9001)`,
    );
    const backfill = await completed(source, id);
    const ids = await idsIn(source);
    expect(new Set(ids.filter((one) => one <= 8000)).size).toBe(8000);
    expect(new Set(ids)).toEqual(new Set((await room.rowsOf()).map(([one]) => Number(one))));
    expect(progressOf(backfill)).toMatchObject({ restarts: 0 });
    const { rows } = await source.read();
    expect(new Set(rows.map(({ relation }) => relation.ancestors?.[0]?.table))).toEqual(new Set(['notes']));
  });

  test('loses partitions meanwhile, and one that waits for that: they are read no further, and the others are', async () => {
    await makeParts();
    await room.client.query(
      `create table notes_3 partition of notes for values from (8001) to (9001);
       create table notes_4 partition of notes for values from (9001) to (9101); insert into notes select i, 0 from generate_series(9001, 9100) i;
       create publication pub_${room.database.name} for table notes`,
    );
    const source = await room.start();
    const id = ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 2500 } });
    await waitFor(() => progressOf(found(source, id)).appended > 0, 'some rows to be read');
    await room.client.query('alter table notes detach partition notes_3');
    const reader = await connect(room.database.url);
    const detaching = await connect(room.database.url);
    await reader.query('begin; select from notes');
    let detached: Promise<unknown> | undefined;
    if ((await serverVersion(room.client)) >= 140_000) {
      detached = detaching.query('alter table notes detach partition notes_2 concurrently');
      detached.catch(() => undefined);
      await waitFor(async () => {
        const { rows } = await room.client.query('select from pg_inherits where inhdetachpending');
        return rows.length === 1;
      }, 'the partition to wait');
    }
    await completed(source, id);
    const ids = new Set(await idsIn(source));
    expect([...ids].filter((one) => one <= 4000 || one > 8000)).toHaveLength(4100);
    await reader.end();
    await detached;
    await detaching.end();
  });

  test('is read by one of its partitions alone', async () => {
    await makeParts();
    const source = await room.start();
    await completed(source, ask(source, { tables: [{ schema: 'public', table: 'notes_2' }] }));
    expect((await idsIn(source)).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 4000 }, (_, i) => 4001 + i),
    );
  });
});

test('without tables, those that its sinks take are read, as the publication carries them', async () => {
  await room.client.query(
    `create table notes (id int primary key, v int); create table other (id int primary key, v int); create table third (id int primary key, v int);
     insert into notes values (1, 0); insert into other values (2, 0); insert into third values (3, 0)`,
  );
  const source = await room.start(
    {},
    {
      selections: ['notes', 'other'].map((table) => ({
        includeTables: [tablePattern({ schema: 'public', table })],
      })),
      sinkSlots: new Map([
        ['first', 0],
        ['second', 1],
      ]),
    },
  );
  for (const slot of [0, 1]) source.signals.setHolding(slot, true);
  for (const sink of ['first', 'second'])
    source.store.sinks.started({ database: 'shop', sink }, [], { configured: 'active', now: new Date() });
  const request = { database: 'shop', limits: { queryTimeoutMs: 5000 } };
  const readBy = async (sinks: string[], id: string) => {
    source.store.backfills.create({ ...request, sinks }, { id, now: new Date() });
    source.backfillsChanged();
    const { tables = [] } = await completed(source, id);
    return tables.map(({ table }) => table);
  };
  expect(await readBy(['second'], 'of one')).toEqual(['other']);
  expect(await readBy([], 'of all')).toEqual(['notes', 'other']);
  const { reads } = await source.read();
  expect(reads.map(({ backfill, sinks }) => [backfill, sinks])).toEqual([
    ['of one', ['second']],
    ['of all', undefined],
    ['of all', undefined],
  ]);
});

test('a table that the publication does not carry fails, with the cure, and the stream goes on', async () => {
  await room.client.query(
    `create table notes (id int primary key, v int); create table streamed (id int primary key)`,
  );
  const streamed = tablePattern({ schema: 'public', table: 'streamed' });
  const source = await room.start({}, { selections: [{ includeTables: [streamed] }] });
  const id = ask(source);
  const failed = await waitFor(() => found(source, id).state === 'failed' && found(source, id), 'it to fail');
  expect(failed.reason).toContain('does not carry public.notes');
  await room.client.query('insert into streamed values (1)');
  await waitFor(async () => (await source.read()).rows.length === 1, 'the live change');
});

test('what kept a backfill from reading is not said of it any more once it reads', async () => {
  await room.client.query(
    `create table notes (id int primary key, v int); insert into notes select i, 0 from generate_series(1, 3000) i`,
  );
  const source = await room.start();
  const allow = (isAllowed: boolean): Promise<unknown> =>
    room.client.query(
      `update pg_database set datallowconn = ${isAllowed} where datname = current_database()`,
    );
  await allow(false);
  const id = ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 300 } });
  await waitFor(() => found(source, id).heldBy !== undefined, 'the fault to be told');
  await allow(true);
  await waitFor(() => (found(source, id).tables ?? []).some(({ progress }) => progress.appended > 0), 'rows');
  const { state, heldBy } = found(source, id);
  expect({ state, heldBy }).toEqual({ state: 'running', heldBy: undefined });
});
