// The TypeScript of messages, as it is written.
import { expect, test } from 'vitest';
import { nameTables } from '../../../src/cli/types/naming.ts';
import { helpersOf, tableText, typeText } from '../../../src/cli/types/typescript.ts';
import {
  ANY,
  constant,
  integer,
  maybe,
  member,
  named,
  nullable,
  NUMBER,
  object,
  STRING,
  type JsonType,
} from '../../../src/core/json-type.ts';

const tableOf = (type: JsonType, table = 't') =>
  nameTables([{ table: { schema: 'public', table }, messages: [{ action: 'insert', type }] }])[0]!;

test.each<[JsonType, string]>([
  [ANY, 'unknown'],
  [integer(53), 'number'],
  [integer(64), 'Int8'],
  [constant('it\'s "a"'), String.raw`"it's \"a\""`],
  [nullable(STRING), 'string | null'],
  [{ kind: 'array', items: nullable(STRING) }, '(string | null)[]'],
  [{ kind: 'array', items: { kind: 'array', items: NUMBER } }, 'number[][]'],
  [{ kind: 'tuple', items: [STRING, nullable(NUMBER)] }, '[string, number | null]'],
  [{ kind: 'dimensions', items: nullable(NUMBER) }, 'Dimensions<number | null>'],
  [named('Row', object([])), 'Row'],
  // `{}` would take everything.
  [object([]), '{ [member: string]: never }'],
  [object([], [{ prefix: '', type: ANY }]), '{\n  [member: string]: unknown;\n}'],
  [object([], [{ prefix: 'a`"$', type: STRING }]), '{\n  [member: `a\\`"\\$${string}`]: string;\n}'],
  [
    object([member('a', STRING), maybe('with-dash', NUMBER), member('in', object([member('x', NUMBER)]))]),
    '{\n  a: string;\n  "with-dash"?: number;\n  in: {\n    x: number;\n  };\n}',
  ],
])('%j is %s', (type, text) => {
  expect(typeText(type)).toBe(text);
});

test('what a column or a table is called does not end the comment that names it', () => {
  const type = object([{ ...member('a', STRING), about: 'a "*/ x\n\ty"' }]);
  expect(typeText(type)).toContain(String.raw`/** a "*\/ x y" */`);
  expect(tableText(tableOf(type, 'a*/b'))).toContain(String.raw`/** Every message of public.a*\/b. */`);
});

test('only what is used is declared beside', () => {
  const helpers = (type: JsonType): string => helpersOf([tableOf(object([member('m', nullable(type))]))]);
  expect(helpers(STRING)).toBe('');
  expect(helpers(integer(64))).toMatch(/^[^]*type Int8 = number;\n\n$/);
  expect(helpers({ kind: 'dimensions', items: integer(64) })).toMatch(/type Int8[^]*type Dimensions/);
});
