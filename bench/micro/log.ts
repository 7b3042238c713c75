// The change log: append with grouped fdatasync, and read, for some shapes of transactions.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { appendFrame, FRAME } from '../../src/pgoutput/frames.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { openLog, type LogWriter } from '../../src/log/writer.ts';
import { cpuPerRow, type Stage } from './stage.ts';

const ROWS = 2_000_000;
const ROW_BYTES = 200;
const HISTORY = { epoch: 0, timeline: 1 };

/** One socket read's worth: transactions of `rowsEach` rows until `blockBytes` are full. Returns the row count. */
function fillBlock(writer: ByteWriter, rowsEach: number, blockBytes: number): number {
  const begin = Buffer.alloc(21);
  begin[0] = FRAME.begin;
  const commit = Buffer.alloc(26);
  commit[0] = FRAME.commit;
  const row = Buffer.alloc(ROW_BYTES, 0x61);
  row[0] = FRAME.insert;
  let rows = 0;
  while (writer.length < blockBytes) {
    appendFrame(writer, begin, 0, begin.length);
    for (let n = 0; n < rowsEach; n++) appendFrame(writer, row, 0, row.length);
    appendFrame(writer, commit, 0, commit.length);
    rows += rowsEach;
  }
  return rows;
}

/** Appends with one fdatasync under way at a time, as the source does. */
async function appendBlocks(log: LogWriter, block: ByteWriter, count: number): Promise<void> {
  let syncing: Promise<unknown> | undefined;
  for (let n = 0; n < count; n++) {
    log.append(block.buffer, block.length, HISTORY);
    syncing ??= log.sync().then(() => (syncing = undefined));
    if (n % 16 === 0) await new Promise(setImmediate);
  }
  await log.sync();
}

type Shape = {
  readonly name: string;
  readonly rowsEach: number;
  readonly blockBytes: number;
  readonly rows: number;
};

const SHAPES: readonly Shape[] = [
  { name: '', rowsEach: 100, blockBytes: 64 << 10, rows: ROWS },
  { name: ' (1 row a transaction)', rowsEach: 1, blockBytes: 64 << 10, rows: ROWS },
  { name: ' (1 row a block)', rowsEach: 1, blockBytes: 1, rows: 100_000 },
];

async function measure({ name, rowsEach, blockBytes, rows: wanted }: Shape): Promise<Stage[]> {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-log-'));
  const signals = new LogSignals();
  const log = await openLog({
    directory,
    identity: { systemIdentifier: '1', databaseOid: 1, slot: 'bench' },
    settings: {
      segmentBytes: 64 << 20,
      retentionMs: 0,
      maxBytes: 0,
      minFreeBytes: 0,
      maxMessageBytes: 64 << 20,
    },
    signals,
    streamOptions: {},
    version: 'bench',
    prologue: () => Buffer.alloc(0),
  });
  try {
    const block = new ByteWriter();
    const rowsPerBlock = fillBlock(block, rowsEach, blockBytes);
    const blocks = Math.ceil(wanted / rowsPerBlock);
    const rows = blocks * rowsPerBlock;
    const append = await cpuPerRow(rows, () => appendBlocks(log, block, blocks));
    const end = signals.writtenEnd();
    const read = await cpuPerRow(rows, async () => {
      const stopping = new AbortController();
      for await (const { blockEnd } of openLogReader(directory, signals).read('earliest', stopping.signal)) {
        if (blockEnd === end) stopping.abort();
      }
    });
    const note = `rows of ${ROW_BYTES} bytes, blocks of ${Math.ceil(block.length / 1024)} KiB`;
    return [
      { stage: `append${name}`, usPerRow: append, note: `${note}; CRC, write, fdatasync` },
      { stage: `read${name}`, usPerRow: read, note: `${note}; CRC` },
    ];
  } finally {
    await log.close();
    rmSync(directory, { recursive: true });
  }
}

export async function stages(): Promise<Stage[]> {
  const found: Stage[] = [];
  for (const shape of SHAPES) found.push(...(await measure(shape)));
  return found;
}
