import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { parseLsn, toLsn } from '../../../src/core/lsn.ts';
import { tablePattern } from '../../../src/core/selection.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { readSlot } from '../../../src/postgres/preflight/slot.ts';
import { asksForMessages } from '../../../src/postgres/replication/protocol.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import { startWireProxy } from '../../support/postgres-wire.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

let database: TestDatabase;
let client: Client;
let directory: SourceDirectory;
const running: TestSource[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  client = database.client;
  await client.query('create table items (id int primary key, note text)');
  directory = createSourceDirectory();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((source) => source.stop()));
  directory.remove();
  await database.drop();
});

type Changes = Parameters<typeof databaseSettings>[1];
type Options = Parameters<typeof startTestSource>[2];

function start(settings: Changes = {}, options: Options = {}): TestSource {
  const source = startTestSource(databaseSettings(database, settings), directory, options);
  source.ended.catch(() => undefined);
  running.push(source);
  return source;
}
async function startReady(settings: Changes = {}, options: Options = {}): Promise<TestSource> {
  const source = start(settings, options);
  await source.ready;
  return source;
}

const insert = (from: number, to: number, note = `'x'`) =>
  client.query(`insert into items select i, ${note} from generate_series(${from}, ${to}) i`);

async function currentLsn(): Promise<bigint> {
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn');
  return parseLsn(rows[0]!.lsn)!;
}

let markers = 0;

/** Waits until everything committed so far is in the log. */
async function logged(source: TestSource) {
  const marker = String(-++markers);
  await client.query('insert into items (id) values ($1)', [marker]);
  await client.query('delete from items where id = $1', [marker]);
  return waitFor(async () => {
    const log = await source.read();
    const last = log.rows.at(-1);
    const complete = last?.action === 'delete' && last.values[0] === marker;
    return complete && { ...log, rows: log.rows.filter((row) => !row.values[0]?.startsWith('-')) };
  }, 'the log to have everything');
}

const ids = (rows: readonly { values: readonly (string | null)[] }[]) =>
  rows.map((row) => Number(row.values[0]));
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const slotOf = async (source: TestSource) => (await readSlot(client, source.status().slot))!;

