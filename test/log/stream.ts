// Streams for the log's tests: transactions as frames, logs in directories of their own, and a consumer to compare with.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { formatPosition, type Position } from '../../src/core/position.ts';
import { appendFrame, FRAME, FRAME_HEADER_BYTES } from '../../src/pgoutput/frames.ts';
import type { LogBlock } from '../../src/log/block.ts';
import type { LogReader, ReadFrom } from '../../src/log/reader.ts';
import type { LogSettings } from '../../src/log/settings.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { openLog, type History, type LogOptions, type LogWriter } from '../../src/log/writer.ts';

export const HISTORY: History = { epoch: 0, timeline: 1 };
const POSTGRES_EPOCH_US = 946_684_800_000_000n;

export const SETTINGS: LogSettings = {
  segmentBytes: 64 * 1024 * 1024,
  retentionMs: 0,
  maxBytes: 1024 ** 3,
  minFreeBytes: 0,
  maxMessageBytes: 64 * 1024 * 1024,
};

/** A directory that goes when the test ends. */
export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-log-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Opens a log that closes with the test. */
export async function openTestLog(
  directory: string,
  options: Partial<LogOptions> = {},
): Promise<{ log: LogWriter; signals: LogSignals }> {
  const signals = options.signals ?? new LogSignals();
  const log = await openLog({
    directory,
    identity: { systemIdentifier: '7000000000000000001', databaseOid: 5, slot: 'tailrace' },
    settings: SETTINGS,
    streamOptions: { publication_names: 'tailrace' },
    version: '0.1.0',
    prologue: () => frames(relation(1)),
    ...options,
    signals,
  });
  onTestFinished(() => log.close().catch(() => undefined));
  return { log, signals };
}

export type Transaction = { readonly commitLsn: bigint; readonly rows: number; readonly timeUs?: bigint };

/** The end LSN of a test transaction: its commit record is 16 bytes long. */
export const endLsnOf = (transaction: Transaction): bigint => transaction.commitLsn + 16n;

export function begin(transaction: Transaction): Buffer {
  const bytes = Buffer.alloc(21);
  bytes[0] = FRAME.begin;
  bytes.writeBigUInt64BE(transaction.commitLsn, 1);
  bytes.writeBigInt64BE((transaction.timeUs ?? POSTGRES_EPOCH_US) - POSTGRES_EPOCH_US, 9);
  bytes.writeUInt32BE(Number(transaction.commitLsn % 1000n), 17);
  return bytes;
}

export function commit(transaction: Transaction): Buffer {
  const bytes = Buffer.alloc(26);
  bytes[0] = FRAME.commit;
  bytes.writeBigUInt64BE(transaction.commitLsn, 2);
  bytes.writeBigUInt64BE(endLsnOf(transaction), 10);
  return bytes;
}

export function row(id: number, byteCount = 12): Buffer {
  const bytes = Buffer.alloc(byteCount, id % 251);
  bytes[0] = FRAME.insert;
  return bytes;
}

/** A logical message, as far as the log looks at it. */
export const marker = (): Buffer => Buffer.from([FRAME.logicalMessage, 1, 2, 3]);

export function relation(id: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = FRAME.relation;
  bytes.writeUInt32BE(id, 1);
  return bytes;
}

/** The messages of a whole transaction. */
export const messagesOf = (transaction: Transaction, rowBytes?: number): Buffer[] => [
  begin(transaction),
  ...Array.from({ length: transaction.rows }, (_, index) => row(index, rowBytes)),
  commit(transaction),
];

/** Messages as frames. */
export function frames(...messages: readonly Buffer[]): Buffer {
  const writer = new ByteWriter(256);
  for (const message of messages) appendFrame(writer, message, 0, message.length);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

export function append(log: LogWriter, messages: readonly Buffer[], history: History = HISTORY): void {
  const bytes = frames(...messages);
  log.append(bytes, bytes.length, history);
}

/** `epoch:LSN:index` of every row of the transactions. */
export const rowsOf = (transactions: readonly Transaction[], epoch = 0): string[] =>
  transactions.flatMap(({ commitLsn, rows }) =>
    Array.from({ length: rows }, (_, index) => formatPosition({ epoch, commitLsn, index } as Position)),
  );

/** Follows blocks as a sink does: names every row by its position, collects relations. */
export class Consumer {
  readonly rows: string[] = [];
  readonly offsets: number[] = [];
  readonly relations = new Set<number>();
  /** `epoch:LSN`. */
  readonly commits: string[] = [];
  #commitLsn = 0n;
  #index = 0;

  take(block: LogBlock): void {
    if (!block.relationsOnly) {
      this.#commitLsn = block.context.commitLsn;
      this.#index = block.context.index;
    }
    let at = block.start;
    while (at < block.end) {
      const body = at + FRAME_HEADER_BYTES;
      const type = block.buffer[body];
      if (type === FRAME.begin) {
        this.#commitLsn = block.buffer.readBigUInt64BE(body + 1);
        this.#index = 0;
      } else if (type === FRAME.insert) {
        this.rows.push(
          formatPosition({
            epoch: block.context.epoch,
            commitLsn: this.#commitLsn,
            index: this.#index++,
          } as Position),
        );
        this.offsets.push(block.offset + body - block.start);
      } else if (type === FRAME.commit) {
        this.commits.push(`${block.context.epoch}:${block.buffer.readBigUInt64BE(body + 2)}`);
      } else if (type === FRAME.relation) {
        this.relations.add(block.buffer.readUInt32BE(body + 1));
      }
      at = body + block.buffer.readUInt32BE(at);
    }
  }
}

/** Reads what is in the log now. */
export async function readAll(
  reader: LogReader,
  signals: LogSignals,
  from: ReadFrom = 'earliest',
): Promise<Consumer> {
  const consumer = new Consumer();
  const stopping = new AbortController();
  const end = signals.writtenEnd();
  if ((typeof from === 'object' && 'offset' in from && from.offset >= end) || from === 'end') {
    throw new Error('nothing there to wait for');
  }
  for await (const block of reader.read(from, stopping.signal)) {
    consumer.take(block);
    if (!block.relationsOnly && block.blockEnd >= end) stopping.abort();
  }
  return consumer;
}
