// What makes a snapshot show less, or more, than the stream has brought: a backfill beside it is exact all the same.
import { kill } from 'node:process';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../../src/cli/demo/embedded-postgres.ts';
import { ask, backfillRoom, completed, found, keepWriting, progressOf } from '../../../support/backfilled.ts';
import { connect } from '../../../support/postgres.ts';
import type { TestSource } from '../../../support/source.ts';
import { killServer, startPrimary } from '../../../support/standby.ts';
import { waitFor } from '../../../support/wait.ts';

let server: EmbeddedPostgres;
beforeAll(async () => {
  // Whoever commits writes what others committed asynchronously to the disk, too.
  server = await startPrimary({ autovacuum: 'off', max_prepared_transactions: '5' });
});
afterAll(() => server.remove());

const room = backfillRoom({ server: () => server });

const makeTable = (rows: number, note = `'n' || i`): Promise<unknown> =>
  room.client.query(
    `create table notes (id int primary key, v int, note text); insert into notes select i, 0, ${note} from generate_series(1, ${rows}) i`,
  );

const configure = (setting: string): Promise<unknown> =>
  room.client.query(`alter system ${setting}`).then(() => room.client.query('select pg_reload_conf()'));

const hasCome = (source: TestSource, v: string): Promise<unknown> =>
  waitFor(async () => {
    const { rows } = await source.read();
    return rows.some(({ action, values }) => action === 'update' && values[1] === v);
  }, 'the stream to bring the change');

describe('a commit that is streamed before it is visible', () => {
  /** It waits for a standby that there is not. */
  async function commitUnseen() {
    await configure(`set synchronous_standby_names = 'absent'`);
    const writer = await connect(room.database.url);
    const update = writer.query('update notes set v = 1 where id = 190');
    return {
      release: async () => {
        await configure('reset synchronous_standby_names');
        await update;
        await writer.end();
      },
    };
  }

  const isHeld = (source: TestSource, id: string): Promise<unknown> =>
    waitFor(() => found(source, id).heldBy?.includes('not visible yet') === true, 'the backfill to wait');

  test('is waited for: nothing that is older comes behind it', async () => {
    await makeTable(200);
    const source = await room.start();
    const hidden = await commitUnseen();
    await hasCome(source, '1');
    const id = ask(source);
    await isHeld(source, id);
    expect(progressOf(found(source, id)).appended).toBe(0);
    await hidden.release();
    await completed(source, id);
    expect(found(source, id).heldBy).toBeUndefined();
    const consumer = await room.consumed(source);
    expect(consumer.stale).toEqual([]);
    expect(consumer.reads).toBe(200);
  });

  test('is waited for by a source that was started after it had come', async () => {
    await makeTable(200);
    const before = await room.start();
    const hidden = await commitUnseen();
    await hasCome(before, '1');
    await before.stop();
    const source = await room.start();
    const id = ask(source);
    await isHeld(source, id);
    expect(progressOf(found(source, id)).appended).toBe(0);
    await hidden.release();
    await completed(source, id);
    expect((await room.consumed(source)).stale).toEqual([]);
  });
});

test('a transaction that is open when a backfill begins, and waits for its client, holds nothing up (C201)', async () => {
  await makeTable(200);
  const source = await room.start();
  const writer = await connect(room.database.url);
  await writer.query('begin; update notes set v = 1 where id = 7');
  const id = ask(source);
  await completed(source, id);
  await writer.query('commit');
  await writer.end();
  const consumer = await room.consumed(source);
  expect(consumer.stale).toEqual([]);
  expect(consumer.reads).toBe(200);
});

test('a prepared transaction that nobody ends holds nothing up, here or in another database', async () => {
  await makeTable(200);
  const source = await room.start();
  const other = await connect(server.url());
  await other.query(
    `create table others (id int); begin; insert into others values (1); prepare transaction 'other'`,
  );
  await room.client.query(`begin; update notes set v = 1 where id = 7; prepare transaction 'left'`);
  const id = ask(source);
  await completed(source, id);
  await room.client.query(`commit prepared 'left'`);
  const consumer = await room.consumed(source);
  expect(consumer.stale).toEqual([]);
  expect(consumer.reads).toBe(200);
  await other.query(`rollback prepared 'other'`);
  await other.end();
});

test('a prepared transaction whose commit is streamed before it is visible is waited for', async () => {
  await makeTable(200);
  const before = await room.start();
  await room.client.query(`begin; update notes set v = 1 where id = 7; prepare transaction 'left'`);
  await configure(`set synchronous_standby_names = 'absent'`);
  const writer = await connect(room.database.url);
  const commit = writer.query(`commit prepared 'left'`);
  await hasCome(before, '1');
  await before.stop();
  const source = await room.start();
  const id = ask(source);
  await waitFor(() => found(source, id).heldBy?.includes('not visible yet') === true, 'the backfill to wait');
  expect(progressOf(found(source, id)).appended).toBe(0);
  await configure('reset synchronous_standby_names');
  await commit;
  await writer.end();
  await completed(source, id);
  expect((await room.consumed(source)).stale).toEqual([]);
});