describe('a source', () => {
  test('goes on with the password that stands in its file when it connects again', async () => {
    const role = `rotating_${database.name}`;
    const file = join(directory.path, 'password');
    const set = async (password: string): Promise<void> => {
      await client.query(`alter role ${role} password '${password}'`);
      writeFileSync(file, `${password}\n`);
    };
    await client.query(`create role ${role} login superuser`);
    await set('first');
    const source = await startReady({ username: role, password: { from: 'file', file } });
    await insert(1, 5);
    await logged(source);
    await set('second');
    const { activePid } = await slotOf(source);
    await client.query('select pg_terminate_backend($1)', [activePid]);
    await waitFor(() => source.status().reconnects === 1, 'the source to connect again');
    await insert(6, 10);
    expect(ids((await logged(source)).rows)).toEqual(range(1, 10));
    await source.stop();
    await client.query(`drop owned by ${role}; drop role ${role}`);
  });

  test('makes publication and slot and logs what is committed from then on, once and in order', async () => {
    await insert(1, 5);
    const source = await startReady();
    await insert(6, 10);
    await client.query(`begin; insert into items values (11, 'gone'); rollback`);
    await client.query(`update items set note = 'y' where id = 6; delete from items where id = 7`);
    const { rows } = await logged(source);
    expect(ids(rows)).toEqual([6, 7, 8, 9, 10, 6, 7]);
    expect(rows.map((row) => row.action).slice(-2)).toEqual(['update', 'delete']);
    expect(source.status()).toMatchObject({
      health: 'healthy',
      state: 'streaming',
      transactions: 4,
      gaps: [],
    });
  });

  test('logs enriched relations: key order, enums, composites, arrays of domains', async () => {
    await client.query(`
      create type mood as enum ('sad', 'happy');
      create domain price as numeric check (value >= 0);
      create type pair as (first price[], "Second" mood);
      create table shaped (b int, a int, m mood, ps pair[], r int4range, primary key (a, b));
      alter table shaped replica identity full`);
    const source = await startReady();
    await client.query(
      `insert into shaped values (1, 2, 'happy', array[row('{1.5}', 'sad')::pair], '[1,2)')`,
    );
    const { relations } = await logged(source);
    const shaped = relations.find((relation) => relation.table === 'shaped')!;
    expect(shaped.key).toEqual(['a', 'b']);
    const kinds = [...shaped.types.values()].map((type) => `${type.kind} ${type.name}`).sort();
    expect(kinds).toEqual(
      ['array _pair', 'array _price', 'composite pair', 'domain price', 'enum mood'].sort(),
    );
  });

  test('decodes with the shape of the time, also when tables change between and inside transactions (C110)', async () => {
    const source = await startReady({}, { log: { segmentBytes: 4096 } });
    for (let i = 0; i < 30; i++) {
      await client.query(
        `begin; insert into items (id, note) values (${i * 2}, 'before');
         alter table items add column c${i} int default ${i};
         insert into items (id, note, c${i}) values (${i * 2 + 1}, 'after', ${i}); commit`,
      );
    }
    const { rows } = await logged(source);
    expect(ids(rows)).toEqual(range(0, 59));
    rows.forEach((row, i) =>
      expect(row.values.at(-1)).toBe(i === 0 ? 'before' : String(Math.floor((i - 1) / 2))),
    );
  });

  test('logs TRUNCATE of several tables as one event a table, messages and types without numbering them (C083)', async () => {
    await client.query(`create table other (id int primary key references items)`);
    const source = await startReady();
    await client.query(`begin; insert into items values (1, 'a'); select pg_logical_emit_message(true, 'p', 'x');
      truncate items, other; insert into items values (2, 'b'); commit;
      select pg_logical_emit_message(false, 'p', 'outside')`);
    const { rows, types } = await logged(source);
    expect(rows.map((row) => [row.action, row.index])).toEqual([
      ['insert', 0],
      ['truncate', 1],
      ['truncate', 2],
      ['insert', 3],
    ]);
    // 13 sends no messages.
    const messages = asksForMessages(await serverVersion(client)) ? 2 : 0;
    expect(types.match(/M/g) ?? []).toHaveLength(messages);
  });

  test('keeps a row beyond max_message_bytes in pieces, with its size, as one event (C187)', async () => {
    const source = await startReady({}, { log: { maxMessageBytes: 1 } });
    await client.query(
      `begin; insert into items values (1, 'a'), (2, repeat('x', 3000000)), (3, 'c'); commit`,
    );
    const { rows, pieceBytes } = await logged(source);
    expect(rows.map((row) => [row.action, row.index])).toEqual([
      ['insert', 0],
      ['oversize', 1],
      ['insert', 2],
    ]);
    expect(pieceBytes).toBe(Number(rows[1]!.values[0]));
    expect(pieceBytes).toBeGreaterThan(3_000_000);
  });

  test('a table made with a type that is dropped before it is read renders as text', async () => {
    const first = await startReady();
    await first.stop();
    await client.query(`create type gone as enum ('a'); create table t (id int primary key, g gone)`);
    await client.query(`alter publication pub_${database.name} add table t`);
    await client.query(`insert into t values (1, 'a')`);
    await client.query(`alter table t drop column g; drop type gone`);
    const source = await startReady();
    const { relations, rows } = await logged(source);
    const old = relations.find((relation) => relation.table === 't')!;
    expect(old.types.size).toBe(0);
    expect(old.key).toEqual(['id']);
    expect(rows.filter((row) => row.table === 't')[0]?.values).toEqual(['1', 'a']);
  });
});

