// Streams that go dead without a word, on a real server that does not notice either (wal_sender_timeout = 0): found out, healed, named.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LogSignals } from '../../../../src/log/signals.ts';
import { readSlot } from '../../../../src/postgres/preflight/slot.ts';
import type { ProcessLife } from '../../../../src/core/process-life.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../../support/source.ts';
import { startTcpProxy, type Swallowed } from '../../../support/tcp-proxy.ts';
import { waitFor } from '../../../support/wait.ts';

let database: TestDatabase;
let directory: SourceDirectory;
const sources: TestSource[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createSourceDirectory();
  await sql('create table items (id int primary key, note text)');
  await sql(`alter database ${database.name} set wal_sender_timeout = 0`);
});
afterEach(async () => {
  await Promise.all(sources.splice(0).map((source) => source.stop()));
  directory.remove();
  await database.drop();
});

const sql = (text: string) => database.client.query(text);
const slot = () => readSlot(database.client, `slot_${database.name}`);

type How = {
  readonly port?: number;
  readonly limitMs?: number;
  readonly options?: Parameters<typeof startTestSource>[2];
  readonly directory?: SourceDirectory;
};

function start({ port = database.port, limitMs = 1_500, options, ...how }: How = {}): TestSource {
  const settings = databaseSettings({ ...database, port }, { receiveTimeoutMs: limitMs });
  const source = startTestSource(settings, how.directory ?? directory, options);
  source.ended.catch(() => undefined);
  sources.push(source);
  return source;
}

/** More than an idle server writes by itself. */
const insert = (from: number, to: number) =>
  sql(`insert into items select i, repeat(md5(i::text), 10) from generate_series(${from}, ${to}) i`);
const has = (source: TestSource, changes: number) =>
  waitFor(() => source.status().changes >= changes, `${changes} changes`);
const ids = async (source: TestSource) => (await source.read()).rows.map((row) => Number(row.values[0]));
const numbers = (to: number) => Array.from({ length: to }, (_, i) => i + 1);
const codes = (source: TestSource) => source.lines.map((line) => (line as { code?: string }).code);

describe('a connection that is swallowed', () => {
  test.each<[Swallowed, 'all' | 'replication', string]>([
    ['both', 'all', 'CONNECTION_SILENT'],
    ['to client', 'replication', 'STALL_SOCKET_DEAD'],
    ['to server', 'replication', 'STALL_REPLIES_LOST'],
  ])(
    '%s, %s: the next one goes on, with the slot of a walsender that is left over',
    async (what, which, code) => {
      const proxy = await startTcpProxy(database);
      const source = start({ port: proxy.port });
      await source.ready;
      await insert(1, 1000);
      await has(source, 1000);
      expect(proxy.swallow(what, which)).toBeGreaterThan(0);
      await insert(1001, 2000);
      await waitFor(() => source.status().reconnects >= 1, 'another connection');
      await waitFor(async () => (await source.read()).rows.length === 2000, 'the rest');
      expect(await ids(source)).toEqual(numbers(2000));
      expect(codes(source)).toContain(code);
      // Where the server has heard our goodbye, nothing is left over.
      const isLeft = what !== 'to client';
      expect(codes(source).includes('STALE_WALSENDER')).toBe(isLeft);
      expect(source.status().stallsHealed).toBe(isLeft ? 2 : 1);
      await waitFor(() => source.status().health === 'healthy', 'all to be well');
    },
  );
});

describe('the slot', () => {
  const life = (changes: Partial<ProcessLife>): ProcessLife => ({
    instance: 'aa11',
    life: 5,
    nonce: 'a',
    ...changes,
  });
  /** One that streams with this life, in a directory of its own. */
  async function holder(changes: Partial<ProcessLife>) {
    const elsewhere = createSourceDirectory();
    const source = start({ directory: elsewhere, options: { life: life(changes) } });
    await source.ready;
    const pid = (await slot())?.activePid;
    return { source, pid, remove: () => elsewhere.remove() };
  }

  test('is taken from a process that had our directory before us, which stops when it sees us', async () => {
    const before = await holder({ life: 4, nonce: 'b' });
    const source = start({ options: { life: life({}) } });
    await source.ready;
    expect(codes(source)).toContain('STALE_WALSENDER');
    expect((await slot())?.activePid).not.toBe(before.pid);
    // It runs still, as a copy would: it finds the one that came after it.
    await expect(before.source.ended).rejects.toMatchObject({ code: 'DATA_DIRECTORY_COPIED' });
    before.remove();
  });

  test('is left to anybody else, whatever they call themselves', async () => {
    const other = await holder({ instance: 'bb22' });
    const source = start({ options: { life: life({ life: 99 }) } });
    await waitFor(() => codes(source).includes('SLOT_IN_USE'), 'the source to wait');
    expect((await slot())?.activePid).toBe(other.pid);
    await other.source.stop();
    await source.ready;
    other.remove();
  });
});

describe('a slot that is held back says by what', () => {
  test('a sink', async () => {
    const signals = new LogSignals();
    signals.setHolding(0, true);
    const source = start({ options: { signals, sinkSlots: new Map([['users', 0]]), selections: [{}] } });
    await source.ready;
    await insert(1, 1000);
    const held = await waitFor(
      () => (source.status().stall === 'sink' ? source.status() : undefined),
      'the stall to be named',
    );
    expect(held.health).toBe('degraded');
    expect(held.warnings.join()).toContain('waits for sink "users"');
    expect(codes(source)).toContain('STALL_SINK');
    signals.publishSettled(0, { offset: signals.writtenEnd(), lsn: signals.lastEndLsn() });
    await waitFor(() => source.status().health === 'healthy', 'all to be well');
    expect(source.status().stall).toBeUndefined();
  });
});
