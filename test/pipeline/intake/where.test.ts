// The step `where`: what it lets through is sent, what it drops is settled and counted, what it cannot judge keeps its place.
import { beforeAll, expect, test } from 'vitest';
import { tablePattern } from '../../../src/core/selection.ts';
import { loadFilterParser, type FilterParser } from '../../../src/functions/where/parser.ts';
import { AbsentRate } from '../../../src/pipeline/intake/absent-rate.ts';
import { whereStep } from '../../../src/pipeline/intake/where.ts';
import type { PlacedFilter, SinkSettings } from '../../../src/pipeline/settings.ts';
import { begin, commit } from '../../log/stream.ts';
import { describeTable, sinkIntake } from '../../support/intake.ts';
import { blocksOf } from '../../support/log-blocks.ts';
import {
  deleteMessage,
  insertMessage,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../../support/pgoutput-messages.ts';
import { readsOf } from '../../support/reads.ts';

const T = { commitLsn: 100n, rows: 0 };
const INT4 = 23;
const TEXT = 25;
const COLUMNS = [
  { name: 'id', type: INT4, identity: true },
  { name: 'size', type: INT4 },
  { name: 'note', type: TEXT },
];

const COLLATIONS = {
  default: { isDeterministic: true, isByteOrder: false, letters: 'more' },
  own: {},
} as const;

let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
});

const filter = (text: string): PlacedFilter => ({
  ...parse(text),
  place: 'tailrace.yaml:5:5  sinks[users].where',
});

const SETTINGS = { name: 'users', tables: [], onAbsent: 'dead_letter', deletesOutside: 'deliver' } as const;

type Options = Partial<
  Pick<
    SinkSettings,
    'where' | 'tables' | 'onAbsent' | 'deletesOutside' | 'keyChanges' | 'actions' | 'onSchemaBreak'
  >
>;

function intakeOf(options: Options, messages: readonly Buffer[], nowMs?: () => number) {
  const settings = { ...SETTINGS, ...options };
  const where = whereStep(settings, { nowMs });
  const blocks = blocksOf([
    begin(T),
    ...describeTable({ id: 1, columns: COLUMNS, collations: COLLATIONS }),
    ...messages,
    commit(T),
  ]);
  return sinkIntake({ settings, blocks, ports: { steps: where === undefined ? {} : { where } } });
}

const delivered = (h: ReturnType<typeof intakeOf>): string[] =>
  h.settled
    .filter((message) => !h.dead.some((dead) => dead.message === message))
    .map(({ action, index }) => `${action} ${index}`);

test('without a filter there is no step', () => {
  expect(whereStep(SETTINGS)).toBeUndefined();
});

test("only what is true passes, the sink's filter and the table's own; the rest is settled and counted", async () => {
  const tables = [{ pattern: { schema: 'public', table: 't1' }, where: filter('size < 100') }] as never;
  const rows = [
    ['1', '5', 'a'],
    ['2', '50', 'b'],
    ['3', '500', 'c'],
    ['4', null, 'd'],
  ] as const;
  const h = intakeOf(
    { where: filter('size > 10'), tables },
    rows.map((row) => insertMessage(1, row)),
  );
  await h.walk();
  expect(h.letIn().map(({ index }) => index)).toEqual([1]);
  expect(h.counts.filtered).toBe(3);
  await h.drained();
  expect(delivered(h)).toEqual(['insert 1']);
});

test('a row that a backfill has read is judged as it is, and is told from an insert', async () => {
  const read = async (text: string): Promise<number> => {
    const settings = {
      name: 'users',
      tables: [],
      onAbsent: 'dead_letter',
      deletesOutside: 'drop',
      where: filter(text),
    } as const;
    const steps = { where: whereStep(settings)! };
    const h = sinkIntake({ settings, blocks: blocksOf(readsOf({ rows: [['a', null]] })), ports: { steps } });
    await h.walk();
    return h.letIn().length;
  };
  expect(await read("meta.action = 'read'")).toBe(1);
  expect(await read("meta.action in ('insert', 'delete')")).toBe(0);
  expect(await read('new.note is null and id is not null')).toBe(1);
  expect(await read('note is not null')).toBe(0);
});

test('a TRUNCATE passes every filter, and so does a delete that cannot be judged, unless it is to be dropped', async () => {
  const key = { kind: 'key', row: ['1', null, null] } as const;
  const messages = [insertMessage(1, ['1', '5', 'a']), deleteMessage(1, key), truncateMessage([1])];
  const actions = ['insert', 'update', 'delete', 'truncate'] as const;
  const h = intakeOf({ where: filter('size > 10'), actions }, messages);
  await h.walk();
  expect(h.letIn().map(({ action }) => action)).toEqual(['delete', 'truncate']);
  const strict = intakeOf({ where: filter('size > 10'), actions, deletesOutside: 'drop' }, messages);
  await strict.walk();
  expect(strict.letIn().map(({ action }) => action)).toEqual(['truncate']);
});

