// What begins and what ends a transaction, on its way into a sink: around what the sink takes, in the one group, at places of its own.
import { expect, test } from 'vitest';
import { COLUMN } from '../../../src/pgoutput/bytes.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import type { Step } from '../../../src/pipeline/intake/steps.ts';
import { abandonTransaction } from '../../../src/log/context.ts';
import { begin, commit, frames } from '../../log/stream.ts';
import { describeTable, oversizeFrame, sinkIntake, type IntakeOptions } from '../../support/intake.ts';
import { BLOCK_BYTES, blocksOf, MemoryLog } from '../../support/log-blocks.ts';
import { REJECTED, routeTo } from '../../support/dispatcher.ts';
import { insertMessage, logicalMessage, truncateMessage } from '../../support/pgoutput-messages.ts';
import { patient } from '../../support/messages.ts';

const FORMAT = {
  format: 'wal2json',
  formatOptions: { wal2json: { 'include-transaction': true, 'include-xids': true, 'include-lsn': true } },
} as const;

const T1 = { commitLsn: 100n, rows: 0 };
const T2 = { commitLsn: 200n, rows: 0 };

/** Of the sinks that read the table `t1` alone. */
const selection = { includeTables: [{ schema: ['public'], table: ['t1'] }] };

const TABLES = [...describeTable({ id: 1 }), ...describeTable({ id: 2, name: 'other' })];
const row = (id: string, table = 1): Buffer => insertMessage(table, [id, 'x']);
/** The first column's bytes are no text. */
const damaged = (message: Buffer): Buffer => {
  const bytes = Buffer.from(message);
  bytes[bytes.indexOf('zz') - 5] = COLUMN.damaged;
  return bytes;
};
const other = (id: string): Buffer => row(id, 2);

/** The sink reads the table `t1` alone. */
async function letIn(blocks: readonly (readonly Buffer[])[], options: IntakeOptions = {}) {
  const settings: Partial<SinkSettings> = { ...FORMAT, selection, ...options.settings };
  const harness = sinkIntake({ ...options, settings, blocks: blocksOf(...blocks) });
  await harness.walk();
  return harness;
}

const summary = ({ action, transaction, index, waitsOn }: Pending): string =>
  `${transaction.commitLsn}/${index} ${action}${waitsOn > 0 ? ` waits on ${waitsOn}` : ''}`;
const summaries = (harness: { letIn(): Pending[] }): string[] => harness.letIn().map(summary);

test('they stand around the changes that the sink takes, each message behind the one before it', async () => {
  const h = await letIn([
    [begin(T1), ...TABLES, other('a'), row('b'), row('c'), other('d'), commit(T1)],
    [begin(T2), row('e'), commit(T2)],
  ]);
  expect(summaries(h)).toEqual([
    '100/0 begin',
    '100/1 insert waits on 1',
    '100/2 insert waits on 1',
    '100/4 commit waits on 1',
    '200/0 begin waits on 1',
    '200/0 insert waits on 1',
    '200/1 commit waits on 1',
  ]);
  expect(new Set(h.letIn().map(({ group }) => group))).toEqual(new Set(['test']));
  expect(new Set(h.letIn().map(({ idempotencyKey }) => idempotencyKey)).size).toBe(7);
  expect(h.bodies().map((body) => [body['action'], body['lsn'], body['nextlsn']])).toEqual([
    ['B', '0/64', undefined],
    ['I', '0/64', undefined],
    ['I', '0/64', undefined],
    ['C', '0/64', expect.stringMatching(/^0\/[0-9A-F]+$/)],
    ['B', '0/C8', undefined],
    ['I', '0/C8', undefined],
    ['C', '0/C8', expect.stringMatching(/^0\/[0-9A-F]+$/)],
  ]);
  await h.drained();
  expect(h.settled.map(summary)).toEqual([
    '100/0 begin',
    '100/1 insert',
    '100/2 insert',
    '100/4 commit',
    '200/0 begin',
    '200/0 insert',
    '200/1 commit',
  ]);
});

