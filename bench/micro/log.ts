// Micro-benchmark of the change log: append (with grouped fdatasync) and read, MB/s and CPU per row.
// node bench/micro/log.ts [directory]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { appendFrame, FRAME } from '../../src/log/frames.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { openLog, type LogWriter } from '../../src/log/writer.ts';

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

type Sample = { seconds: number; cpuUs: number };

async function measure(work: () => Promise<void>): Promise<Sample> {
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(startCpu);
  return { seconds: (performance.now() - startMs) / 1000, cpuUs: user + system };
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

async function run(name: string, rowsEach: number, blockBytes: number, wantedRows: number): Promise<void> {
  const directory = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'tailrace-bench-'));
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
    const blocks = Math.ceil(wantedRows / rowsPerBlock);
    const rows = blocks * rowsPerBlock;
    const megabytes = (blocks * block.length) / 1e6;
    const report = (what: string, sample: Sample): void => {
      const speed = `${(megabytes / sample.seconds).toFixed(0)} MB/s`.padStart(10);
      const rate = `${(rows / sample.seconds / 1e3).toFixed(0)} k rows/s`.padStart(14);
      console.log(
        `${name.padEnd(28)} ${what.padEnd(7)} ${speed} ${rate} ${(sample.cpuUs / rows).toFixed(3)} CPU µs/row`,
      );
    };
    report('append', await measure(() => appendBlocks(log, block, blocks)));
    const reader = openLogReader(directory, signals);
    const stopping = new AbortController();
    const end = signals.writtenEnd();
    report(
      'read',
      await measure(async () => {
        for await (const { blockEnd } of reader.read('earliest', stopping.signal)) {
          if (blockEnd === end) stopping.abort();
        }
      }),
    );
  } finally {
    await log.close();
    rmSync(directory, { recursive: true });
  }
}

await run('64 KB blocks, 100 rows/tx', 100, 64 << 10, ROWS);
await run('1 MB blocks, 1,000 rows/tx', 1000, 1 << 20, ROWS);
await run('64 KB blocks, 1 row/tx', 1, 64 << 10, ROWS);
await run('1 row a block', 1, 1, 100_000);
