// Filters that ask for texts of a column: what a look-up keeps from a sink is what its filter drops, and nothing else.
import * as fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import type { LogBlock } from '../../../src/log/block.ts';
import { SharedBlocks } from '../../../src/log/shared-blocks.ts';
import { wantedTexts } from '../../../src/functions/where/wanted-texts.ts';
import { loadFilterParser, type FilterParser } from '../../../src/functions/where/parser.ts';
import { whereStep } from '../../../src/pipeline/intake/where.ts';
import { buildRelation, decodeEnrichment } from '../../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../../src/pgoutput/messages.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { begin, commit } from '../../log/stream.ts';
import { describeTable, sinkIntake } from '../../support/intake.ts';
import { BLOCK_BYTES, blocksOf } from '../../support/log-blocks.ts';
import { bodyOf, patient } from '../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../../support/pgoutput-messages.ts';

let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
});

const COLLATIONS = {
  default: { isDeterministic: true, isByteOrder: false, letters: 'more' },
  own: {},
} as const;
const INT4 = 23;
const TEXT = 25;
const UUID = 2950;
const NUMERIC = 1700;

const describe = (identity: 'd' | 'f', hasMore: boolean, id = 1): Buffer[] =>
  describeTable({
    id,
    identity,
    collations: COLLATIONS,
    columns: [
      { name: 'id', type: INT4, identity: true },
      { name: 'customer', type: INT4, identity: identity === 'f' },
      { name: 'state', type: TEXT, identity: identity === 'f' },
      { name: 'u', type: UUID, identity: identity === 'f' },
      { name: 'amount', type: NUMERIC, identity: identity === 'f' },
      ...(hasMore ? [{ name: 'more', type: TEXT, identity: identity === 'f' }] : []),
    ],
  });

const relation = () => {
  const [described, enrichment] = describe('d', false) as [Buffer, Buffer];
  return buildRelation(decodeRelation(described, 0), decodeEnrichment(enrichment, 0, enrichment.length));
};

test('the texts are known where one text is one value, and what is asked first decides', () => {
  const found = (where: string): unknown => {
    const wanted = wantedTexts(parse(where), relation());
    return wanted && [relation().columns[wanted.column]!.name, ...wanted.texts];
  };
  expect(found('customer = 17')).toEqual(['customer', '17']);
  expect(found('17 = customer')).toEqual(['customer', '17']);
  expect(found("customer = '17'")).toEqual(['customer', '17']);
  expect(found('customer in (1, 2, 3000000000)')).toEqual(['customer', '1', '2', '3000000000']);
  expect(found("state = 'new' and amount > 1 / 0")).toEqual(['state', 'new']);
  expect(found("(state in ('a', 'b') and customer = 1) and id = 2")).toEqual(['state', 'a', 'b']);
  expect(found("u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'")).toHaveLength(2);
  // What comes later may not be asked: what comes first may be an error.
  expect(found("amount > 1 and state = 'new'")).toBeUndefined();
  // Several texts are one value.
  expect(found('amount = 1')).toBeUndefined();
  expect(found("u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'")).toBeUndefined();
  expect(found("customer = '017'")).toBeUndefined();
  for (const other of [
    'customer <> 1',
    'customer not in (1, 2)',
    'customer = 1 or id = 2',
    'customer = id',
    'new.customer = 1',
    'old.id = 1',
    'customer in (1, null)',
    'customer is null',
    'state = upper(state)',
  ])
    expect([other, found(other)]).toEqual([other, undefined]);
});

type Row = { readonly id: string; readonly customer: Cell; readonly state: Cell };
type Step =
  | {
      readonly kind: 'insert' | 'update' | 'update with old' | 'delete' | 'insert elsewhere';
      readonly row: Row;
      readonly times: number;
    }
  | { readonly kind: 'shape'; readonly identity: 'd' | 'f'; readonly hasMore: boolean }
  | { readonly kind: 'block' }
  | { readonly kind: 'transaction' };

const row = fc.record({
  id: fc.constantFrom('1', '2', '3'),
  customer: fc.constantFrom('1', '2', '17', '170', '-1', null),
  state: fc.constantFrom('new', 'open', '', 'é', null, UNCHANGED, 'x'.repeat(300)),
});
const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constantFrom('insert', 'update', 'update with old', 'delete', 'insert elsewhere'),
      row,
      times: fc.constantFrom(1, 1, 1, 4),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('shape'),
      identity: fc.constantFrom('d', 'f'),
      hasMore: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('block', 'transaction') }) },
) as fc.Arbitrary<Step>;

const U = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';

function blocksFrom(steps: readonly Step[]): LogBlock[] {
  let shape = { identity: 'd' as 'd' | 'f', hasMore: false };
  let commitLsn = 100n;
  const contents: Buffer[][] = [
    [begin({ commitLsn, rows: 0 }), ...describe('d', false), ...describe('d', false, 2)],
  ];
  for (const step of steps) {
    const messages = contents.at(-1)!;
    if (step.kind === 'block') contents.push([]);
    else if (step.kind === 'transaction') {
      messages.push(commit({ commitLsn, rows: 0 }));
      commitLsn += 100n;
      messages.push(begin({ commitLsn, rows: 0 }));
    } else if (step.kind === 'shape') {
      shape = step;
      messages.push(...describe(step.identity, step.hasMore));
    } else {
      const { id, customer, state } = step.row;
      const sent = (cell: Cell): Cell => (cell === UNCHANGED ? 'kept' : cell);
      const more = shape.hasMore ? ['m'] : [];
      const isFull = shape.identity === 'f';
      const whole: Cell[] = [id, customer, sent(state), U, '1.50', ...more];
      const old = isFull
        ? ({ kind: 'full', row: whole } as const)
        : ({ kind: 'key', row: [id, null, null, null, null, ...more.map(() => null)] } as const);
      const now: Cell[] = [id, customer, state, U, '1.50', ...more];
      const made = {
        insert: () => insertMessage(1, whole),
        'insert elsewhere': () => insertMessage(2, whole.slice(0, 5)),
        delete: () => deleteMessage(1, old),
        update: () => updateMessage(1, now),
        'update with old': () => updateMessage(1, now, old),
      }[step.kind];
      for (let i = 0; i < step.times; i++) messages.push(made());
    }
  }
  contents.at(-1)!.push(commit({ commitLsn, rows: 0 }));
  return blocksOf(...contents.filter((messages) => messages.length > 0));
}

