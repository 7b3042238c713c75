// Rows that a backfill has read, from the log to messages: in one order with the changes around them, and told from them.
import { expect, test } from 'vitest';
import { toLsn, ZERO_LSN } from '../../../src/core/lsn.ts';
import { isLost } from '../../../src/core/partings.ts';
import { formatPosition } from '../../../src/core/position.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { begin, commit, openTestLog, append, scratchDirectory } from '../../log/stream.ts';
import type { LogBlock } from '../../../src/log/block.ts';
import { openLogReader } from '../../../src/log/reader.ts';
import { describeTable, sinkIntake, type IntakeOptions } from '../../support/intake.ts';
import { blocksOf } from '../../support/log-blocks.ts';
import { insertMessage, updateMessage } from '../../support/pgoutput-messages.ts';
import { readsOf } from '../../support/reads.ts';

const FIRST = { commitLsn: 104n, rows: 1 };
const SECOND = { commitLsn: 208n, rows: 1 };
const TABLE = describeTable({ id: 1 });

async function walked(contents: readonly (readonly Buffer[])[], options: IntakeOptions = {}) {
  const harness = sinkIntake({ ...options, blocks: blocksOf(...contents) });
  await harness.walk();
  return harness;
}

const summary = ({ position, action, group }: Pending): string =>
  `${formatPosition(position)} ${action} ${group}`;

const AROUND: readonly (readonly Buffer[])[] = [
  [begin(FIRST), ...TABLE, insertMessage(1, ['a', 'first']), commit(FIRST)],
  readsOf({
    rows: [
      ['a', 'read'],
      ['b', null],
    ],
  }),
  readsOf({ rows: [['c', 'read later']], firstIndex: 2 }),
  [begin(SECOND), updateMessage(1, ['b', 'second']), commit(SECOND)],
];

test('they come in their places between the changes, in the groups of their keys, as messages of their own (C216)', async () => {
  const h = await walked(AROUND);
  expect(h.letIn().map(summary)).toEqual([
    '0:0/68:0 insert public.t1:a',
    '0:0/69:0 read public.t1:a',
    '0:0/69:1 read public.t1:b',
    '0:0/69:2 read public.t1:c',
    '0:0/D0:0 update public.t1:b',
  ]);
  // Of each group the later one waits for the one before it.
  expect(h.letIn().map(({ waitsOn }) => waitsOn)).toEqual([0, 1, 0, 0, 1]);
  const [, read] = h.bodies();
  expect(read).toMatchObject({
    record: { id: 'a', note: 'read' },
    changes: null,
    action: 'read',
    metadata: { table_name: 't1', commit_timestamp: '2026-01-02T03:04:05.000000Z', record_pks: ['a'] },
  });
});

test('what is parked of them is rendered again as it was', async () => {
  const h = await walked(AROUND);
  const bodies = h.bodies();
  for (const message of h.letIn()) {
    h.unsettled.room.park(message);
    h.intake.renderParked(message);
  }
  expect(h.bodies()).toEqual(bodies);
});

test('a row has the same key whenever the backfill reads it, and another one in another backfill, table or place', async () => {
  const keyOf = async (
    reads: Omit<Parameters<typeof readsOf>[0], 'rows'>,
    row = ['a', 'x'],
  ): Promise<string> => {
    const h = await walked([readsOf({ ...reads, rows: [row] })]);
    const [message] = h.letIn();
    expect(message!.idempotencyKey).toMatch(/^[\w-]{1,64}$/);
    return message!.idempotencyKey;
  };
  const key = await keyOf({});
  expect(await keyOf({ firstIndex: 7, watermark: 5000n }, ['a', 'another value'])).toBe(key);
  const others = await Promise.all([
    keyOf({}, ['b', 'x']),
    keyOf({ backfill: 'b2' }),
    keyOf({ table: 't2' }),
    keyOf({ key: [], places: ['16384:(0,1)'] }),
    keyOf({ key: [], places: ['16384:(0,2)'] }),
  ]);
  expect(new Set([key, ...others]).size).toBe(6);
});

test('a table without a key is one group, and the place of a row is no part of its message', async () => {
  const h = await walked([
    readsOf({
      key: [],
      rows: [
        ['a', 'x'],
        ['a', 'x'],
      ],
      places: ['1:(0,1)', '1:(0,2)'],
    }),
  ]);
  expect(h.letIn().map(({ group }) => group)).toEqual(['public.t1', 'public.t1']);
  expect(h.bodies().map(({ record }) => record)).toEqual([
    { id: 'a', note: 'x' },
    { id: 'a', note: 'x' },
  ]);
});

