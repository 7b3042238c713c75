// How fast a slot's backlog comes into the log, and what a row costs: `npx node bench/micro/source.ts [rows]`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { startSource } from '../../src/pipeline/source-runner.ts';
import { connectReplication } from '../../src/postgres/connection.ts';
import { startReplication } from '../../src/postgres/replication-stream.ts';
import type { DatabaseSettings } from '../../src/postgres/settings.ts';

const MIB = 1024 * 1024;
const rows = Number(process.argv[2] ?? 300_000);
const ROWS_PER_TRANSACTION = 300;

const server = await startEmbeddedPostgres();
const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-'));
const settings: DatabaseSettings = {
  name: 'bench',
  hosts: [{ host: '127.0.0.1', port: server.port }],
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
  statusIntervalMs: 1000,
  receiveTimeoutMs: 60_000,
  reconnect: { initialBackoffMs: 100, multiplier: 2, maxBackoffMs: 1000, jitter: 0 },
  maxConnectionRetries: 0,
};

function report(what: string, elapsedMs: number, cpu: NodeJS.CpuUsage): void {
  const perRow = (cpu.user + cpu.system) / rows;
  console.log(
    `${what.padEnd(14)} ${Math.round((rows / elapsedMs) * 1000).toLocaleString('en')} rows/s, ${perRow.toFixed(2)} µs of CPU a row`,
  );
}

async function readOnly(): Promise<void> {
  const target = settings.hosts[0]!;
  const stream = await startReplication(await connectReplication(settings, target), {
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
  const start = performance.now();
  const cpu = process.cpuUsage();
  let seen = 0;
  let reads = 0;
  while (seen < rows) {
    const batch = await stream.read();
    if (batch === undefined) break;
    reads++;
    for (let i = 0; i < batch.count; i++) if (batch.bytes[batch.starts[i]!] === 0x49) seen++;
  }
  report('read only', performance.now() - start, process.cpuUsage(cpu));
  console.log(`               ${reads} batches, ${Math.round(stream.receivedBytes / rows)} bytes a row`);
  await stream.stop();
}

async function toLog(): Promise<void> {
  const signals = new LogSignals();
  signals.setHolding(0, true);
  const source = startSource({
    settings,
    selections: [{}],
    sinkNames: [],
    streamed: () => undefined,
    log: {
      segmentBytes: 64 * MIB,
      retentionMs: 0,
      maxBytes: 4096 * MIB,
      minFreeBytes: 0,
      maxMessageBytes: 64 * MIB,
    },
    directory: mkdtempSync(join(directory, 'log-')),
    signals,
    version: 'bench',
    durableDirectory: true,
    logger: pino({ level: 'silent' }),
  });
  await source.ready;
  const start = performance.now();
  const cpu = process.cpuUsage();
  while (source.status().changes < rows) await new Promise((done) => setTimeout(done, 5));
  while (signals.durableEnd() < signals.writtenEnd()) await new Promise((done) => setTimeout(done, 1));
  report('slot → log', performance.now() - start, process.cpuUsage(cpu));
  await source.stop();
}

try {
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  await client.query(`
    create table bench (id serial primary key, string_field text, numeric_field numeric, timestamp_field timestamptz,
      json_field jsonb, inserted_at timestamp, updated_at timestamp);
    create publication bench for table bench;
  `);
  await client.query(`select pg_create_logical_replication_slot('bench', 'pgoutput')`);
  for (let at = 0; at < rows; at += ROWS_PER_TRANSACTION) {
    await client.query(
      `insert into bench (string_field, numeric_field, timestamp_field, json_field, inserted_at, updated_at)
       select md5(i::text), i * 1.01, now(), '{"a": 1, "b": "two"}', now(), now()
       from generate_series(1, ${Math.min(ROWS_PER_TRANSACTION, rows - at)}) i`,
    );
  }
  await client.end();
  for (let round = 0; round < 3; round++) {
    await readOnly();
    await toLog();
  }
} finally {
  await server.remove();
  rmSync(directory, { recursive: true, force: true });
}
