// A slot's backlog off the socket, and into the log.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { startSource } from '../../src/pipeline/source/runner.ts';
import { connectReplication } from '../../src/postgres/connection/connection.ts';
import { startReplication } from '../../src/postgres/replication/stream.ts';
import type { DatabaseSettings } from '../../src/postgres/settings.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { insertRows, TABLE_COLUMNS } from '../load/mixed.ts';
import { cpuPerRow, type Stage } from './stage.ts';

const MIB = 1024 * 1024;
const ROWS = 300_000;
const ROUNDS = 3;
const ROWS_PER_TRANSACTION = 300;
/** First byte of an Insert message. */
const INSERT = 0x49;

const settingsFor = (port: number): DatabaseSettings => ({
  name: 'bench',
  hosts: [{ host: '127.0.0.1', port }],
  database: 'postgres',
  username: 'postgres',
  password: 'postgres',
  tls: { mode: 'disable' },
  slot: {
    name: 'bench',
    createIfNotExists: true,
    ack: 'delivered',
    maxRetainedBytes: 1024 * MIB,
    failover: false,
  },
  publication: { name: 'bench', createIfNotExists: true, refreshIntervalMs: 0 },
  markers: { skip: false },
  onGap: 'halt',
  acceptedGaps: [],
  statusIntervalMs: 1000,
  receiveTimeoutMs: 60_000,
  reconnect: { initialBackoffMs: 100, multiplier: 2, maxBackoffMs: 1000, jitter: 0 },
  maxConnectionRetries: 0,
});

/** CPU a row of reading the slot and throwing its messages away. */
async function socketOnly(settings: DatabaseSettings): Promise<number> {
  const stream = await startReplication(await connectReplication(settings, settings.hosts[0]!), {
    slot: 'bench',
    publication: 'bench',
    startLsn: ZERO_LSN,
    confirmed: ZERO_LSN,
    messages: true,
    statusIntervalMs: 1000,
    receiveTimeoutMs: 60_000,
    senderTimeoutMs: 60_000,
    maxMessageBytes: 64 * MIB,
  });
  const cpu = await cpuPerRow(ROWS, async () => {
    for (let seen = 0; seen < ROWS;) {
      const batch = await stream.read();
      if (batch === undefined) throw new Error('the stream ended');
      for (let i = 0; i < batch.count; i++) if (batch.bytes[batch.starts[i]!] === INSERT) seen++;
    }
  });
  await stream.stop();
  return cpu;
}

/** CPU a row from the socket to a durable log. */
async function toLog(settings: DatabaseSettings, directory: string): Promise<number> {
  const signals = new LogSignals();
  signals.setHolding(0, true);
  const log = mkdtempSync(join(directory, 'log-'));
  const store = openStore(join(log, 'store.db'));
  const source = startSource({
    settings,
    selections: [{}],
    sinkSlots: new Map(),
    streamed: () => undefined,
    log: {
      segmentBytes: 64 * MIB,
      retentionMs: 0,
      maxBytes: 4096 * MIB,
      minFreeBytes: 0,
      maxMessageBytes: 64 * MIB,
    },
    store,
    directory: log,
    knownEpoch: -1,
    signals,
    life: { instance: 'bench', life: 1, nonce: 'a' },
    version: 'bench',
    durableDirectory: true,
    logger: pino({ level: 'silent' }),
  });
  await source.ready;
  const cpu = await cpuPerRow(ROWS, async () => {
    while (source.status().changes < ROWS) await new Promise((done) => setTimeout(done, 5));
    while (signals.durableEnd() < signals.writtenEnd()) await new Promise((done) => setTimeout(done, 1));
  });
  await source.stop();
  store.close();
  return cpu;
}

async function load(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`create table bench (${TABLE_COLUMNS}); create publication bench for table bench;`);
  await client.query(`select pg_create_logical_replication_slot('bench', 'pgoutput')`);
  for (let made = 0; made < ROWS; made += ROWS_PER_TRANSACTION) {
    await client.query(insertRows('bench'), [ROWS_PER_TRANSACTION]);
  }
  await client.end();
}

export async function stages(): Promise<Stage[]> {
  const server = await startEmbeddedPostgres();
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-source-'));
  try {
    await load(server.url());
    const settings = settingsFor(server.port);
    let socket = Infinity;
    let log = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      socket = Math.min(socket, await socketOnly(settings));
      log = Math.min(log, await toLog(settings, directory));
    }
    return [
      { stage: 'socket', usPerRow: socket, note: 'the stream split into messages' },
      { stage: 'socket to log', usPerRow: log, note: 'frames, CRC, write, fdatasync; positions counted' },
    ];
  } finally {
    await server.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}
