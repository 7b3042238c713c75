// A transaction that comes again once a connection was cut while it was sent: with the rows that it had nothing is said, with others that is a gap.
import type { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseLsn } from '../../../src/core/lsn.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import { startWireProxy, type WireProxy } from '../../support/postgres-wire.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

const ROWS = 60_000;
/** A part of what these rows are. */
const ALLOWED_BYTES = 3 * 1024 * 1024;
/** A row in so many is too large to be kept whole. */
const OVERSIZE_EVERY = 10_000;

let database: TestDatabase;
let client: Client;
let directory: SourceDirectory;
let proxy: WireProxy;
let publication: string;
const running: TestSource[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  client = database.client;
  publication = `pub_${database.name}`;
  await client.query(`create table items (id int primary key, note text);
    create table joining (id int primary key);
    create publication ${publication} for table items`);
  directory = createSourceDirectory();
  proxy = await startWireProxy(database);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((source) => source.stop()));
  await proxy.close();
  directory.remove();
  await database.drop();
});

async function start(): Promise<TestSource> {
  const settings = databaseSettings(database, {
    hosts: [{ host: '127.0.0.1', port: proxy.port }],
    receiveTimeoutMs: 2500,
  });
  const source = startTestSource(settings, directory, { log: { maxMessageBytes: 1 } });
  source.ended.catch(() => undefined);
  running.push(source);
  await source.ready;
  return source;
}

const many = `insert into items
  select i, repeat('z', case when i % ${OVERSIZE_EVERY} = 0 then 300000 else 100 end) from generate_series(1, ${ROWS}) i`;
/** Falls silent once a part of the transaction that `commit` ends has come. */
async function sendPart(source: TestSource, commit: () => Promise<unknown>): Promise<void> {
  proxy.silenceAfter(ALLOWED_BYTES);
  await commit();
  await waitFor(() => source.status().changes > ROWS / 6, 'a part of the transaction', 60_000);
}

/** New connections are sound. The server does not know that nobody listens on the old one. */
async function goOn(): Promise<void> {
  proxy.restore();
  await client.query(
    'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1',
    [`slot_${database.name}`],
  );
}

async function reconnect(source: TestSource): Promise<TestSource> {
  const { reconnects } = source.status();
  await goOn();
  await waitFor(() => source.status().reconnects > reconnects, 'a new connection', 60_000);
  return source;
}

/** Its log is cut where the transaction begins when it is opened, as after a kill. */
async function restart(source: TestSource): Promise<TestSource> {
  await source.stop();
  await goOn();
  return start();
}

/** Everything up to now, once it is in the log. */
async function loggedRows(source: TestSource) {
  await client.query('insert into items values (-1)');
  const { rows: lsns } = await client.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
  const end = parseLsn(lsns[0]!.lsn)!;
  await waitFor(() => source.signals.lastEndLsn() >= end, 'the log to have everything', 120_000);
  const { rows } = await source.read();
  return rows.slice(0, -1);
}

/**
 * Writes to a table, which then joins the publication, and to which another transaction writes: what is sent of the first rows hangs on
 * whether the connection has sent that other one (numbering.pg.test.ts).
 */
async function openWriter(source: TestSource): Promise<Client> {
  const writer = await connect(database.url);
  await writer.query('begin; insert into joining values (1), (2), (3)');
  await client.query(`alter publication ${publication} add table joining`);
  await client.query('insert into joining values (10)');
  await waitFor(() => source.status().changes === 1, 'the transaction between');
  return writer;
}

const commitIn = async (writer: Client): Promise<void> => {
  await writer.query(many);
  await writer.query('commit');
  await writer.end();
};

describe('a transaction that comes again', () => {
  test.each([
    ['the connection was cut', reconnect],
    ['the process was ended', restart],
  ])(
    'with other rows, as its publication was altered while it was open, is a gap, where %s',
    async (_, end) => {
      const first = await start();
      const writer = await openWriter(first);
      await sendPart(first, () => commitIn(writer));
      const before = await first.read();
      expect(before.rows.slice(0, 5).map(({ table }) => table)).toEqual([
        ...Array<string>(4).fill('joining'),
        'items',
      ]);
      expect(before.commits.at(-1)!.commitLsn).toBe(before.rows[0]!.commitLsn);
      const source = await end(first);
      const rows = await loggedRows(source);
      const last = rows.at(-1)!;
      const [gap, ...more] = source.store.gaps.list('shop', { after: 0, limit: 10 });
      expect(more).toEqual([]);
      expect(gap).toMatchObject({ cause: 'transaction_differs', halts: true, skips: false });
      expect(gap!.reason).toMatch(/^transaction \d+, committed at .*came again with other rows/);
      expect(parseLsn(gap!.to!)).toBe(last.commitLsn);
      // What comes now was written behind the transaction between.
      expect(parseLsn(gap!.from)).toBeGreaterThan(rows[0]!.commitLsn);
      expect(parseLsn(gap!.from)).toBeLessThan(last.commitLsn);
      expect(source.status()).toMatchObject({ health: 'degraded' });
      // No position has two rows.
      expect(new Set(rows.map(({ commitLsn, index }) => `${commitLsn}:${index}`)).size).toBe(rows.length);
      // It is no false alarm: where the numbers go on, they leave out rows that nobody has.
      const items = rows.filter(({ table, action }) => table === 'items' && action === 'insert');
      const missing = ROWS - ROWS / OVERSIZE_EVERY - items.length;
      expect(missing).toBe(end === reconnect ? 3 : 0);
    },
  );

  test('as it was, with rows too large to be kept whole, is no gap, wherever it was broken off', async () => {
    const first = await start();
    await sendPart(first, () => client.query(many));
    const second = await reconnect(first);
    await waitFor(() => second.status().changes >= ROWS, 'all of it', 60_000);
    const more = many.replaceAll(' i,', ` i + ${ROWS},`);
    await sendPart(second, () => client.query(more));
    const third = await restart(second);
    const rows = await loggedRows(third);
    expect(rows.map(({ index }) => index)).toEqual(Array.from({ length: 2 * ROWS }, (_, i) => i % ROWS));
    expect(rows.filter(({ action }) => action === 'oversize')).toHaveLength((2 * ROWS) / OVERSIZE_EVERY);
    expect(third.store.gaps.list('shop', { after: 0, limit: 10 })).toEqual([]);
    expect(third.status().health).toBe('healthy');
  });
});
