import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toLsn, ZERO_LSN, type Lsn } from '../../../src/core/lsn.ts';
import { connectReplication } from '../../../src/postgres/connection/connection.ts';
import { asksForMessages, startCommand } from '../../../src/postgres/replication/protocol.ts';
import {
  startReplication,
  type ReplicationStream,
  type StreamOptions,
} from '../../../src/postgres/replication/stream.ts';
import { readSlot } from '../../../src/postgres/preflight/slot.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import { backendMessage, startFakeServer, startWireProxy } from '../../support/postgres-wire.ts';

let database: TestDatabase;
let client: Client;
let slot: string;
let slots = 0;
let messages: boolean;

beforeAll(async () => {
  database = await createTestDatabase();
  client = database.client;
  messages = asksForMessages(await serverVersion(client));
  await client.query(
    `create table users (id int primary key, email text); create publication "P'""u\\b" for table users`,
  );
});
afterAll(() => database.drop());
beforeEach(async () => {
  slot = `stream_${process.pid}_${++slots}`;
  await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
});

const options = (changes: Partial<StreamOptions> = {}): StreamOptions => ({
  slot,
  publication: `P'"u\\b`,
  startLsn: ZERO_LSN,
  confirmed: ZERO_LSN,
  messages,
  statusIntervalMs: 10_000,
  receiveTimeoutMs: 60_000,
  senderTimeoutMs: 60_000,
  maxMessageBytes: 1 << 20,
  ...changes,
});

async function start(changes: Partial<StreamOptions> = {}, port = database.port): Promise<ReplicationStream> {
  const settings = databaseSettings(database);
  return startReplication(await connectReplication(settings, { host: '127.0.0.1', port }), options(changes));
}

/** The types of the next transaction's messages, and its end LSN. Servers before 15 send empty ones: skipped. */
async function transaction(stream: ReplicationStream): Promise<{ types: string; endLsn: Lsn }> {
  let types = '';
  for (;;) {
    const batch = await stream.read();
    if (batch === undefined) throw new Error('the stream ended');
    for (let i = 0; i < batch.count; i++) {
      const start = batch.starts[i]!;
      types += String.fromCharCode(batch.bytes[start]!);
      if (types === 'BC') types = '';
      if (types.endsWith('C')) return { types, endLsn: toLsn(batch.bytes.readBigUInt64BE(start + 10)) };
    }
  }
}

const confirmedFlush = async () => (await readSlot(client, slot))?.confirmedFlush;