test('what a crash of the server takes back was not let in', async () => {
  await makeTable(200);
  const source = await room.start();
  const { rows } = await room.client.query<{ pid: number }>(
    `select pid from pg_stat_activity where backend_type = 'walwriter'`,
  );
  // Nobody writes what is committed asynchronously to the disk.
  kill(rows[0]!.pid, 'SIGSTOP');
  onTestFinished(() => {
    try {
      kill(rows[0]!.pid, 'SIGCONT');
    } catch {
      // It went with its server.
    }
  });
  await room.client.query('set synchronous_commit = off; update notes set v = 1 where id = 7');
  const id = ask(source);
  await waitFor(async () => {
    const { rows: read } = await room.client.query(
      `select from pg_stat_activity where application_name = 'tailrace:shop' and query like 'begin;%pg_current_wal_insert_lsn%' and state = 'idle'`,
    );
    return read.length > 0;
  }, 'the rows to be read');
  expect(progressOf(found(source, id)).appended).toBe(0);
  const killed = killServer(server);
  // It cannot see for itself that the postmaster is gone.
  kill(rows[0]!.pid, 'SIGKILL');
  await killed;
  await server.start();
  room.client = await connect(room.database.url);
  expect((await room.rowsOf())[6]).toEqual(['7', '0', 'n7']);
  await completed(source, id);
  const consumer = await room.consumed(source);
  expect(consumer.stale).toEqual([]);
  await room.client.end();
});

test('connections that break again and again in the middle of chunks, the stream’s and those that read, cost two backfills at once no row, and bring none too late', async () => {
  await makeTable(30_000);
  const source = await room.start();
  const stopping = new AbortController();
  const writer = await connect(room.database.url);
  const writing = keepWriting((i) => {
    const id = ((i * 7919) % 30_000) + 1;
    return writer.query(
      `begin; update notes set v = ${i} where id between ${id} and ${id + 3}; delete from notes where id = ${id + 4}; commit`,
    );
  }, stopping.signal);
  const ids = [4, 2].map((workers) =>
    ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 6000, workers } }),
  );
  const appended = (id: string): number => (found(source, id).tables ?? [])[0]?.progress.appended ?? 0;
  const terminate = (which: string): Promise<unknown> =>
    room.client.query(`select pg_terminate_backend(pid) from (${which}) backend (pid)`);
  const reading = `select pid from pg_stat_activity where application_name = 'tailrace:shop' and query like 'begin;%pg_current_wal_insert_lsn%' limit 1`;
  for (let breaks = 0; breaks < 6; breaks++) {
    const id = ids[breaks % 2]!;
    const before = appended(id);
    await waitFor(() => found(source, id).state === 'completed' || appended(id) > before, 'more rows');
    await terminate(breaks % 3 === 2 ? `select active_pid from pg_replication_slots where active` : reading);
  }
  const backfills = [];
  for (const id of ids) backfills.push(await completed(source, id));
  stopping.abort();
  await writing;
  await writer.end();
  const consumer = await room.consumed(source);
  expect(consumer.stale).toEqual([]);
  expect(source.status().reconnects).toBeGreaterThan(0);
  expect(backfills.map((backfill) => progressOf(backfill).restarts)).toEqual([0, 0]);
});

test('a large value that updates leave out is read until it has come (C072)', async () => {
  await room.client.query(
    `create table notes (id int primary key, v int, note text); alter table notes alter note set storage external;
     insert into notes select i, 0, repeat(chr(64 + i), 1000000) from generate_series(1, 24) i`,
  );
  const source = await room.start();
  const stopping = new AbortController();
  const writer = await connect(room.database.url);
  const writing = keepWriting(
    (i) => writer.query(`update notes set v = ${i} where id = ${(i % 24) + 1}`),
    stopping.signal,
    1,
  );
  // Whether an update comes while its row is on the way is chance: it is tried until one does.
  let again = 0;
  for (let attempt = 0; attempt < 30 && again === 0; attempt++) {
    again = progressOf(await completed(source, ask(source))).readAgain;
  }
  stopping.abort();
  await writing;
  await writer.end();
  const consumer = await room.consumed(source);
  expect(consumer.stale).toEqual([]);
  expect(again).toBeGreaterThan(0);
});

describe('a row that gets a key behind the place that was reached, without its large value, while nobody looks', () => {
  const limits = { queryTimeoutMs: 5000, maxRowsPerSecond: 400 };
  const begin = async () => {
    await room.client.query(
      `create table notes (id int primary key, v int, note text); alter table notes alter note set storage external;
       insert into notes select i, 0, repeat(chr(64 + i % 26), 3000) from generate_series(1, 1000) i`,
    );
    const source = await room.start();
    const id = ask(source, { limits });
    await waitFor(() => progressOf(found(source, id)).appended > 0, 'some rows');
    return { source, id, owner: { database: 'shop', id } };
  };
  const move = (): Promise<unknown> =>
    room.client.query('update notes set id = id - 2000, v = 1 where id > 990');

  test('is read once more after a pause (C072)', async () => {
    const { source, id, owner } = await begin();
    source.store.backfills.setState(owner, 'paused', { now: new Date() });
    source.backfillsChanged();
    const { scanned } = progressOf(found(source, id));
    await move();
    await hasCome(source, '1');
    source.store.backfills.setState(owner, 'waiting', { now: new Date() });
    source.backfillsChanged();
    await completed(source, id);
    expect(scanned).toBeLessThan(990);
    expect((await room.consumed(source)).stale).toEqual([]);
  });

  test('is read once more after a restart (C072)', async () => {
    const { source, id } = await begin();
    await source.stop();
    await move();
    const again = await room.start();
    await completed(again, id);
    expect((await room.consumed(again)).stale).toEqual([]);
  });
});