test('rows for other sinks are passed over, and so are all for a sink that takes no inserts; they count all the same', async () => {
  const contents = [
    readsOf({ rows: [['a', 'x']], sinks: ['other'] }),
    readsOf({ rows: [['b', 'x']], firstIndex: 1, sinks: ['other', 'test'] }),
  ];
  const h = await walked(contents);
  expect(h.letIn().map(summary)).toEqual(['0:0/1:1 read public.t1:b']);
  expect((await walked(contents, { settings: { actions: ['update'] } })).letIn()).toEqual([]);
  expect(formatPosition(h.walker.head.position)).toBe('0:0/1:2');
});

test('a sink may say whether it gets them, whatever actions it takes', async () => {
  const reads = async (settings: Partial<SinkSettings>) =>
    (await walked([readsOf({ rows: [['a', 'x']] })], { settings })).letIn().length;
  const backfill = (reads: boolean) => ({ reads, limits: { queryTimeoutMs: 5000 } });
  expect(await reads({ backfill: backfill(false) })).toBe(0);
  expect(await reads({ backfill: backfill(true), actions: ['delete'] })).toBe(1);
});

test('the shape that a row was read in does not become that of the stream', async () => {
  const narrow = describeTable({ id: 1, columns: [{ name: 'id', type: 25, identity: true }] });
  const h = await walked([
    [begin(FIRST), ...narrow, insertMessage(1, ['a']), commit(FIRST)],
    readsOf({ rows: [['b', 'has a note']] }),
    [begin(SECOND), insertMessage(1, ['c']), commit(SECOND)],
  ]);
  expect(h.bodies().map(({ record }) => record)).toEqual([
    { id: 'a' },
    { id: 'b', note: 'has a note' },
    { id: 'c' },
  ]);
});

test('rows that were left out are not there, and the numbers of the others have no holes', async () => {
  const h = await walked([
    readsOf({
      rows: [
        ['a', 'x'],
        ['b', 'x'],
        ['c', 'x'],
      ],
      kept: [0, 2],
    }),
  ]);
  expect(h.letIn().map(summary)).toEqual(['0:0/1:0 read public.t1:a', '0:0/1:1 read public.t1:c']);
});

test('what a row may show of a history that is lost makes it lost, wherever it stands', () => {
  const partings = [{ epoch: 1, lsn: toLsn(500n) }];
  const read = (readUpTo: bigint) => ({ epoch: 0, commitLsn: toLsn(105n), readUpTo: toLsn(readUpTo) });
  expect([400n, 500n, 501n].map((watermark) => isLost(partings, read(watermark)))).toEqual([
    false,
    false,
    true,
  ]);
  expect(isLost(partings, { ...read(900n), epoch: 1 })).toBe(false);
  expect(isLost(partings, { epoch: 0, commitLsn: toLsn(105n) })).toBe(false);
});

/** All rows that are read from a position on. */
async function rowsSince(directory: string, index: number, commitLsn: bigint): Promise<readonly string[]> {
  const { log, signals } = await openTestLog(directory);
  const reader = openLogReader(directory, signals);
  const done = new AbortController();
  const start = { epoch: 0, commitLsn: toLsn(commitLsn), index };
  const h = sinkIntake({
    start: { position: start, endLsn: ZERO_LSN, offset: 0 },
  });
  for await (const block of reader.read({ position: { ...start, index: index - 1 } }, done.signal)) {
    await h.walker.block(copyOf(block), done.signal);
    if (block.blockEnd >= signals.writtenEnd()) done.abort();
  }
  await log.close();
  return [...h.letIn().map(summary), formatPosition(h.walker.head.position)];
}
const copyOf = (block: LogBlock): LogBlock => ({ ...block, buffer: Buffer.from(block.buffer) });

test('a log that was left behind holds them, and a cursor among them begins where it stood', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  for (const messages of AROUND) append(log, messages);
  append(log, readsOf({ rows: [['d', 'x']] }));
  append(log, [begin({ commitLsn: 304n, rows: 1 }), insertMessage(1, ['unfinished', ''])]);
  await log.close();
  const all = await rowsSince(directory, 0, 0n);
  expect(all).toEqual([
    '0:0/68:0 insert public.t1:a',
    '0:0/69:0 read public.t1:a',
    '0:0/69:1 read public.t1:b',
    '0:0/69:2 read public.t1:c',
    '0:0/D0:0 update public.t1:b',
    '0:0/D1:0 read public.t1:d',
    '0:0/D1:1',
  ]);
  expect((await rowsSince(directory, 2, 105n)).slice(-4)).toEqual(all.slice(-4));
  expect((await rowsSince(directory, 1, 209n)).at(-1)).toBe('0:0/D1:1');
  const { log: again } = await openTestLog(directory);
  expect([again.context.index, again.context.lastCommitLsn]).toEqual([1, 208n]);
});
