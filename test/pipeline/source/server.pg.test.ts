// A source whose server stops, crashes and changes its settings: a server of this file's own.
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import { startTestServer } from '../../support/server.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { readSlot } from '../../../src/postgres/preflight/slot.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { connect, waitFor } from '../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

let server: EmbeddedPostgres;
let client: Client;
let directory: SourceDirectory;
let source: TestSource;
let tests = 0;

beforeAll(async () => {
  server = await startTestServer({ settings: { wal_sender_timeout: '60s' } });
});
afterAll(() => server.remove());

beforeEach(async () => {
  client = await connect(server.url());
  await client.query('drop table if exists items; create table items (id int primary key, note text)');
  directory = createSourceDirectory();
  tests++;
});
afterEach(async () => {
  await source.stop();
  await client.query(`select pg_drop_replication_slot('slot_${tests}')`).catch(() => undefined);
  await client.query(`drop publication if exists pub_${tests}`);
  await client.end();
  directory.remove();
});

type Options = Parameters<typeof startTestSource>[2];

function start(options: Options = {}): TestSource {
  const database = { name: 'postgres', host: '127.0.0.1', port: server.port };
  const settings = databaseSettings(database, {
    slot: { name: `slot_${tests}` },
    publication: { name: `pub_${tests}` },
  });
  source = startTestSource(settings, directory, options);
  source.ended.catch(() => undefined);
  return source;
}

/** A sink that has settled nothing. */
function holding(): LogSignals {
  const signals = new LogSignals();
  signals.setHolding(0, true);
  return signals;
}

const ids = async () => (await source.read()).rows.map((row) => Number(row.values[0]));
const numbers = (to: number) => Array.from({ length: to }, (_, i) => i + 1);

describe('a server', () => {
  test('that is shut down does not have to wait for our deliveries; the source goes on when it is back (C178)', async () => {
    start({ signals: holding() });
    await source.ready;
    await client.query('insert into items select generate_series(1, 100)');
    await waitFor(() => source.status().changes === 100, 'the rows');
    await client.end();
    await server.stop('fast');
    await waitFor(() => source.status().state === 'waiting', 'the source to notice');
    expect(source.status().health).toBe('degraded');
    await server.start();
    client = await connect(server.url());
    await client.query('insert into items select generate_series(101, 150)');
    await waitFor(() => source.status().changes === 150, 'the new rows');
    expect(await ids()).toEqual(numbers(150));
  });

  test('that crashes: what was committed comes once, what was open never (C179)', async () => {
    start({ signals: holding() });
    await source.ready;
    await client.query('insert into items select generate_series(1, 10)');
    await client.query('begin; insert into items select generate_series(1000, 1010)');
    await waitFor(() => source.status().changes === 10, 'the committed rows');
    await server.stop('immediate');
    await server.start();
    await client.end().catch(() => undefined);
    client = await connect(server.url());
    await client.query('insert into items select generate_series(11, 20)');
    await waitFor(() => source.status().changes >= 20, 'the new rows');
    expect(await ids()).toEqual(numbers(20));
    expect(source.status().gaps).toEqual([]);
  });

  test('that takes us for a synchronous standby is refused at the start', async () => {
    await client.query(`alter system set synchronous_standby_names = '*'`);
    await client.query(`set synchronous_commit = local; select pg_reload_conf()`);
    await waitFor(async () => {
      const { rows } = await client.query('show synchronous_standby_names');
      return (rows[0] as { synchronous_standby_names: string }).synchronous_standby_names === '*';
    }, 'the setting');
    await expect(start().ended).rejects.toMatchObject({ code: 'SYNCHRONOUS_STANDBY', kind: 'fatal' });
    await client.query(`alter system reset synchronous_standby_names`);
    await client.query(`select pg_reload_conf()`);
    await waitFor(async () => {
      const { rows } = await client.query('show synchronous_standby_names');
      return (rows[0] as { synchronous_standby_names: string }).synchronous_standby_names === '';
    }, 'the setting');
  });

  test('that takes us for a synchronous standby later gets its commits confirmed, and an alarm is raised', async () => {
    start({ signals: holding() });
    await source.ready;
    await client.query(`alter system set synchronous_standby_names = '*'`);
    await client.query(`select pg_reload_conf()`);
    const other = await connect(server.url());
    const commit = other.query('insert into items values (1)');
    await waitFor(() => source.status().acknowledging === 'durable', 'the source to flush what is durable');
    await commit;
    expect(source.status()).toMatchObject({
      health: 'degraded',
      cure: expect.stringContaining('ALTER SYSTEM'),
    });
    await other.query(`alter system reset synchronous_standby_names`);
    await other.query(`select pg_reload_conf()`);
    await other.end();
    await waitFor(() => source.status().health === 'healthy', 'the alarm to be over');
  });

  test('whose slot runs into the disk budget is read no further, and keeps its connection (C184)', async () => {
    await client.query(`alter database postgres set wal_sender_timeout = '500ms'`);
    const signals = holding();
    start({
      signals,
      log: {
        segmentBytes: 64 * 1024,
        maxBytes: 512 * 1024,
        minFreeBytes: Number.MAX_SAFE_INTEGER,
        retentionMs: 0,
      },
    });
    await source.ready;
    const total = 12_000;
    const insert = (from: number, to: number) =>
      client.query(`insert into items select i, repeat('x', 500) from generate_series(${from}, ${to}) i`);
    await insert(1, 2000);
    await waitFor(() => source.status().reason?.includes('budget'), 'the budget to be spent');
    for (let at = 2000; at < total; at += 1000) await insert(at + 1, at + 1000);
    const { activePid } = (await readSlot(client, source.status().slot))!;
    const seen = source.status().changes;
    expect(seen).toBeLessThan(total);
    const replies = async () =>
      Number(
        (
          await client.query<{ at: Date }>(
            'select reply_time as at from pg_stat_replication where pid = $1',
            [activePid],
          )
        ).rows[0]?.at ?? 0,
      );
    const first = await replies();
    await waitFor(async () => (await replies()) > first + 1500, 'replies to go on for three timeouts');
    expect(source.status().changes).toBe(seen);
    await waitFor(() => {
      signals.publishSettled(0, { offset: signals.durableEnd(), lsn: signals.lastEndLsn() });
      return source.status().changes === total;
    }, 'the rest, now that the sink goes on');
    expect((await readSlot(client, source.status().slot))?.activePid).toBe(activePid);
    await client.query(`alter database postgres reset wal_sender_timeout`);
  });
});