const FILTERS: readonly { readonly where: string; readonly settings?: Partial<SinkSettings> }[] = [
  ...[1, 2, 17, 170, 99].map((customer) => ({ where: `customer = ${customer}` })),
  { where: 'customer in (1, 17)' },
  { where: `customer in (${Array.from({ length: 50 }, (_, i) => i).join(', ')})` },
  { where: "state = 'new'" },
  { where: "state in ('open', 'kept') and customer = 2" },
  { where: "state = 'é'", settings: { onAbsent: 'deliver' } },
  { where: 'customer = 17 and amount > 1', settings: { deletesOutside: 'drop' } },
  { where: "state = 'new'", settings: { whereMoves: 'convert' } },
  { where: `u = '${U}'` },
  { where: 'customer > 1' },
];

function makeSink(number: number, blocks: readonly LogBlock[], hasCompany: boolean, isAllNew = true) {
  const { where, settings } = FILTERS[number]!;
  const all = {
    name: `s${number}`,
    tables: [],
    onAbsent: 'dead_letter',
    deletesOutside: 'deliver',
    whereMoves: 'ignore',
    ...settings,
    where: { ...parse(where), place: 'tailrace.yaml:5:5' },
  } as const;
  let judged = 0;
  let calledOut = 0;
  const judge = whereStep(all)!;
  const made = sinkIntake({
    settings: all,
    hasCompany,
    blocks,
    ports: {
      isAllNew: () => isAllNew,
      steps: {
        where: (rows) => {
          judged += [...rows].length;
          return judge(rows);
        },
      },
    },
  });
  const row = made.intake.row.bind(made.intake);
  made.intake.row = (each) => {
    calledOut++;
    return row(each);
  };
  return { ...made, judged: () => judged, calledOut: () => calledOut };
}

type Made = ReturnType<typeof makeSink>;
const seen = ({ letIn, counts }: Made): unknown => ({
  filtered: counts.filtered,
  messages: letIn().map((message) => ({
    body: message.isParked ? 'parked' : bodyOf(message),
    index: message.index,
    group: message.group,
    refusal: message.refusal?.code,
    moved: message.moved,
  })),
});

async function beside(
  blocks: readonly LogBlock[],
  { maxBytes, isAllNew }: { readonly maxBytes?: number | undefined; readonly isAllNew?: boolean } = {},
): Promise<Made[]> {
  const shared = new SharedBlocks(maxBytes);
  const readers = FILTERS.map(() => shared.join(0));
  const sinks = FILTERS.map((_, number) => makeSink(number, blocks, true, isAllNew));
  for (const block of blocks) {
    for (const [number, { walker }] of sinks.entries()) {
      const reader = readers[number]!;
      expect(reader.offset).toBe(block.blockEnd - BLOCK_BYTES);
      await walker.block(shared.find(reader) ?? shared.keep(reader, block), patient);
      shared.pass(reader, block.blockEnd);
    }
  }
  return sinks;
}

test('a hundred sinks or one: a filter lets through what it lets through alone, and counts as many', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 60 }),
      fc.constantFrom(undefined, 1000),
      async (steps, maxBytes) => {
        const blocks = blocksFrom(steps);
        const sinks = await beside(blocks, { maxBytes });
        for (const [number, sink] of sinks.entries()) {
          const alone = makeSink(number, blocks, false);
          await alone.walk();
          expect({ where: FILTERS[number]!.where, seen: seen(sink) }).toEqual({
            where: FILTERS[number]!.where,
            seen: seen(alone),
          });
        }
      },
    ),
    { numRuns: 60 },
  );
});

const insert = (customer: string): Step => ({
  kind: 'insert',
  row: { id: '1', customer, state: 'new' },
  times: 1,
});

test('of the rows of others only those are judged that came before the first verdict', async () => {
  const blocks = blocksFrom([
    insert('1'),
    insert('2'),
    { kind: 'block' },
    ...['1', '2', '2', '2', '170', '17', '2'].map(insert),
  ]);
  const [one, two, , , none] = await beside(blocks);
  expect(one!.judged()).toBe(2 + 1);
  expect(two!.judged()).toBe(2 + 4);
  expect(none!.judged()).toBe(2);
});

test('rows of others that follow one another are passed at once, unless some of them may be settled already', async () => {
  const others = Array.from({ length: 50 }, () => insert('2'));
  const blocks = blocksFrom([insert('1'), { kind: 'block' }, ...others, insert('1'), ...others]);
  const [one] = await beside(blocks);
  expect(one!.calledOut()).toBe(1 + 3);
  const [doubting] = await beside(blocks, { isAllNew: false });
  expect(doubting!.calledOut()).toBe(1 + 101);
  expect(seen(doubting!)).toEqual(seen(one!));
});