describe('a replication stream', () => {
  test('hands out the messages of a transaction in order', async () => {
    const stream = await start();
    await client.query(`begin; insert into users values (1, 'a');
      select pg_logical_emit_message(true, 'p', 'x'); update users set email = 'b'; commit`);
    expect((await transaction(stream)).types).toBe(messages ? 'BRIMUC' : 'BRIUC');
    await stream.stop();
  });

  test('confirms an end LSN, which the slot then shows, and ends in good order', async () => {
    const stream = await start();
    await client.query(`insert into users values (2, 'a')`);
    const { endLsn } = await transaction(stream);
    stream.confirm(endLsn);
    stream.confirm(toLsn(endLsn - 8n));
    await stream.stop();
    await waitFor(async () => (await readSlot(client, slot))?.activePid === undefined, 'the slot to be free');
    expect(await confirmedFlush()).toBe(endLsn);
  });

  test('keeps what comes in one read with the answer to START_REPLICATION (C187)', async () => {
    const copyBoth = backendMessage('W', Buffer.alloc(3));
    const data = backendMessage(
      'd',
      Buffer.concat([Buffer.from('w'), Buffer.alloc(24), Buffer.from('first')]),
    );
    const server = await startFakeServer({
      answer: (query) =>
        query.startsWith('START_REPLICATION')
          ? Buffer.concat([copyBoth, data])
          : backendMessage('C', Buffer.from('SELECT 0\0')),
    });
    const stream = await start({}, server.port);
    const batch = await stream.read();
    expect(batch?.count).toBe(1);
    expect(batch?.bytes.toString('latin1', batch.starts[0], batch.ends[0])).toBe('first');
    stream.destroy();
    await server.close();
  });

  test('survives one byte per segment and hands out the same (C187)', async () => {
    const proxy = await startWireProxy({ host: '127.0.0.1', port: database.port });
    proxy.chop(1);
    const stream = await start({}, proxy.port);
    await client.query(`insert into users values (3, repeat('x', 100))`);
    expect((await transaction(stream)).types).toBe('BRIC');
    await stream.stop();
    await proxy.close();
  });

  test('keeps the connection by its replies while nobody reads (C184)', async () => {
    await client.query(`alter database ${database.name} set wal_sender_timeout = '1500ms'`);
    const stream = await start({ senderTimeoutMs: 1500 });
    const { rows } = await client.query<{ pid: number }>(
      'select active_pid as pid from pg_replication_slots where slot_name = $1',
      [slot],
    );
    await client.query(`insert into users select i, repeat('y', 1000) from generate_series(1000, 20000) i`);
    const replied = async () =>
      (
        await client.query<{ at: Date }>('select reply_time as at from pg_stat_replication where pid = $1', [
          rows[0]!.pid,
        ])
      ).rows[0]?.at;
    const first = await waitFor(replied, 'a reply');
    // Two timeouts later the walsender is the same.
    await waitFor(async () => Number(await replied()) - Number(first) > 3000 && 'later', 'replies to go on');
    expect((await transaction(stream)).types).toMatch(/^BRI{19001}C$/);
    await stream.stop();
    await client.query(`alter database ${database.name} reset wal_sender_timeout`);
  });

  test('fails on a socket that has fallen silent (C182)', async () => {
    const proxy = await startWireProxy({ host: '127.0.0.1', port: database.port });
    const watched = await start({ receiveTimeoutMs: 1000 }, proxy.port);
    proxy.silence();
    await expect(transaction(watched)).rejects.toMatchObject({
      code: 'CONNECTION_SILENT',
      kind: 'retryable',
    });
    await proxy.close();
  });

  test.each(['60s', '0'])(
    'an idle stream is not silent: the server answers when asked, with a timeout of its own of %s (C183)',
    async (timeout) => {
      await client.query(`alter database ${database.name} set wal_sender_timeout = '${timeout}'`);
      const stream = await start({ receiveTimeoutMs: 1000, statusIntervalMs: 10_000 });
      // Each outlasts half of the limit: five of them, all of it twice. Up to 14 the transaction above comes, too, empty.
      let keepalives = 0;
      while (keepalives < 5) {
        const batch = await stream.read();
        if (batch === undefined) break;
        if (batch.count === 0) keepalives++;
      }
      expect(keepalives).toBe(5);
      await stream.stop();
      await client.query(`alter database ${database.name} reset wal_sender_timeout`);
    },
  );

  test('a stream that is interrupted stops at a message boundary', async () => {
    const stream = await start();
    const reading = (async () => {
      while ((await stream.read()) !== undefined);
      return 'ended';
    })();
    stream.interrupt();
    expect(await reading).toBe('ended');
    await stream.stop();
  });

  test('a terminated walsender is an error that passes by itself (C180)', async () => {
    const stream = await start();
    await client.query(
      'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1',
      [slot],
    );
    await expect(transaction(stream)).rejects.toMatchObject({ kind: 'retryable' });
  });
});

describe('what START_REPLICATION refuses', () => {
  test.each([
    ['a slot in use', 'SLOT_IN_USE', 'retryable', {}],
    ['a missing slot', 'SLOT_MISSING', 'fatal', { slot: 'nowhere' }],
  ] as const)('%s', async (what, code, kind, changes) => {
    const holder = what === 'a slot in use' ? await start() : undefined;
    await expect(start(changes)).rejects.toMatchObject({ code, kind });
    await holder?.stop();
  });

  test('a publication that is missing is known by the function that looks it up (C166)', async () => {
    await expect(client.query(`select pg_get_publication_tables('nowhere')`)).rejects.toMatchObject({
      code: '42704',
      routine: 'get_publication_oid',
    });
  });

  test('a slot in use is freed by the SQL of its cure', async () => {
    const holder = await start();
    const fault = await start().then(
      () => undefined,
      (error: unknown) => error as { hint: string },
    );
    const reading = (async () => {
      while ((await holder.read()) !== undefined);
    })();
    const ended = reading.then(
      () => undefined,
      (error: unknown) => error,
    );
    await client.query(/SELECT .*?;/.exec(fault!.hint)![0]);
    expect(await ended).toMatchObject({ kind: 'retryable' });
    const next = await waitFor(() => start().catch(() => undefined), 'the slot to become free');
    await next.stop();
  });

  test('the command quotes what it names (C106)', () => {
    expect(startCommand(options({ slot: 's"x', startLsn: toLsn(0x1_0000_0002n), messages: false }))).toBe(
      `START_REPLICATION SLOT "s""x" LOGICAL 1/2 (proto_version '1', publication_names '"P''""u\\b"')`,
    );
  });
});