test('a transaction of which the sink takes nothing has none', async () => {
  const h = await letIn([
    [begin(T1), ...TABLES, other('a'), commit(T1)],
    [begin(T2), commit(T2)],
  ]);
  expect(summaries(h)).toEqual([]);
  expect(h.walker.head.position).toMatchObject({ commitLsn: 200n, index: 1 });
});

test('nor has one whose rows a filter drops, though each has its own block', async () => {
  const filter: Step = (rows) => {
    for (const each of rows) rows.drop(each, 'where');
  };
  const h = await letIn([[begin(T1), ...TABLES, row('a')], [row('b')], [commit(T1)]], {
    ports: { steps: { filter } },
  });
  expect(summaries(h)).toEqual([]);
});

test('until something of it is taken the head stays where it begins, and the log is needed from there', async () => {
  const blocks = blocksOf([...TABLES, begin(T1), other('a')], [other('b'), other('c')], [row('d')]);
  const h = sinkIntake({ settings: { ...FORMAT, selection }, blocks });
  const heads: { index: number; block: number }[] = [];
  for (const block of blocks) {
    await h.walker.block(block, patient);
    const { position, offset } = h.walker.head;
    heads.push({ index: position.index, block: Math.floor(offset / BLOCK_BYTES) });
  }
  expect(heads).toEqual([
    { index: 0, block: 0 },
    { index: 0, block: 0 },
    { index: 4, block: 3 },
  ]);
  expect(summaries(h)).toEqual(['100/0 begin', '100/3 insert waits on 1']);
  expect(Math.floor(h.unsettled.oldest!.offset / BLOCK_BYTES)).toBe(0);
});

test('a TRUNCATE has its place among them, and so has what becomes a dead letter', async () => {
  const h = await letIn(
    [
      [begin(T1), ...TABLES, truncateMessage([1]), oversizeFrame('insert', 1, 1 << 30), commit(T1)],
      [begin(T2), row('b'), commit(T2)],
    ],
    { settings: { actions: ['insert', 'truncate'] } },
  );
  expect(summaries(h)).toEqual([
    '100/0 begin',
    '100/0 truncate waits on 1',
    '100/1 insert waits on 2',
    '100/2 commit waits on 1',
    '200/0 begin waits on 1',
    '200/0 insert waits on 2',
    '200/1 commit waits on 1',
  ]);
  await h.drained();
  expect(h.endpoint.accepted.map(({ body }) => (JSON.parse(body) as { action: string }).action)).toEqual([
    'B',
    'T',
    'C',
    'B',
    'I',
    'C',
  ]);
  expect(h.dead.map(({ message }) => summary(message))).toEqual(['100/1 insert']);
});

test('where a request may have several of them, none that is a dead letter unsent gets into it', async () => {
  const filter: Step = (rows) => {
    for (const each of rows) if (each.index === 3) each.refusal = REJECTED;
  };
  const rows = [
    row('a'),
    damaged(row('zz')),
    row('b'),
    row('refused'),
    oversizeFrame('insert', 1, 1 << 30),
    insertMessage(1, ['c', 'x'.repeat(2000)]),
    truncateMessage([1]),
    row('d'),
  ];
  const h = await letIn([[begin(T1), ...TABLES, ...rows, commit(T1)]], {
    ordered: true,
    sink: { routeOf: () => routeTo('q', { messageBytes: 1000, batchBytes: 10_000 }) },
    settings: { actions: ['insert', 'truncate'] },
    ports: { steps: { filter } },
  });
  await h.drained();
  const sent = h.endpoint.accepted.map(({ index, body }) => {
    const { action } = JSON.parse(body) as { action: string };
    return `${index} ${action}`;
  });
  expect(sent).toEqual(['0 B', '0 I', '2 I', '6 T', '7 I', '8 C']);
  expect(h.dead.map(({ message, code }) => `${message.index} ${code}`)).toEqual([
    '1 KEY_UNDECODABLE',
    '3 BAD',
    '4 MESSAGE_TOO_LARGE',
    '5 MESSAGE_TOO_LARGE',
  ]);
});

