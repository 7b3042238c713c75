// What a member is that no column has: constants, and templates over a row.
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { jsonText } from '../../../src/core/json.ts';
import { compileAdded, typeOfAdded, type Told } from '../../../src/functions/columns/added.ts';
import type { AddRule } from '../../../src/functions/columns/rules.ts';

type Row = Readonly<Record<string, string | null>>;

/** What is written, and what stands in the writer of it; undefined: nothing. */
function added(rule: AddRule, row: Row): { readonly text: string | undefined; readonly escapes: number } {
  const write = compileAdded<Row>(rule, {
    table: { schema: 'public', table: 'a"b' },
    valueOf:
      ({ name }) =>
      (from, writer): Told => {
        const value = from[name];
        if (value === undefined) return 'absent';
        if (value === null) return 'null';
        writer.text(jsonText(value).slice(1, -1));
        writer.escapes += 1;
        return 'written';
      },
  });
  const writer = new ByteWriter(16);
  writer.text('before');
  writer.escapes = 7;
  const isThere = write(row, writer);
  const text = writer.buffer.toString('utf8', 0, writer.length);
  expect(text.startsWith('before')).toBe(true);
  return { text: isThere ? text.slice('before'.length) : undefined, escapes: writer.escapes - 7 };
}
const template = (text: string): AddRule => ({ kind: 'template', template: text });

test('a constant is the JSON that it is', () => {
  expect(added({ kind: 'constant', json: '{"a":[1,null]}' }, {}).text).toBe('{"a":[1,null]}');
});

test('a template has the texts of the row and of the change', () => {
  const rule = template('"${row.a}" of ${meta.schema}.${meta.table}');
  expect(JSON.parse(added(rule, { a: 'x\n"y"' }).text!)).toBe('"x\n"y"" of public.a"b');
});

test('NULL makes the whole NULL, what was not sent leaves nothing behind, and a default stands for both', () => {
  expect(added(template('${row.a} and ${row.b}'), { a: 'x', b: null })).toEqual({ text: 'null', escapes: 0 });
  expect(added(template('${row.a} and ${row.b}'), { a: 'x' })).toEqual({ text: undefined, escapes: 0 });
  // What was not sent says more than NULL.
  expect(added(template('${row.b} and ${row.a}'), { b: null })).toEqual({ text: undefined, escapes: 0 });
  const rule = template('${row.a:-none} and ${row.b:-}');
  expect(added(rule, { a: null }).text).toBe('"none and "');
  expect(added(rule, { a: '', b: 'x' }).text).toBe('" and x"');
});

test('what it is made of is known beforehand', () => {
  expect(typeOfAdded({ kind: 'constant', json: '3' })).toEqual({
    type: { kind: 'constant', value: 3 },
    needs: [],
  });
  const { type, needs } = typeOfAdded(template('${row.a} ${old.b:-x} ${meta.table} ${old.c}'));
  expect(type).toEqual({ kind: 'string' });
  expect(needs.map(({ image, name }) => `${image}.${name}`)).toEqual(['row.a', 'old.c']);
});