test('a change that cannot be judged is a dead letter in its place, and no other of its group is overtaken (C243)', async () => {
  const messages = [
    insertMessage(1, ['1', '20', 'a']),
    updateMessage(1, ['1', '20', UNCHANGED]),
    updateMessage(1, ['1', '0', 'a']),
    updateMessage(1, ['1', '20', 'a']),
  ];
  const where = filter("note = 'a' and 100 / size > 0");
  const h = intakeOf({ where }, messages);
  await h.walk();
  await h.drained();
  expect(h.dead.map(({ message, code }) => `${message.index} ${code}`)).toEqual([
    '1 WHERE_ABSENT',
    '2 WHERE_ERROR',
  ]);
  expect(h.settled.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  const delivering = intakeOf({ where, onAbsent: 'deliver' }, messages);
  await delivering.walk();
  await delivering.drained();
  expect(delivered(delivering)).toEqual(['insert 0', 'update 1', 'update 3']);
  const dropping = intakeOf({ where, onAbsent: 'drop' }, messages);
  await dropping.walk();
  await dropping.drained();
  expect(delivered(dropping)).toEqual(['insert 0', 'update 3']);
  expect(dropping.counts.filtered).toBe(1);
});

test('a row that a backfill has read is judged as what it is', async () => {
  const passing = async (text: string) => {
    const where = filter(text);
    const steps = { where: whereStep({ ...SETTINGS, where })! };
    const rows = [
      ['1', 'a'],
      ['2', null],
    ];
    const h = sinkIntake({ settings: { where }, blocks: blocksOf(readsOf({ rows })), ports: { steps } });
    await h.walk();
    return h.letIn().map(({ action, index }) => `${action} ${index}`);
  };
  expect(await passing(`note is not null and meta.action = 'read'`)).toEqual(['read 0']);
  expect(await passing(`old.id is null`)).toEqual(['read 0', 'read 1']);
  expect(await passing(`meta.action in ('insert', 'update', 'delete')`)).toEqual([]);
});

test('a key change that is sent as two messages is judged once, for both', async () => {
  const change = (size: string): Buffer =>
    updateMessage(1, ['2', size, 'a'], { kind: 'key', row: ['1', null, null] });
  const h = intakeOf({ where: filter('size > 10'), keyChanges: 'split' }, [
    change('5'),
    change('20'),
    change('x'),
  ]);
  await h.walk();
  await h.drained();
  expect(delivered(h)).toEqual(['delete 1', 'insert 1']);
  expect(h.dead.map(({ message }) => message.action)).toEqual(['delete', 'insert']);
});

test('a filter that has no meaning for the columns of a change halts the sink there, and says where it is written, and since when', async () => {
  const h = intakeOf({ where: filter('size > 10 and\n  wieght > 1') }, [insertMessage(1, ['1', '5', 'a'])]);
  await expect(h.walk()).rejects.toMatchObject({
    code: 'WHERE_UNUSABLE',
    kind: 'fatal',
    message: expect.stringMatching(
      /^tailrace\.yaml:5:5 {2}sinks\[users\]\.where cannot be used for public\.t1.*line 2, column 3 of it: there is no column "wieght".*the sink waits at the change 0:0\/64:0, committed at \d{4}-/,
    ),
  });
});

/** A column is dropped in the middle of a block. */
const altered = [
  insertMessage(1, ['1', '20', 'a']),
  insertMessage(1, ['2', '5', 'a']),
  ...describeTable({ id: 1, columns: COLUMNS.filter(({ name }) => name !== 'size') }),
  insertMessage(1, ['3', 'a']),
  truncateMessage([1]),
  ...describeTable({ id: 2 }),
  insertMessage(2, ['4', 'a']),
];
const OF_T1 = [{ pattern: tablePattern({ schema: 'public', table: 't1' }) }];

test('what came before the change that halts a sink is let in, and nothing after it', async () => {
  const h = intakeOf({ tables: [{ ...OF_T1[0]!, where: filter('size > 10') }] }, altered);
  await expect(h.walk()).rejects.toMatchObject({ code: 'WHERE_UNUSABLE' });
  expect(h.letIn().map(({ action, index }) => `${action} ${index}`)).toEqual(['insert 0']);
  // It comes again, and counts then.
  expect(h.counts.filtered).toBe(0);
  // The block is not passed: what is settled of it is remembered by itself.
  expect(h.walker.head.offset).toBe(0);
  expect(h.walker.isInHand).toBe(true);
});

test('with on_schema_break: dead_letter the changes that cannot be judged are dead letters, and nothing waits', async () => {
  const h = intakeOf(
    {
      tables: [{ ...OF_T1[0]!, where: filter('size > 10') }],
      onSchemaBreak: 'dead_letter',
      actions: ['insert', 'truncate'],
    },
    altered,
  );
  await h.walk();
  await h.drained();
  expect(h.dead.map(({ message, code }) => `${message.index} ${code}`)).toEqual(['2 WHERE_UNUSABLE']);
  expect(delivered(h)).toEqual(['insert 0', 'insert 4', 'truncate 3']);
});

test('more than a thousand changes a minute that cannot be judged hold the sink, where they would be dead letters', async () => {
  let now = 0;
  const unknown = (count: number) =>
    Array.from({ length: count }, (_, i) => updateMessage(1, [String(i), '20', UNCHANGED]));
  const where = filter("note = 'a'");
  const ofCount = (count: number, options: Options = {}) =>
    intakeOf({ where, ...options }, unknown(count), () => now);
  const held = ofCount(1002);
  await expect(held.walk()).rejects.toMatchObject({
    code: 'WHERE_ABSENT_TOO_OFTEN',
    mend: 'resume',
    hint: expect.stringContaining('ALTER TABLE "public"."t1" REPLICA IDENTITY FULL;'),
  });
  expect(held.letIn().map(({ index }) => index)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  await held.drained();
  expect(held.dead).toHaveLength(1000);
  await ofCount(1002, { onAbsent: 'deliver' }).walk();
  await ofCount(1002, { onAbsent: 'drop' }).walk();
  // Fewer than that in any minute are an accident.
  const rate = new AbsentRate(() => now);
  for (let i = 0; i < 3000; i++) {
    now += 61;
    expect(rate.takes()).toBe(true);
  }
  now += 1;
  expect(rate.takes()).toBe(true);
  for (let i = 0; i < 30; i++) rate.takes();
  expect(rate.takes()).toBe(false);
});
