import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LogSignals } from '../../../src/log/signals.ts';
import { startSourceThread, type SourceThread } from '../../../src/pipeline/source/thread.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import { createSourceDirectory, readLog, type SourceDirectory } from '../../support/source.ts';

let database: TestDatabase;
let directory: SourceDirectory;
let thread: SourceThread;
const lines: string[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  await database.client.query('create table items (id int primary key)');
  directory = createSourceDirectory();
});
afterEach(async () => {
  await thread.stop();
  directory.remove();
  await database.drop();
});

function start(signals: LogSignals, changes: Parameters<typeof databaseSettings>[1] = {}): SourceThread {
  thread = startSourceThread({
    settings: databaseSettings(database, changes),
    sinkSlots: new Map(),
    selections: [{ includeTables: [{ schema: ['public'], table: ['items'] }] }],
    tellsSchemas: false,
    withoutUpdates: new Set(),
    streamed: () => undefined,
    log: {
      segmentBytes: 1 << 20,
      retentionMs: 0,
      maxBytes: 1 << 30,
      minFreeBytes: 0,
      maxMessageBytes: 1 << 26,
    },
    storeFile: join(directory.path, 'store.db'),
    directory: directory.path,
    knownEpoch: -1,
    signals,
    version: '0.0.0-test',
    life: { instance: 'test', life: 1, nonce: 'a' },
    logLevel: 'debug',
    logger: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }),
  });
  return thread;
}

describe('a source thread', () => {
  test('says when it is ready and how it stands, wakes readers of the log, and stops', async () => {
    const signals = new LogSignals();
    start(signals);
    expect(thread.status()).toMatchObject({ health: 'degraded', state: 'connecting' });
    const { rows } = await database.client.query<{ id: string }>(
      'select system_identifier::text as id from pg_control_system()',
    );
    expect(await thread.ready).toMatchObject({ host: '127.0.0.1', log: { systemIdentifier: rows[0]!.id } });
    const end = signals.writtenEnd();
    const appended = signals.waitForAppend(end, new AbortController().signal);
    await database.client.query('insert into items values (1)');
    await appended;
    await waitFor(() => thread.status().changes === 1, 'the status to count the change');
    expect((await readLog(directory.path, signals)).rows).toHaveLength(1);
    await thread.stop();
    expect(thread.status()).toMatchObject({ state: 'stopped' });
    expect(lines.some((line) => line.includes('streams'))).toBe(true);
  });

  test('keeps its connection while the thread that started it stands still for longer than the server waits (C185)', async () => {
    const signals = new LogSignals();
    await database.client.query(`alter database ${database.name} set wal_sender_timeout = '1s'`);
    start(signals);
    await thread.ready;
    const walsender = async (): Promise<unknown> =>
      (
        await database.client.query('select active_pid from pg_replication_slots where database = $1', [
          database.name,
        ])
      ).rows;
    const before = await walsender();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
    expect(await walsender()).toEqual(before);
    await database.client.query('insert into items values (1)');
    await waitFor(() => thread.status().changes === 1, 'the status to count the change');
    expect(thread.status().reconnects).toBe(0);
  });

  test('fails with the fault and its cure', async () => {
    start(new LogSignals(), { password: 'wrong' });
    await expect(thread.failed).rejects.toMatchObject({
      code: 'PASSWORD_REFUSED',
      kind: 'fatal',
      hint: expect.stringContaining('ALTER ROLE'),
    });
    await expect(thread.ready).rejects.toMatchObject({ code: 'PASSWORD_REFUSED' });
  });
});
