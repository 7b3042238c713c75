// The step that asks a server what a filter means before rows are judged by it: who waits, who halts, who goes on.
import { beforeAll, expect, test } from 'vitest';
import { loadFilterParser, type FilterParser } from '../../../../src/functions/where/parser.ts';
import { agreementStep } from '../../../../src/pipeline/intake/where-server/agreement.ts';
import type { Compared } from '../../../../src/pipeline/intake/where-server/comparison.ts';
import { whereStep } from '../../../../src/pipeline/intake/where.ts';
import { begin, commit } from '../../../log/stream.ts';
import { describeTable, sinkIntake } from '../../../support/intake.ts';
import { blocksOf } from '../../../support/log-blocks.ts';
import { patient } from '../../../support/messages.ts';
import { insertMessage } from '../../../support/pgoutput-messages.ts';

const COLUMNS = [
  { name: 'id', type: 23, identity: true },
  { name: 'size', type: 23 },
];
const DIFFERS: Compared = { kind: 'differs', at: 5, message: 'the server takes (int8, int8) here' };

let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
});

const table = (id: number, columns = COLUMNS): Buffer[] => describeTable({ id, columns });
const transaction = (commitLsn: bigint, ...messages: readonly Buffer[]): Buffer[] => [
  begin({ commitLsn, rows: 0 }),
  ...messages,
  commit({ commitLsn, rows: 0 }),
];

/** A sink whose server answers what `answers` gives, one after another; `times`: when waiting is over. */
function asking(answers: readonly (() => Promise<Compared>)[], ...blocks: readonly (readonly Buffer[])[]) {
  const asked: string[] = [];
  const unanswered: string[] = [];
  let nowMs = 0;
  let rests = 0;
  let endRest: () => void = () => undefined;
  const where = { ...parse('size > 10'), place: 'tailrace.yaml:5:5  sinks[users].where' };
  const settings = {
    name: 'users',
    tables: [],
    onAbsent: 'dead_letter',
    deletesOutside: 'deliver',
    where,
  } as const;
  const agree = agreementStep(settings, {
    compare: (_filter, relation) => {
      asked.push(relation.table);
      return answers[asked.length - 1]!();
    },
    unanswered: (_filter, error) => unanswered.push((error as Error).message),
    nowMs: () => nowMs,
    sleep: () => {
      rests++;
      return new Promise((resolve) => (endRest = resolve));
    },
  })!;
  /** Of each batch, whether its tables' filters are doubted when their rows are judged. */
  const doubted: boolean[] = [];
  const judge = whereStep(settings)!;
  const watched: typeof judge = (rows) => {
    for (const { plan } of rows) doubted.push(plan.isDoubted);
    return judge(rows);
  };
  const steps = { agree, where: watched };
  const h = sinkIntake({ settings, blocks: blocksOf(...blocks), ports: { steps } });
  return {
    ...h,
    asked,
    doubted,
    unanswered,
    walkOne: async (i: number) => h.walker.block(h.blocks[i]!, patient),
    letInRows: () => h.letIn().map(({ table: name, index }) => `${name} ${index}`),
    pass: (ms: number) => (nowMs += ms),
    endRest: () => endRest(),
    rests: () => rests,
  };
}

test('no row is judged before the server has answered, and tables with the same columns share one answer', async () => {
  const answer = Promise.withResolvers<Compared>();
  const h = asking(
    [() => answer.promise, async () => ({ kind: 'agrees' })],
    transaction(100n, ...table(1), ...table(2), insertMessage(1, ['1', '50']), insertMessage(2, ['1', '50'])),
    transaction(
      200n,
      ...table(1),
      ...table(3, [COLUMNS[0]!, { name: 'size', type: 20 }]),
      insertMessage(1, ['2', '5']),
      insertMessage(3, ['2', '50']),
    ),
  );
  const walking = h.walkOne(0);
  await new Promise(setImmediate);
  expect(h.letInRows()).toEqual([]);
  answer.resolve({ kind: 'agrees' });
  await walking;
  expect(h.letInRows()).toEqual(['t1 0', 't2 1']);
  // The relation came again and is compiled anew; only the column of another type is asked for.
  await h.walkOne(1);
  expect(h.letInRows()).toEqual(['t1 0', 't2 1', 't3 1']);
  expect(h.asked).toEqual(['t1', 't3']);
});

