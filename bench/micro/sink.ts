// All that a sink's thread does: from the log's files to a FIFO queue, with the ledger. The changes are those of `drain`: inserts, updates
// and deletes in transactions of 1 to 1,000 rows. The queue is a process of its own, and its CPU does not count.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { FollowedLog } from '../../src/core/log-life.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { openLog, type LogWriter } from '../../src/log/writer.ts';
import { encodeEnrichment } from '../../src/pgoutput/enrichment.ts';
import { appendFrame, FRAME } from '../../src/pgoutput/frames.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import type { SinkOptions } from '../../src/pipeline/sink/options.ts';
import { SinkRunner } from '../../src/pipeline/sink/runner.ts';
import { sqs } from '../../src/sinks/sqs/sqs.ts';
import { openStore } from '../../src/store/sqlite.ts';
import {
  deleteMessage,
  insertMessage,
  int64,
  relationMessage,
  uint8,
  updateMessage,
} from '../../test/support/pgoutput-messages.ts';
import { PLAIN_SINK } from '../../test/support/sink-settings.ts';
import { startEndpoint, type Endpoint } from '../endpoint/endpoint.ts';
import { COLUMNS, envelope, relation, transaction } from './rows.ts';
import type { Stage } from './stage.ts';

const CHANGES = 200_000;
const ROUNDS = 4;
/** How often the queue is asked whether it has everything. */
const POLL_MS = 20;
const QUEUE = 'bench.fifo';
const SIZES = [1, 10, 100, 1000];
const KINDS = ['insert', 'update', 'insert', 'delete'] as const;
const IDENTITY = { systemIdentifier: '7000000000000000001', databaseOid: 5, slot: 'bench' };

export type SinkBench = {
  /** Microseconds of CPU a change, of this whole process: one more run of the sink, from the log's beginning to its end. */
  readonly run: (how?: {
    readonly rttMs?: number;
    /** Another format's: the queue counts its messages, and reads them no further. */
    readonly format?: Pick<SinkSettings, 'format' | 'formatOptions' | 'values'>;
  }) => Promise<number>;
  readonly end: () => Promise<void>;
};

export async function stages(): Promise<Stage[]> {
  const bench = await openSinkBench();
  let best = Infinity;
  // The first round is the compiler's.
  for (let round = 0; round <= ROUNDS; round++) {
    const cpu = await bench.run();
    if (round > 0) best = Math.min(best, cpu);
  }
  await bench.end();
  return [{ stage: 'sink', usPerRow: best, note: "log → FIFO queue: all of a sink's thread" }];
}

export async function openSinkBench(): Promise<SinkBench> {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-sink-'));
  const endpoint = await startEndpoint();
  const signals = new LogSignals();
  const logDirectory = join(directory, 'log');
  const log = await openLog({
    directory: logDirectory,
    identity: IDENTITY,
    settings: {
      segmentBytes: 64 * 1024 * 1024,
      retentionMs: 3_600_000,
      maxBytes: 1024 ** 3,
      minFreeBytes: 0,
      maxMessageBytes: 64 * 1024 * 1024,
    },
    signals,
    streamOptions: {},
    version: '0.1.0',
    prologue: () => Buffer.alloc(0),
  });
  signals.setHolding(0, true);
  fill(log);
  await log.sync();
  const followed: FollowedLog = {
    ...IDENTITY,
    ...log.birth,
    history: { current: 1, switches: [], walEnd: toLsn(2n ** 62n) },
  };
  let runs = 0;
  return {
    run: async ({ rttMs = 0, format } = {}) => {
      await endpoint.reset();
      await endpoint.setNetwork({ rttMs });
      const runner = await SinkRunner.create({
        settings: { ...settingsFor(endpoint), ...format },
        logDirectory,
        log: followed,
        signals,
        slot: 0,
        ledgerFile: join(directory, `${++runs}.ledger`),
        newSinkStart: 'earliest',
        onGap: 'halt',
        store: openStore(':memory:'),
        logger: pino({ enabled: false }),
        envelope,
        streamKey: 'key',
        heedsSkips: false,
      } satisfies SinkOptions);
      const before = process.cpuUsage();
      const running = runner.run();
      if (format === undefined) await endpoint.waitFor(QUEUE, CHANGES);
      else while ((await endpoint.report(QUEUE)).unreadable < CHANGES) await sleep(POLL_MS);
      const { user, system } = process.cpuUsage(before);
      await runner.stop(Infinity);
      await running;
      const { accepted, duplicates, outOfOrder, missing, badKeys, unreadable } = await endpoint.report(QUEUE);
      if (format !== undefined) {
        if (unreadable !== CHANGES || accepted > 0) throw new Error(JSON.stringify({ accepted, unreadable }));
      } else if (accepted !== CHANGES || duplicates + outOfOrder + missing + badKeys > 0)
        throw new Error(JSON.stringify({ accepted, duplicates, outOfOrder, missing, badKeys }));
      return (user + system) / CHANGES;
    },
    end: async () => {
      await log.close();
      await endpoint.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

function fill(log: LogWriter): void {
  const writer = new ByteWriter();
  const frame = (message: Buffer): void => appendFrame(writer, message, 0, message.length);
  const texts = COLUMNS.map(([, , text]) => text);
  const row = (id: number): string[] => [String(id), ...texts.slice(1)];
  const key = (id: number): (string | null)[] => [String(id), ...texts.slice(1).map(() => null)];
  const { id, schema, table, key: keyColumns } = relation;
  frame(
    relationMessage({
      id,
      schema,
      table,
      identity: 'd',
      columns: relation.columns.map(({ name, type, identity }) => ({ name, type, identity })),
    }),
  );
  frame(encodeEnrichment({ relationId: id, key: [...keyColumns], types: new Map() }));
  let made = 0;
  let lowest = 1;
  let highest = 0;
  for (let round = 0; made < CHANGES; round++) {
    const kind = KINDS[Math.floor(round / SIZES.length) % KINDS.length]!;
    const live = highest - lowest + 1;
    const size = Math.min(SIZES[round % SIZES.length]!, CHANGES - made, kind === 'insert' ? Infinity : live);
    if (size === 0) continue;
    const commitLsn = transaction.commitLsn + BigInt(round) * 4096n;
    frame(
      Buffer.concat([uint8(FRAME.begin), int64(commitLsn), int64(820_000_000_000_000n), Buffer.alloc(4, 1)]),
    );
    for (let i = 0; i < size; i++) {
      if (kind === 'insert') frame(insertMessage(id, row(++highest)));
      else if (kind === 'update') frame(updateMessage(id, row(highest - size + 1 + i)));
      else frame(deleteMessage(id, { kind: 'key', row: key(lowest++) }));
      made++;
    }
    frame(
      Buffer.concat([uint8(FRAME.commit), uint8(0), int64(commitLsn), int64(commitLsn + 16n), int64(0n)]),
    );
    log.append(writer.buffer, writer.length, { epoch: 0, timeline: 1 });
    writer.reset();
  }
}

function settingsFor({ url }: Endpoint): SinkSettings {
  return {
    name: 'bench',
    database: 'shop',
    ...PLAIN_SINK,
    retry: { initialBackoffMs: 100, multiplier: 2, maxBackoffMs: 1000, jitter: 0 },
    maxParked: 100_000,
    destination: {
      type: 'sqs',
      config: sqs.config.parse({
        type: 'sqs',
        queue_name: QUEUE,
        emulator_base_url: url,
        access_key_id: 'a',
        secret_access_key: 'b',
      }),
    },
  };
}
