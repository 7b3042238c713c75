// A server that goes back to an earlier state, or is promoted: what belongs to the log goes on, what does not is refused.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import type { Gap } from '../../../src/core/gaps.ts';
import { parseLsn, type Lsn } from '../../../src/core/lsn.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { readSlot } from '../../../src/postgres/preflight/slot.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { connect, waitFor } from '../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

const SLOT = 'belonging';
const installation = process.env['TAILRACE_TEST_POSTGRES'];

let server: EmbeddedPostgres;
let client: Client;
let directory: SourceDirectory;
let source: TestSource;
let signals: LogSignals;
/** What the server logs. */
let logged: string[];

beforeEach(async () => {
  // A checkpoint by the clock would write WAL at any moment.
  const settings = { checkpoint_timeout: '1d', autovacuum: 'off', log_min_messages: 'log' };
  logged = [];
  server = await startEmbeddedPostgres({
    settings,
    onLog: (line) => logged.push(line),
    ...(installation === undefined ? {} : { installation }),
  });
  client = await connect(server.url());
  await sql('create table items (id int primary key)');
  await sql('create database elsewhere');
  directory = createSourceDirectory();
});
afterEach(async () => {
  await source.stop();
  await client.end().catch(() => undefined);
  await server.remove();
  directory.remove();
});

const sql = (text: string) => client.query(text);

/** A sink that settles everything at once, as far as it is in the log. */
function start(settlesAll = true, publication = SLOT): TestSource {
  const database = { name: 'postgres', host: '127.0.0.1', port: server.port };
  signals = new LogSignals();
  signals.setHolding(0, !settlesAll);
  source = startTestSource(
    databaseSettings(database, {
      slot: { name: SLOT, ack: 'delivered' },
      publication: { name: publication },
    }),
    directory,
    {
      signals,
      sinkSlots: new Map([['items', 0]]),
      selections: [{ includeTables: [{ schema: ['public'], table: ['items'] }] }],
    },
  );
  source.ended.catch(() => undefined);
  return source;
}

async function walEnd(): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  return parseLsn(rows[0]!.lsn)!;
}

const ids = async (): Promise<number[]> => (await source.read()).rows.map((row) => Number(row.values[0]));
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const insert = (from: number, to: number) => sql(`insert into items select generate_series(${from}, ${to})`);
const confirmed = async (): Promise<Lsn> => (await readSlot(client, SLOT))!.confirmedFlush;

/** Another database writes: nothing of it comes to us, up to Postgres 14 not even an empty transaction. */
async function writeElsewhere(rows: number): Promise<void> {
  const other = await connect(server.url('elsewhere'));
  await other.query('create table if not exists noise (id int)');
  await other.query(`insert into noise select generate_series(1, ${rows})`);
  await other.end();
}

/** Others write, and the flush follows. */
async function noise(): Promise<void> {
  await writeElsewhere(5000);
  const target = await walEnd();
  await waitFor(async () => (await confirmed()) >= target, 'the flush to follow');
}

/** In good order: what stands in the directory is all there is. */
async function stopServer(): Promise<void> {
  await client.end();
  await server.stop('fast');
}

/** Why the server is refused; the source stays, halted. */
const refusal = (): Promise<string> =>
  waitFor(() => source.status().health === 'halted' && source.status().reason, 'the server to be refused');

async function startServer(): Promise<void> {
  await server.start();
  client = await connect(server.url());
}

const copyOf = (path: string): string => `${path}.copy`;
const copyTree = (from: string, to: string): void => {
  rmSync(to, { recursive: true, force: true });
  execFileSync('cp', ['-a', from, to]);
};

/** Copies the data directory of the server, which is stopped for it. */
async function snapshot(): Promise<void> {
  await stopServer();
  copyTree(server.directory, copyOf(server.directory));
  await startServer();
}

/** The server goes back to its snapshot. */
async function restore(): Promise<void> {
  await stopServer();
  copyTree(copyOf(server.directory), server.directory);
  await startServer();
}

/** Ten rows are logged and settled; then the snapshot is taken. */
async function tenRowsAndSnapshot(settlesAll = true): Promise<void> {
  await start(settlesAll).ready;
  await insert(1, 10);
  await waitFor(() => source.status().changes === 10, 'the rows');
  await source.stop();
  await snapshot();
}

