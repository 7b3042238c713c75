// A backfill from a standby, whose snapshots hide what runs on the primary: there, what was replayed decides.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../../src/cli/demo/embedded-postgres.ts';
import { STANDBYS_DECODE } from '../../../../src/postgres/versions.ts';
import { ask, backfillRoom, completed, found, keepWriting, progressOf } from '../../../support/backfilled.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { connect } from '../../../support/postgres.ts';
import {
  ask as askServer,
  serverVersion,
  startPrimary,
  startStandby,
  waitForReplay,
  type Standby,
} from '../../../support/standby.ts';
import { waitFor } from '../../../support/wait.ts';

const ROWS = 8_000;
let primary: EmbeddedPostgres;
let standby: Standby;
let version: number;
beforeAll(async () => {
  primary = await startPrimary();
  version = await serverVersion(primary);
  if (version >= STANDBYS_DECODE) standby = await startStandby(primary);
}, 240_000);
afterAll(async () => {
  if (version >= STANDBYS_DECODE) await standby.remove();
  await primary.remove();
});

const room = backfillRoom({ server: () => primary });

test('is exact beside writers, also where the standby stops replaying midway (C211)', async ({ skip }) => {
  if (version < STANDBYS_DECODE) skip();
  await room.client.query(
    `create table notes (id int primary key, v int, note text); insert into notes select i, 0, 'n' || i from generate_series(1, ${ROWS}) i`,
  );
  await waitForReplay(primary, standby);
  const target = { host: '127.0.0.1', port: standby.port };
  const source = await room.start({
    hosts: [target],
    primary: databaseSettings(room.database),
  });
  expect(
    await askServer(standby, 'select count(*)::int from pg_replication_slots where slot_type = $$logical$$'),
  ).toBe(1);
  const stopping = new AbortController();
  const writer = await connect(room.database.url);
  // A transaction that stays open over many others: no snapshot of the standby names it.
  const open = await connect(room.database.url);
  const writing = keepWriting(
    async (i) => {
      const id = ((i * 7919) % ROWS) + 1;
      if (i % 10 === 1) await open.query(`begin; update notes set v = ${i} where id = ${(i % 100) + 1}`);
      await writer.query(
        `begin; update notes set v = ${i} where id between ${id + 100} and ${id + 102}; delete from notes where id = ${id + 103}; commit`,
      );
      if (i % 10 === 0) await open.query('commit');
    },
    stopping.signal,
    2,
  );
  const id = ask(source, { limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 4000 } });
  await waitFor(() => progressOf(found(source, id)).appended > 0, 'some rows');
  await askServer(standby, 'select pg_wal_replay_pause()');
  const paused = progressOf(found(source, id)).appended;
  await waitFor(
    () => found(source, id).state === 'completed' || progressOf(found(source, id)).appended > paused,
    'more rows',
  );
  await askServer(standby, 'select pg_wal_replay_resume()');
  await completed(source, id);
  stopping.abort();
  await writing;
  await open.query('commit');
  await Promise.all([writer.end(), open.end()]);
  const consumer = await room.consumed(source);
  expect(consumer.stale).toEqual([]);
  expect(consumer.reads).toBeGreaterThan(ROWS / 2);
});

test('reads less at once where the standby’s replay is in the way of its chunks, and says what cures that where a row is too much', async ({
  skip,
}) => {
  if (version < STANDBYS_DECODE) skip();
  await room.client.query(
    `create table notes (id int primary key, v int); insert into notes select i, 0 from generate_series(1, 40) i`,
  );
  await waitForReplay(primary, standby);
  await askServer(standby, 'alter system set max_standby_streaming_delay = 0');
  await askServer(standby, 'select pg_reload_conf()');
  const source = await room.start({
    hosts: [{ host: '127.0.0.1', port: standby.port }],
    primary: databaseSettings(room.database),
  });
  const stopping = new AbortController();
  const writer = await connect(room.database.url);
  const writing = keepWriting(
    () =>
      writer.query(
        'begin; lock table notes in access exclusive mode; update notes set v = v + 1 where id = 1; commit',
      ),
    stopping.signal,
    300,
  );
  const where = 'pg_sleep(case when id = 40 then 1 else 0.01 end) is not null';
  const id = ask(source, { tables: [{ schema: 'public', table: 'notes', where }] });
  const cure = await waitFor(
    () => /ALTER SYSTEM .*;/.exec(found(source, id).heldBy ?? '')?.[0],
    'the conflict to be told',
  );
  expect(progressOf(found(source, id)).scanned).toBeGreaterThan(20);
  for (const statement of cure.split('; ')) await askServer(standby, statement);
  await completed(source, id);
  stopping.abort();
  await writing;
  await writer.end();
  expect((await room.consumed(source)).stale).toEqual([]);
});
