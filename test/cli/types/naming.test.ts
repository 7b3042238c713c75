import { expect, test } from 'vitest';
import { member, named, object, STRING } from '../../../src/core/json-type.ts';
import { layOut } from '../../../src/cli/types/files.ts';
import { fileName, nameTables, pascal } from '../../../src/cli/types/naming.ts';

test.each([
  ['order_lines', 'OrderLines'],
  ['public.äpfel', 'PublicÄpfel'],
  ['2fast', 'N2fast'],
  ['Ⅷ_x', 'ⅧX'],
  ['½²', 'N'],
  ['m²_½x', 'MX'],
  ['①b', 'B'],
  ['e\u0301tage', 'E\u0301tage'],
  ['\u0301x', 'N\u0301x'],
  ['日本_語', '日本語'],
  ['𐐨deseret', '𐐀deseret'],
  ['🙂', 'N'],
  ['', 'N'],
])('%j is called %s', (text, name) => {
  expect(pascal(text)).toBe(name);
  expect(name).toMatch(/^\p{ID_Start}\p{ID_Continue}*$/u);
});

test('tables that would have one name are told apart by a number, and none is called like what the file says itself', () => {
  const names = (...tables: readonly string[]): string[] =>
    nameTables(tables.map((table) => ({ table: { schema: 'public', table }, messages: [] }))).map(
      ({ name }) => name,
    );
  expect(names('a_b', 'a b', 'aB')).toEqual(['AB', 'AB_2', 'AB_3']);
  expect(names('int8', 'dimensions', 'any_message')).toEqual(['Int8_2', 'Dimensions_2', 'AnyMessage_2']);
  expect(nameTables([{ table: { schema: 'app', table: 'x' }, messages: [] }])[0]!.name).toBe('AppX');
});

test('what is of no table keeps its name, and its file, whatever tables there are', () => {
  const table = (schema: string, name: string) => ({ table: { schema, table: name }, messages: [] });
  const tables = [table('public', 'Transaction'), table('public', 'orders'), table('', 'transaction')];
  expect(nameTables(tables).map(({ name }) => name)).toEqual(['Transaction_2', 'Orders', 'Transaction']);
  const files = layOut([{ database: 'd', name: 's', tables }], 'tailrace types').tables;
  expect(files.map(({ typescript }) => typescript.path)).toEqual([
    's/public.Transaction.ts',
    's/public.orders.ts',
    's/transaction.ts',
  ]);
});

test('a part without members has no name', () => {
  const type = object([member('row', named('Row', object([]))), member('more', named('More', STRING))]);
  const [table] = nameTables([
    { table: { schema: 'public', table: 't' }, messages: [{ action: 'insert', type }] },
  ]);
  expect(table!.declarations.map(({ name }) => name)).toEqual(['TMore', 'TInsert']);
  expect(table!.declarations[1]!.type).toEqual(
    object([member('row', object([])), member('more', named('TMore', STRING))]),
  );
});

test('a file has a name that every file system takes, another one for every text', () => {
  expect(fileName('orders-1_b', [])).toBe('orders-1_b');
  expect(fileName('a/b', [])).toMatch(/^a_b-[0-9a-f]{8}$/);
  expect(fileName('a/b', [])).not.toBe(fileName('a:b', []));
  for (const reserved of ['index', 'CON', 'com1', 'lpt9', 'nul'])
    expect(fileName(reserved, [])).toMatch(new RegExp(`^${reserved}-[0-9a-f]{8}$`));
  expect(fileName('com10', [])).toBe('com10');
  // File systems that do not tell capitals.
  expect(fileName('a', ['A', 'a'])).toMatch(/^a-/);
  expect(fileName('a', ['a', 'b'])).toBe('a');
  const long = 'x'.repeat(101);
  expect(fileName(long, [])).toMatch(/^x{100}-[0-9a-f]{8}$/);
  expect(fileName('x'.repeat(100), [])).toBe('x'.repeat(100));
});