describe('a server that was restored from a snapshot, with the same timeline', () => {
  test('is refused while its WAL ends below what the server was told to forget (C157)', async ({ skip }) => {
    skip((await serverVersion(client)) < 150_000, 'empty transactions tell there how much it has');
    await tenRowsAndSnapshot();
    await start().ready;
    await noise();
    await source.stop();
    await restore();
    const flushedBefore = await confirmed();
    start();
    expect(await refusal()).toContain('below what it was told to forget');
    // And it was told nothing that it never had.
    expect(await confirmed()).toBe(flushedBefore);
    expect(flushedBefore <= (await walEnd())).toBe(true);
  });

  test('is followed from the end of the log where empty transactions, which come up to 14, tell that it has all of it', async ({
    skip,
  }) => {
    skip((await serverVersion(client)) >= 150_000, 'no empty transactions are sent there');
    await tenRowsAndSnapshot();
    await start().ready;
    await noise();
    await source.stop();
    await restore();
    start();
    await waitFor(() => source.lines.some((line) => 'parting' in line), 'the parting');
    await waitFor(() => source.status().reconnects === 1, 'the stream behind it');
    expect(source.status()).toMatchObject({ state: 'streaming', gaps: [] });
  });

  test('and whose slot is gone has none after it was refused; once its WAL has grown past ours, what it wrote meanwhile is a gap', async () => {
    await tenRowsAndSnapshot();
    await start().ready;
    await noise();
    const told = await confirmed();
    await source.stop();
    await restore();
    await sql(`select pg_drop_replication_slot('${SLOT}')`);
    const before = await walEnd();
    await insert(11, 20);
    start();
    await refusal();
    await source.stop();
    expect(await readSlot(client, SLOT)).toBeUndefined();
    await writeElsewhere(20_000);
    expect((await walEnd()) > told).toBe(true);
    await start().ready;
    const { gaps } = source.status();
    expect(gaps).toMatchObject([{ cause: 'slot_remade' }]);
    expect(parseLsn(gaps[0]!.from)! <= before).toBe(true);
  });

  test('and whose slot is gone has one made once, however often it is asked', async () => {
    await tenRowsAndSnapshot();
    await start().ready;
    await noise();
    await source.stop();
    await restore();
    await sql(`select pg_drop_replication_slot('${SLOT}')`);
    await sql(`alter role postgres set log_statement = 'all'`);
    const count = (text: string): number =>
      logged
        .join('\n')
        .split('\n')
        .filter((line) => line.includes('LOG:  execute') && line.includes(text)).length;
    start();
    await refusal();
    await waitFor(() => count('pg_xact_status') >= 3, 'several tries');
    expect(source.status().health).toBe('halted');
    await source.stop();
    expect(count('pg_create_logical_replication_slot')).toBe(1);
    await sql('alter role postgres reset log_statement');
  });

  test('where only keepalives lay behind the snapshot loses nothing that is written after it', async () => {
    await tenRowsAndSnapshot();
    await start().ready;
    await noise();
    const told = await confirmed();
    await source.stop();
    await restore();
    // New changes, up to beyond everything that was flushed.
    await insert(11, 1010);
    await writeElsewhere(20_000);
    expect((await walEnd()) > told).toBe(true);
    await start().ready;
    await waitFor(() => source.status().changes >= 1000, 'the new rows');
    expect(await ids()).toEqual(range(1, 1010));
    expect(source.status().gaps).toEqual([]);
  });

  test('that went another way behind it is followed from where the two part: what it wrote in place of ours is all there (C156)', async () => {
    await tenRowsAndSnapshot(false);
    await start(false).ready;
    await insert(11, 20);
    const logged = await waitFor(
      () => source.status().changes === 10 && source.status().loggedEnd,
      'the rows',
    );
    await source.stop();
    await restore();
    await insert(101, 130);
    await writeElsewhere(20_000);
    expect((await walEnd()) > parseLsn(logged)!).toBe(true);
    start(false);
    await waitFor(async () => (await ids()).includes(130), 'what was written instead');
    expect(await ids()).toEqual([...range(1, 20), ...range(101, 130)]);
    expect(source.status().gaps).toEqual([]);
  });

  /** Four rows are in the log that the server then never had; it writes others in their place, and beyond. */
  async function fourRowsAndAnotherWay(): Promise<{ readonly restoredAt: Lsn; readonly logged: Lsn }> {
    await tenRowsAndSnapshot(false);
    await start(false).ready;
    await insert(11, 12);
    await insert(13, 14);
    await waitFor(() => source.status().changes === 4, 'the rows');
    const logged = parseLsn(source.status().loggedEnd)!;
    await source.stop();
    await restore();
    const restoredAt = await walEnd();
    for (let i = 101; i < 131; i += 3) await insert(i, i + 2);
    expect((await walEnd()) > logged).toBe(true);
    return { restoredAt, logged };
  }

  test('that went another way, and whose publication was made anew with other options, is followed from there, too', async () => {
    await fourRowsAndAnotherWay();
    // As somebody makes it at a prompt: not by way of the root, so row events may be numbered otherwise.
    await sql(`drop publication ${SLOT}; create publication ${SLOT} for table items`);
    start(false);
    await waitFor(async () => (await ids()).includes(130), 'what was written instead');
    expect(await ids()).toEqual([...range(1, 14), ...range(101, 130)]);
  });

  test('that went another way, and is read by another publication, has a gap: nothing shows that it is the same', async () => {
    const { restoredAt, logged } = await fourRowsAndAnotherWay();
    await sql('create publication another for table items');
    start(false, 'another');
    const covers = ({ from, to, halts }: Gap): boolean =>
      halts && parseLsn(from)! <= restoredAt && parseLsn(to ?? '')! >= logged;
    await waitFor(
      () => source.status().gaps.some(covers),
      'a gap of everything that the log takes for its own',
    );
    expect(await ids()).not.toContain(101);
  });

  test('that is only restarted is the same, whatever of it was not settled yet', async () => {
    await start(false).ready;
    await insert(1, 10);
    await waitFor(() => source.status().changes === 10, 'the rows');
    await source.stop();
    await stopServer();
    await startServer();
    await insert(11, 20);
    await start(false).ready;
    await waitFor(() => source.status().changes === 10, 'the new rows');
    expect(await ids()).toEqual(range(1, 20));
    expect(source.lines.filter(({ level }) => level >= 50)).toEqual([]);
  });

  test('that crashes while the source runs is the same', async () => {
    await start(false).ready;
    await insert(1, 10);
    await waitFor(() => source.status().changes === 10, 'the rows');
    await client.end();
    await server.stop('immediate');
    await startServer();
    await insert(11, 20);
    await waitFor(() => source.status().changes === 20, 'the new rows');
    expect(await ids()).toEqual(range(1, 20));
  });
});