describe('a restart', () => {
  test('neither loses nor repeats, also where a commit record begins exactly at the end of the one before (C147)', async () => {
    let source = await startReady({ slot: { ack: 'durable' } });
    const writers = await Promise.all(range(1, 8).map(() => connect(database.url)));
    const restarts = { done: false };
    const load = Promise.all(
      writers.map(async (writer, w) => {
        for (let i = 0; i < 250 || (!restarts.done && i < 2000); i++) {
          await writer.query('insert into items values ($1, $2)', [w * 10_000 + i, 'x']);
        }
      }),
    );
    for (let round = 0; round < 6; round++) {
      const seen = source.status().transactions;
      await waitFor(() => source.status().transactions > seen + 50, 'the stream to move');
      await source.stop();
      source = await startReady({ slot: { ack: 'durable' } });
    }
    restarts.done = true;
    await load;
    await Promise.all(writers.map((writer) => writer.end()));
    const log = await logged(source);
    const { rows: counted } = await client.query<{ count: number }>(
      'select count(*)::int as count from items',
    );
    const seen = ids(log.rows);
    expect(seen).toHaveLength(counted[0]!.count);
    expect(new Set(seen).size).toBe(seen.length);
    for (let w = 0; w < 8; w++) {
      const own = seen.filter((id) => Math.floor(id / 10_000) === w);
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
    expect(log.commits.every((commit, i) => i === 0 || commit.commitLsn >= log.commits[i - 1]!.endLsn)).toBe(
      true,
    );
    expect(source.status().gaps).toEqual([]);
  });

  test('with nothing settled starts behind the slot and skips what the log holds (C153)', async () => {
    const signals = new LogSignals();
    signals.setHolding(0, true);
    const first = await startReady({}, { signals });
    await insert(1, 100);
    await logged(first);
    await first.stop();
    const again = new LogSignals();
    again.setHolding(0, true);
    const source = await startReady({}, { signals: again });
    await insert(101, 110);
    expect(ids((await logged(source)).rows)).toEqual(range(1, 110));
  });
});

describe('a connection that is cut', () => {
  test('in the middle of a large transaction goes on where the log ends, row for row (C148, C180)', async () => {
    const source = await startReady();
    const rows = 100_000;
    const load = insert(1, rows, `repeat('z', 100)`);
    let cuts = 0;
    for (const share of [0.1, 0.4, 0.7]) {
      await waitFor(() => source.status().changes > rows * share, 'part of the transaction');
      const { activePid } = await slotOf(source);
      await client.query('select pg_terminate_backend($1)', [activePid]);
      const before = source.status().reconnects;
      await waitFor(
        () => source.status().reconnects > before || source.status().changes >= rows,
        'a new connection',
      );
      cuts++;
    }
    await load;
    const log = await logged(source);
    expect(cuts).toBe(3);
    expect(source.status().reconnects).toBeGreaterThan(0);
    expect(ids(log.rows)).toEqual(range(1, rows));
    expect(log.rows.map((row) => row.index)).toEqual(range(0, rows - 1));
    expect(log.types.match(/BRe?I/g)!.length).toBeGreaterThan(0);
  });

  test('silently is found out and replaced (C162, C182)', async () => {
    const proxy = await startWireProxy({ host: '127.0.0.1', port: database.port });
    await client.query(`alter database ${database.name} set wal_sender_timeout = '2500ms'`);
    const source = await startReady({
      hosts: [{ host: '127.0.0.1', port: proxy.port }],
      receiveTimeoutMs: 2500,
    });
    await insert(1, 10);
    await waitFor(() => source.status().changes === 10, 'the rows');
    proxy.silence();
    await insert(11, 20);
    await waitFor(() => source.status().state !== 'streaming', 'the silence to be noticed');
    expect(source.status().reason).toContain('nothing came');
    proxy.restore();
    expect(ids((await logged(source)).rows)).toEqual(range(1, 20));
    await source.stop();
    await proxy.close();
  });

  test('while the slot is held by another is retried, and the holder named (C161)', async () => {
    const holder = await startReady();
    const elsewhere = createSourceDirectory();
    const second = startTestSource(databaseSettings(database), elsewhere);
    running.push(second);
    await waitFor(() => second.status().state === 'waiting', 'the second to wait');
    expect(second.status()).toMatchObject({
      health: 'degraded',
      reason: expect.stringMatching(/in use by process|is active for PID/),
    });
    await holder.stop();
    await second.ready;
    await insert(1, 3);
    expect(ids((await logged(second)).rows)).toEqual([1, 2, 3]);
    await second.stop();
    elsewhere.remove();
  });
});

describe('what Postgres may forget', () => {
  const confirmed = async (source: TestSource) => (await slotOf(source)).confirmedFlush;

  test('on an idle database follows the keepalives: other tables may write what they like (C144)', async () => {
    await client.query('create table noise (id int primary key)');
    const items = { includeTables: [tablePattern({ schema: 'public', table: 'items' })] };
    const source = start({}, { selections: [items] });
    await source.ready;
    await client.query('insert into noise select generate_series(1, 1000)');
    const target = await currentLsn();
    await waitFor(async () => (await confirmed(source)) >= target, 'the slot to follow');
    expect((await source.read()).rows).toEqual([]);
  });

  test('is what every sink has settled, and no keepalive passes what is outstanding (C145)', async () => {
    const signals = new LogSignals();
    signals.setHolding(0, true);
    signals.setHolding(1, true);
    const source = await startReady({}, { signals });
    await insert(1, 1);
    await insert(2, 2);
    const { commits } = await logged(source);
    const [first, second] = commits as [(typeof commits)[0], (typeof commits)[0]];
    signals.publishSettled(0, { offset: 2, lsn: toLsn(second.endLsn) });
    signals.publishSettled(1, { offset: 1, lsn: toLsn(first.endLsn) });
    await waitFor(async () => (await confirmed(source)) === first.endLsn, 'the lower one to be flushed');
    signals.publishSettled(1, { offset: 2, lsn: toLsn(second.endLsn) });
    await waitFor(async () => (await confirmed(source)) === second.endLsn, 'the next to be flushed');
    await client.query('create table noise (id int); insert into noise select generate_series(1, 1000)');
    const target = await currentLsn();
    await waitFor(async () => {
      // As a sink does that has nothing left to deliver.
      const settled = { offset: signals.writtenEnd(), lsn: signals.quiet().lsn };
      for (const slot of [0, 1]) signals.publishSettled(slot, settled);
      return (await confirmed(source)) >= target;
    }, 'the keepalive, now that all is settled');
    expect(source.status().acknowledging).toBe('delivered');
  });

  test('is the fsynced log under durable, whatever the sinks have settled', async () => {
    const signals = new LogSignals();
    signals.setHolding(0, true);
    const source = await startReady({ slot: { ack: 'durable' } }, { signals });
    await insert(1, 100);
    const target = await currentLsn();
    await waitFor(async () => (await confirmed(source)) >= target, 'the slot to follow');
    expect(source.status().acknowledging).toBe('durable');
  });

  test('becomes the fsynced log under auto when Postgres keeps too much, and the settled again after', async () => {
    const signals = new LogSignals();
    signals.setHolding(0, true);
    const source = await startReady({ slot: { maxRetainedBytes: 100_000 } }, { signals });
    await insert(1, 2000, `repeat('x', 100)`);
    const target = await currentLsn();
    await waitFor(async () => (await confirmed(source)) >= target, 'the slot to be freed');
    expect(source.status()).toMatchObject({ acknowledging: 'durable', health: 'healthy' });
    await waitFor(() => {
      signals.publishSettled(0, { offset: source.signals.writtenEnd(), lsn: source.signals.lastEndLsn() });
      return source.status().acknowledging === 'delivered';
    }, 'deliveries to count again');
  });

  test('stays with the deliveries where the directory dies with the process, and says so', async () => {
    const signals = new LogSignals();
    signals.setHolding(0, true);
    const source = await startReady(
      { slot: { maxRetainedBytes: 10_000 } },
      { signals, durableDirectory: false },
    );
    const before = await confirmed(source);
    await insert(1, 1000, `repeat('x', 100)`);
    await waitFor(() => source.status().health === 'degraded', 'the alarm');
    expect(source.status()).toMatchObject({
      acknowledging: 'delivered',
      cure: expect.stringContaining('volume'),
    });
    expect(await confirmed(source)).toBe(before);
  });
});

describe('a gap', () => {
  test('is declared once when the slot was made anew behind our back, and the stream goes on in a new epoch (C155)', async () => {
    const first = await startReady();
    await insert(1, 5);
    await logged(first);
    await first.stop();
    await client.query('select pg_drop_replication_slot($1)', [first.status().slot]);
    await insert(6, 9);
    await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [first.status().slot]);
    const source = await startReady();
    expect(source.status().gaps).toHaveLength(1);
    expect(source.lines.some((line) => line.level === 50 && line.msg.includes('a gap'))).toBe(true);
    await insert(10, 12);
    const { rows, epochs } = await logged(source);
    expect(ids(rows)).toEqual([1, 2, 3, 4, 5, 10, 11, 12]);
    expect(epochs.size).toBe(2);
    await source.stop();
    expect((await startReady()).status().gaps).toHaveLength(1);
  });

  test('is declared when the slot is gone and we make it anew (C160)', async () => {
    const first = await startReady();
    await insert(1, 5);
    await logged(first);
    await first.stop();
    await client.query('select pg_drop_replication_slot($1)', [first.status().slot]);
    const source = await startReady();
    expect(source.status().gaps[0]?.reason).toContain('made anew');
  });

  test('is declared when somebody advanced the slot (C154)', async () => {
    const first = await startReady();
    await insert(1, 5);
    await logged(first);
    await first.stop();
    await insert(6, 9);
    await client.query('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [first.status().slot]);
    const source = await startReady();
    expect(source.status().gaps).toHaveLength(1);
  });

  test('is declared when the slot moves between our look at it and the start of the stream', async () => {
    const first = await startReady();
    await insert(1, 5);
    await logged(first);
    await first.stop();
    const { slot } = first.status();
    const proxy = await startWireProxy(database);
    onTestFinished(() => proxy.close());
    // Another log: nothing that it remembers tells how far the slot may be. As the walsender of a killed process does it.
    rmSync(join(directory.path, 'log'), { recursive: true });
    await insert(6, 9);
    proxy.holdUntil('START_REPLICATION', () =>
      client.query('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [slot]),
    );
    const source = await startReady({ hosts: [{ host: '127.0.0.1', port: proxy.port }] });
    expect(source.status().gaps).toMatchObject([{ cause: 'slot_moved', halts: false }]);
    await insert(10, 12);
    expect(ids((await logged(source)).rows)).toEqual([10, 11, 12]);
    const [gap] = source.status().gaps;
    expect((await slotOf(source)).confirmedFlush).toBeGreaterThanOrEqual(parseLsn(gap!.to!)!);
  });

  test('is none after a clean restart, however long nobody listened', async () => {
    const first = await startReady();
    await insert(1, 5);
    await logged(first);
    await first.stop();
    await insert(6, 9);
    const source = await startReady();
    expect(source.status().gaps).toEqual([]);
    expect(ids((await logged(source)).rows)).toEqual(range(1, 9));
  });
});

describe('a fault', () => {
  test('of the configuration ends the first start with its cure', async () => {
    const source = start({ slot: { createIfNotExists: false } });
    await expect(source.ended).rejects.toMatchObject({ code: 'SLOT_MISSING', kind: 'fatal' });
    await expect(source.ready).rejects.toMatchObject({ code: 'SLOT_MISSING' });
  });

  test('that appears while running halts the source with its cure, which goes on once it is mended', async () => {
    const role = `role_${database.name}`;
    await client.query(`create role ${role} login replication superuser password 'first'`);
    const source = await startReady({ username: role, password: 'first' });
    await client.query(`alter role ${role} password 'second'`);
    await client.query('select pg_terminate_backend($1)', [(await slotOf(source)).activePid]);
    await waitFor(() => source.status().health === 'halted', 'the source to halt');
    expect(source.status()).toMatchObject({ state: 'waiting', cure: expect.stringContaining('ALTER ROLE') });
    await client.query(`alter role ${role} password 'first'`);
    await waitFor(() => source.status().health === 'healthy', 'the source to stream again');
    await source.stop();
    await client.query(`reassign owned by ${role} to postgres; drop role ${role}`);
  });

  test('that lasts ends the source after max_connection_retries', async () => {
    const source = start({ hosts: [{ host: '127.0.0.1', port: 1 }], maxConnectionRetries: 2 });
    await expect(source.ended).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    // Two attempts, of which a person reads once.
    expect(source.lines.filter((line) => 'retryInMs' in line)).toHaveLength(2);
    expect(source.lines.filter((line) => line.level === 40)).toHaveLength(1);
  });

  test('a log of another slot is refused', async () => {
    const first = await startReady();
    await first.stop();
    const source = start({ slot: { name: `another_${database.name}` } });
    await expect(source.ended).rejects.toMatchObject({ code: 'LOG_IDENTITY' });
  });

  test('tables without an identity are left out of the publication and named as warnings', async () => {
    await client.query('create table keyless (note text)');
    const source = await startReady();
    expect(source.status().warnings.join()).toContain('keyless');
    await client.query(`insert into keyless values ('a'); update keyless set note = 'b'`);
    expect((await logged(source)).rows).toEqual([]);
  });
});