test('another meaning halts the sink at the first row, with the place in the text and the cure', async () => {
  const h = asking([async () => DIFFERS], transaction(100n, ...table(1), insertMessage(1, ['1', '50'])));
  await expect(h.walkOne(0)).rejects.toMatchObject({
    code: 'WHERE_DISAGREES',
    kind: 'fatal',
    message: expect.stringContaining(
      'sinks[users].where: line 1, column 6 of it: Postgres means something else: the server takes',
    ) as unknown,
  });
  expect(h.letInRows()).toEqual([]);
});

test('a server that is away stops no sink, and is asked again after a minute without anybody waiting', async () => {
  const gone = () => Promise.reject(new Error('nobody answers'));
  const late = Promise.withResolvers<Compared>();
  const row = (commitLsn: bigint) => transaction(commitLsn, insertMessage(1, [String(commitLsn), '50']));
  const h = asking([gone, () => late.promise], [...table(1), ...row(100n)], row(200n), row(300n), row(400n));
  await h.walkOne(0);
  await h.walkOne(1);
  expect(h.unanswered).toEqual(['nobody answers']);
  expect(h.asked).toHaveLength(1);
  h.pass(61_000);
  await h.walkOne(2);
  expect(h.asked).toHaveLength(2);
  expect(h.letInRows()).toHaveLength(3);
  late.resolve(DIFFERS);
  await new Promise(setImmediate);
  await expect(h.walkOne(3)).rejects.toMatchObject({ code: 'WHERE_DISAGREES' });
});

test('an answer that takes long is not waited for any longer, and halts the sink when it comes', async () => {
  const late = Promise.withResolvers<Compared>();
  const other = [COLUMNS[0]!, { name: 'size', type: 20 }];
  const h = asking(
    [() => late.promise, () => new Promise(() => undefined)],
    transaction(100n, ...table(1), insertMessage(1, ['1', '50'])),
    transaction(200n, ...table(2, other), insertMessage(2, ['1', '50'])),
    transaction(300n, insertMessage(1, ['2', '50'])),
  );
  const walking = h.walkOne(0);
  await new Promise(setImmediate);
  h.endRest();
  await walking;
  // Another table does not wait behind it.
  await h.walkOne(1);
  expect([h.letInRows(), h.rests()]).toEqual([['t1 0', 't2 0'], 1]);
  late.resolve(DIFFERS);
  await new Promise(setImmediate);
  await expect(h.walkOne(2)).rejects.toMatchObject({ code: 'WHERE_DISAGREES' });
});

test('what cannot be asked stands as it is understood here', async () => {
  const h = asking(
    [async () => ({ kind: 'hidden', schemas: ['kinds'] }), async () => ({ kind: 'unknown' })],
    transaction(100n, ...table(1), insertMessage(1, ['1', '50'])),
    transaction(200n, ...table(2, [COLUMNS[0]!, { name: 'size', type: 20 }]), insertMessage(2, ['1', '50'])),
  );
  await h.walk();
  expect(h.letInRows()).toEqual(['t1 0', 't2 0']);
});

test('a filter is doubted until a server has agreed, so that rows which it would drop come to be asked about', async () => {
  const gone = () => Promise.reject(new Error('nobody answers'));
  const row = (commitLsn: bigint) => transaction(commitLsn, insertMessage(1, [String(commitLsn), '50']));
  const agrees = async (): Promise<Compared> => ({ kind: 'agrees' });
  const h = asking([gone, agrees], [...table(1), ...row(100n)], row(200n), row(300n), row(400n));
  await h.walkOne(0);
  await h.walkOne(1);
  h.pass(61_000);
  // Nobody waits for the second answer.
  await h.walkOne(2);
  await new Promise(setImmediate);
  await h.walkOne(3);
  expect(h.doubted).toEqual([true, true, true, false]);
});