describe('a server that is promoted', () => {
  /** The same files as a standby, promoted: a new timeline begins where its WAL ends. */
  async function promote(): Promise<void> {
    await stopServer();
    const signal = join(server.directory, 'standby.signal');
    writeFileSync(signal, '');
    execFileSync('chown', ['--reference', join(server.directory, 'PG_VERSION'), signal]);
    await startServer();
    await sql('select pg_promote()');
    await waitFor(async () => {
      const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
      return !rows[0]!.standby;
    }, 'the promotion');
  }

  test('while the database was idle is no gap: what was flushed below the switch is in both histories', async () => {
    await start().ready;
    await insert(1, 10);
    await waitFor(() => source.status().changes === 10, 'the rows');
    await noise();
    await source.stop();
    await promote();
    await start().ready;
    expect(source.status().gaps).toEqual([]);
    await insert(11, 20);
    await waitFor(() => source.status().changes === 10, 'the new rows');
    expect(await ids()).toEqual(range(1, 20));
    const { epochs, timelines } = await source.read();
    expect([epochs.size, timelines]).toEqual([2, new Set([1, 2])]);
  });

  test('goes on with what was not settled, on the new timeline', async () => {
    await start(false).ready;
    await insert(1, 10);
    await waitFor(() => source.status().changes === 10, 'the rows');
    await source.stop();
    await promote();
    await insert(11, 20);
    await start(false).ready;
    await waitFor(() => source.status().changes === 10, 'the new rows');
    expect(await ids()).toEqual(range(1, 20));
    expect(source.status().gaps).toEqual([]);
  });
});