test('one that is refused is a dead letter, and what it stands before goes on', async () => {
  const h = await letIn([[begin(T1), ...TABLES, row('a'), commit(T1)]], {
    answer: ({ action }) => (action === 'begin' ? REJECTED : 'delivered'),
  });
  await h.drained();
  expect(h.dead.map(({ message }) => summary(message))).toEqual(['100/0 begin']);
  expect(h.endpoint.accepted).toHaveLength(2);
});

test('what a marker has the sink skip does not begin a transaction', async () => {
  const skip = logicalMessage('tailrace:skip', '');
  const h = await letIn([[begin(T1), ...TABLES, skip, row('a'), commit(T1)]]);
  expect(summaries(h)).toEqual([]);
});

test('where reading begins inside a transaction only its end is told', async () => {
  const blocks = blocksOf([begin(T1), ...TABLES, row('a')], [row('b'), commit(T1)]);
  const h = sinkIntake({ settings: FORMAT, blocks });
  // The relations are told of all the same, as in a segment's prologue.
  const described = blocksOf(TABLES)[0]!;
  await h.walker.block({ ...described, relationsOnly: true }, patient);
  await h.walker.block(blocks[1]!, patient);
  expect(summaries(h)).toEqual(['100/1 insert', '100/2 commit waits on 1']);
});

test('where a block begins behind Begin and before the first row the transaction begins there', async () => {
  const blocks = blocksOf([begin(T1), ...TABLES], [row('a'), commit(T1)]);
  const h = sinkIntake({ settings: FORMAT, blocks });
  await h.walker.block({ ...blocksOf(TABLES)[0]!, relationsOnly: true }, patient);
  await h.walker.block(blocks[1]!, patient);
  expect(summaries(h)).toEqual(['100/0 begin', '100/0 insert waits on 1', '100/1 commit waits on 1']);
});

test('a first row whose beginning was settled before a restart remembers that, should the ledger be made anew before it settles', async () => {
  const h = await letIn([[begin(T1), ...TABLES, row('a'), commit(T1)]], {
    ports: { isPartDone: (_, index, part) => index === 0 && part === 'begin' },
  });
  expect(summaries(h)).toEqual(['100/0 insert', '100/1 commit waits on 1']);
  expect(h.letIn()[0]!.settledParts).toEqual(['begin']);
});

test('parked ones are made again from the log', async () => {
  const rows = Array.from({ length: 100 }, (_, i) => row(String(i)));
  const h = await letIn([
    [begin(T1), ...TABLES, ...rows, commit(T1)],
    [begin(T2), row('e'), commit(T2)],
  ]);
  expect(
    h
      .letIn()
      .slice(-4)
      .every(({ isParked }) => isParked),
  ).toBe(true);
  await h.drained();
  const bodies = h.endpoint.accepted.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
  expect(bodies.slice(-4).map(({ action }) => action)).toEqual(['C', 'B', 'I', 'C']);
  expect(bodies.at(-1)).toMatchObject({ lsn: '0/C8', nextlsn: expect.any(String) as string });
});

/** What lies before the second block is given up; answers what that counts. */
function shedding() {
  const counts = { changes: 0, begins: 0 };
  const isGivenUp = (offset: number): boolean => offset < BLOCK_BYTES;
  const isDone = (_: unknown, __: number, offset: number): boolean => {
    if (isGivenUp(offset)) counts.changes++;
    return isGivenUp(offset);
  };
  return {
    counts,
    options: { ports: { isDone }, transactions: { isGivenUp, givenUp: () => counts.begins++ } },
  };
}

test('of transactions that the sink takes nothing of nothing is given up', async () => {
  const { counts, options } = shedding();
  const blocks = [
    [...TABLES, begin(T1), other('a'), commit(T1), begin(T2), other('b')],
    [other('c'), commit(T2)],
  ];
  const h = await letIn(blocks, options);
  expect([summaries(h), counts]).toEqual([[], { changes: 0, begins: 0 }]);
});

