// Descriptions of messages as JSON Schema and back, and what differs between two of them.
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareTypes } from '../../../src/cli/types/comparison.ts';
import { readSchemaText, schemaText } from '../../../src/cli/types/json-schema.ts';
import { nameTables } from '../../../src/cli/types/naming.ts';
import { tableText } from '../../../src/cli/types/typescript.ts';
import {
  ANY,
  BOOLEAN,
  constant,
  integer,
  maybe,
  member,
  named,
  NULL_TYPE,
  nullable,
  NUMBER,
  object,
  STRING,
  unionOf,
  type JsonType,
} from '../../../src/core/json-type.ts';

const ABOUT = { title: 'sink / public.t', comment: 'of a test' };

const tableOf = (type: JsonType) =>
  nameTables([{ table: { schema: 'public', table: 't' }, messages: [{ action: 'insert', type }] }])[0]!;

const writtenAndRead = (type: JsonType): JsonType =>
  readSchemaText(schemaText(tableOf(type), ABOUT))[0]!.type;

const names = fc.constantFrom(
  'a',
  'b c',
  '__proto__',
  'constructor',
  '"',
  '*/',
  '$ref',
  '1',
  '🙂',
  'toString',
);
const { type: anyType } = fc.letrec<{ type: JsonType }>((tie) => ({
  type: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      ANY,
      NULL_TYPE,
      BOOLEAN,
      NUMBER,
      STRING,
      integer(16),
      integer(32),
      integer(53),
      integer(64),
    ),
    fc.oneof(fc.string(), fc.boolean()).map(constant),
    tie('type').map((items): JsonType => ({ kind: 'array', items })),
    tie('type').map((items): JsonType => ({ kind: 'dimensions', items })),
    fc.array(tie('type'), { maxLength: 3 }).map((items): JsonType => ({ kind: 'tuple', items })),
    fc.array(tie('type'), { minLength: 2, maxLength: 3 }).map((types) => unionOf(...types)),
    fc
      .uniqueArray(fc.record({ name: names, type: tie('type'), optional: fc.boolean() }), {
        selector: ({ name }) => name,
        maxLength: 4,
      })
      .map((members) =>
        object(
          members.map(({ name, type, optional }) => (optional ? maybe(name, type) : member(name, type))),
        ),
      ),
  ),
}));

test('what is read of a schema is what was written, and strict validators take it', () => {
  fc.assert(
    fc.property(anyType, (inner) => {
      const type = object([member('value', inner)]);
      expect([...compareTypes(type, writtenAndRead(type))]).toEqual([]);
      const schema = JSON.parse(schemaText(tableOf(type), ABOUT)) as object;
      expect(() => new Ajv2020({ strict: true }).compile(schema)).not.toThrow();
    }),
    { numRuns: 200 },
  );
});

const ROW = object([
  member('id', integer(32)),
  maybe('note', nullable(STRING)),
  member('state', unionOf(constant('a'), constant('b'))),
]);
const withMember = (name: string, type: JsonType): JsonType =>
  object([...ROW.members.filter((each) => each.name !== name), member(name, type)]);

test.each<[what: string, after: JsonType, ...says: [string, boolean][]]>([
  ['nothing', ROW],
  ['a member that is new', withMember('more', ANY), ['more is new: unknown', false]],
  ['a narrower number', withMember('id', integer(16)), ['id was 32-bit integer, is 16-bit integer', false]],
  ['a wider number', withMember('id', NUMBER), ['id was 32-bit integer, is number', true]],
  [
    'a word more',
    withMember('state', unionOf(constant('a'), constant('b'), constant('c'))),
    ['state may be "c", too', true],
  ],
  ['a word less', withMember('state', constant('a')), ['state is "b" no more', false]],
  ['any text', withMember('state', STRING), ['state was "a" | "b", is string', true]],
  ['what is never absent', withMember('note', nullable(STRING)), ['note is never absent', false]],
  [
    'what is never NULL',
    withMember('note', STRING),
    ['note was string | null, is string', false],
    ['note is never absent', false],
  ],
])('%s is told with whether it breaks', (_what, after, ...says) => {
  const found = [...compareTypes(ROW, after)].map(({ member: name, says: text, breaks }) => [
    `${name} ${text}`.trim(),
    breaks,
  ]);
  expect(found).toEqual(says);
});

test('what an array or an object may be instead of null is told, and breaks where null is new', () => {
  const told = (before: JsonType, after: JsonType) =>
    [...compareTypes(object([member('m', before)]), object([member('m', after)]))].map(
      ({ member: name, says, breaks }) => [name, says, breaks],
    );
  const list = (items: JsonType): JsonType => ({ kind: 'array', items });
  for (const [plain, other, step] of [
    [list(STRING), list(NUMBER), 'm[]'],
    [object([member('a', STRING)]), object([member('a', NUMBER)]), 'm.a'],
  ] as const) {
    expect(told(plain, nullable(plain))).toEqual([['m', 'may be null', true]]);
    expect(told(nullable(plain), plain)).toEqual([['m', 'is never null', false]]);
    const inside = [step, 'was string, is number', true];
    expect(told(nullable(plain), nullable(other))).toEqual([inside]);
    expect(told(nullable(plain), other)).toEqual([inside, ['m', 'is never null', false]]);
  }
});

test('a member that is said not to be optional is as one of which nothing is said', () => {
  const plain = object([member('a', STRING), member('b', STRING)]);
  const said = object([{ ...member('a', STRING), optional: false }, member('b', NUMBER)]);
  const members = [...compareTypes(plain, said), ...compareTypes(said, plain)].map(
    ({ member: name }) => name,
  );
  expect(members).toEqual(['b', 'b']);
});

test('what is an object no more breaks, whatever it is instead', () => {
  expect([...compareTypes(ROW, STRING)].map(({ breaks }) => breaks)).toEqual([true]);
});

test('objects that a word tells apart are compared one by one', () => {
  const column = (name: string, value: JsonType) =>
    object([member('name', constant(name)), member('value', value)]);
  const list = (...of: JsonType[]): JsonType => ({ kind: 'array', items: unionOf(...of) });
  const before = list(column('id', integer(32)), column('note', STRING), column('old', STRING));
  const after = list(column('id', integer(64)), column('note', nullable(STRING)), column('new', STRING));
  expect([...compareTypes(before, after)].map(({ member: name, says }) => `${name} ${says}`)).toEqual([
    '[](id).value was 32-bit integer, is 64-bit integer',
    '[](note).value was string, is string | null',
    '[](old) is gone',
    '[](new) is new',
  ]);
});

test('what has a name is declared once where it is the same, else by the action', () => {
  const message = (row: JsonType) => object([member('row', named('Row', row))]);
  const [table] = nameTables([
    {
      table: { schema: 'shop', table: 'order_lines' },
      messages: [
        { action: 'insert', type: message(object([member('a', STRING)])) },
        { action: 'update', type: message(object([maybe('a', STRING)])) },
        { action: 'read', type: message(object([member('a', STRING)])) },
      ],
    },
  ]);
  const text = tableText(table!);
  expect([...text.matchAll(/export type (\w+)/g)].map(([, name]) => name)).toEqual([
    'ShopOrderLinesRow',
    'ShopOrderLinesInsert',
    'ShopOrderLinesUpdateRow',
    'ShopOrderLinesUpdate',
    'ShopOrderLinesRead',
    'ShopOrderLines',
  ]);
});