test('one whose changes are all given up has no end either, wherever that lies', async () => {
  const { counts, options } = shedding();
  const h = await letIn(
    [
      [...TABLES, begin(T1), row('a'), row('b')],
      [other('c'), commit(T1)],
    ],
    options,
  );
  expect([summaries(h), counts]).toEqual([[], { changes: 2, begins: 0 }]);
});

test('what begins a transaction is given up, and counts, once a change of it is let in', async () => {
  const { counts, options } = shedding();
  const h = await letIn(
    [
      [...TABLES, begin(T1), row('a')],
      [row('b'), row('c'), commit(T1)],
    ],
    options,
  );
  expect(summaries(h)).toEqual(['100/1 insert', '100/2 insert waits on 1', '100/3 commit waits on 1']);
  expect(counts).toEqual({ changes: 1, begins: 1 });
});

test('the log is not kept for what begins a transaction where that is given up, also once nothing is any more', async () => {
  const blocks = blocksOf([...TABLES, begin(T1), other('a')], [other('b')], [row('c')]);
  let below = 0;
  let begins = 0;
  const h = sinkIntake({
    settings: { ...FORMAT, selection },
    blocks,
    transactions: { isGivenUp: (offset) => offset < below, givenUp: () => begins++ },
  });
  const heads: number[] = [];
  for (const [each, demanded] of [0, BLOCK_BYTES, 0].entries()) {
    below = demanded;
    await h.walker.block(blocks[each]!, patient);
    heads.push(h.walker.head.position.index);
  }
  expect([heads, begins]).toEqual([[0, 2, 3], 1]);
});

test('where the log ends inside a transaction, and what begins it is given up only then, the log is let go of without more of it', async () => {
  const blocks = blocksOf([...TABLES, begin(T1), other('a')], [other('b')]);
  let below = 0;
  const transactions = { isGivenUp: (offset: number): boolean => offset < below };
  const h = sinkIntake({ settings: { ...FORMAT, selection }, blocks, transactions });
  h.walker.lookAgain();
  expect(h.walker.head).toMatchObject({ offset: 0, timeline: 0 });
  await h.walk();
  h.walker.lookAgain();
  expect(h.walker.head).toMatchObject({ position: { index: 0 }, offset: expect.any(Number) as number });
  expect(h.walker.head.offset).toBeLessThan(BLOCK_BYTES);
  below = 2 * BLOCK_BYTES;
  h.walker.lookAgain();
  expect(h.walker.head).toMatchObject({ position: { index: 2 }, offset: 2 * BLOCK_BYTES });
});

test('a first row that was settled before a restart does not come again, and what begins its transaction does', async () => {
  const h = await letIn([[begin(T1), ...TABLES, row('a'), row('b'), commit(T1)]], {
    ports: { isPartDone: (_, index, part) => index === 0 && part === 'row' },
  });
  expect(summaries(h)).toEqual(['100/0 begin', '100/1 insert waits on 1', '100/2 commit waits on 1']);
  expect(h.letIn()[0]!.settledParts).toEqual(['row']);
  await h.drained();
  expect(h.settled.map(({ settlesChange }) => settlesChange)).toEqual([true, true, true]);
});

test('one that is of a lost history from its middle on has no end: another one begins', async () => {
  const log = new MemoryLog();
  const put = (epoch: number, ...messages: Buffer[]): void => {
    const bytes = frames(...messages);
    log.append(bytes, bytes.length, { epoch, timeline: 1 + epoch });
  };
  put(0, begin(T1), ...TABLES, row('a'));
  log.context = abandonTransaction(log.context, { epoch: 1, timeline: 2 });
  put(1, begin(T2), row('b'), commit(T2));
  const h = sinkIntake({ settings: { ...FORMAT, selection }, blocks: log.blocks });
  await h.walk();
  expect(summaries(h)).toEqual([
    '100/0 begin',
    '100/0 insert waits on 1',
    '200/0 begin waits on 1',
    '200/0 insert waits on 1',
    '200/1 commit waits on 1',
  ]);
});
