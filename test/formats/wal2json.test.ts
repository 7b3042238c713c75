import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Relation } from '../../src/core/change.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../src/pgoutput/messages.ts';
import { compileRelation, renderContext, renderRow, type RenderSettings } from '../support/decode.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-messages.ts';

// Format version 2, as the plugin's own examples and expected outputs have it. https://github.com/eulerto/wal2json

const SQL_TYPES = ['integer', 'character varying(30)', 'numeric(5,2)', 'bytea', 'public."Mood"[]'];

function relationOf(
  identity: 'd' | 'f' = 'd',
  typeNames: readonly (string | null)[] | undefined = SQL_TYPES,
): Relation {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const types = [23, 1043, 1700, 17, 20_001];
  const columns = names.map((name, i) => ({ name, type: types[i]!, identity: identity === 'f' || i === 0 }));
  const raw = decodeRelation(relationMessage({ id: 1, schema: 'public', table: 't', identity, columns }), 0);
  return buildRelation(raw, {
    relationId: 1,
    key: ['a'],
    types: new Map([[20_001, { kind: 'array', name: '_Mood', element: 20_002, delimiter: ',' }]]),
    typeNames,
  });
}
const table = relationOf();

const settingsOf = (wal2json: object = {}, more: Partial<RenderSettings> = {}): RenderSettings => ({
  format: 'wal2json',
  options: { wal2json },
  ...more,
});

const ROW = ['1', 'Tapir "x"', '2.34', String.raw`\x5461`, '{ok}'];
const COLUMNS =
  '"columns":[{"name":"a","type":"integer","value":1},{"name":"b","type":"character varying(30)","value":"Tapir \\"x\\""},' +
  '{"name":"c","type":"numeric(5,2)","value":2.34},{"name":"d","type":"bytea","value":"5461"},' +
  '{"name":"e","type":"\\"Mood\\"[]","value":"{ok}"}]';
const IDENTITY = '"identity":[{"name":"a","type":"integer","value":1}]';

test('an insert has its columns, an update the identity too, and a delete the identity alone', () => {
  expect(renderRow(table, insertMessage(1, ROW), settingsOf())).toBe(
    `{"action":"I","schema":"public","table":"t",${COLUMNS}}`,
  );
  expect(renderRow(table, updateMessage(1, ROW), settingsOf())).toBe(
    `{"action":"U","schema":"public","table":"t",${COLUMNS},${IDENTITY}}`,
  );
  const deleted = deleteMessage(1, { kind: 'key', row: ['1', null, null, null, null] });
  expect(renderRow(table, deleted, settingsOf())).toBe(
    `{"action":"D","schema":"public","table":"t",${IDENTITY}}`,
  );
});

test('a row that a backfill has read is an insert', () => {
  const read = renderRow(table, insertMessage(1, ROW), settingsOf(), { read: true });
  expect(read).toBe(renderRow(table, insertMessage(1, ROW), settingsOf()));
});

test('a changed key and a full identity show the old values', () => {
  const before = ['7', null, null, null, null] as const;
  const moved = JSON.parse(
    renderRow(table, updateMessage(1, ROW, { kind: 'key', row: before }), settingsOf()),
  ) as object;
  expect(moved).toMatchObject({ identity: [{ name: 'a', type: 'integer', value: 7 }] });
  const old = { kind: 'full', row: ['1', 'old', '1.00', null, '{}'] } as const;
  const { identity } = JSON.parse(renderRow(relationOf('f'), updateMessage(1, ROW, old), settingsOf())) as {
    identity: { value: unknown }[];
  };
  expect(identity.map(({ value }) => value)).toEqual([1, 'old', 1, null, '{}']);
});

test('an unchanged large value that was not sent is left out', () => {
  const text = renderRow(table, updateMessage(1, ['1', UNCHANGED, null, null, null]), settingsOf());
  const { columns } = JSON.parse(text) as { columns: { name: string; value: unknown }[] };
  expect(columns.map(({ name, value }) => [name, value])).toEqual([
    ['a', 1],
    ['c', null],
    ['d', null],
    ['e', null],
  ]);
});

test('a truncate names its table', () => {
  const writer = new ByteWriter(1);
  compileRelation(table, settingsOf({ 'include-xids': true, 'include-pk': true })).renderTruncate(
    renderContext(),
    writer,
  );
  expect(writer.buffer.toString('utf8', 0, writer.length)).toBe(
    '{"action":"T","xid":731,"schema":"public","table":"t"}',
  );
});

test('what is included stands where the plugin has it', () => {
  const more = {
    'include-xids': true,
    'include-timestamp': true,
    'include-lsn': true,
    'include-pk': true,
    'include-type-oids': true,
  };
  const text = renderRow(table, insertMessage(1, ROW), settingsOf(more));
  expect(text).toMatch(
    /^\{"action":"I","xid":731,"timestamp":"2026-01-02 03:04:05\.123456\+00","lsn":"0\/75BCD15","schema":"public","table":"t","columns":\[\{"name":"a","type":"integer","typeoid":23,"value":1\},/,
  );
  expect(text).toMatch(/,"pk":\[\{"name":"a","type":"integer","typeoid":23\}\]\}$/);
  const less = { 'include-schemas': false, 'include-types': false };
  expect(
    renderRow(table, deleteMessage(1, { kind: 'key', row: ['1', null, null, null, null] }), settingsOf(less)),
  ).toBe('{"action":"D","table":"t","identity":[{"name":"a","value":1}]}');
});

test('a log that does not know how SQL writes a type says what it knows of it', () => {
  const text = renderRow(relationOf('d', []), insertMessage(1, ROW), settingsOf());
  const { columns } = JSON.parse(text) as { columns: { type: unknown }[] };
  expect(columns.map(({ type }) => type)).toEqual([null, null, null, null, '_Mood']);
});

test('NaN and Infinity are null, or texts as all numbers are', () => {
  const values = (options: object) =>
    ['NaN', '-Infinity', '1.50'].map((number) => {
      const text = renderRow(table, insertMessage(1, ['1', null, number, null, null]), settingsOf(options));
      return (JSON.parse(text) as { columns: { value: unknown }[] }).columns[2]!.value;
    });
  expect(values({})).toEqual([null, null, 1.5]);
  expect(values({ 'numeric-data-types-as-string': true })).toEqual(['NaN', '-Infinity', '1.50']);
});

test('escaped for the string of a request it is the same message', () => {
  const escaped = renderRow(table, updateMessage(1, ROW), settingsOf({}, { encoding: 'json-string' }));
  expect(JSON.parse(`"${escaped}"`)).toBe(renderRow(table, updateMessage(1, ROW), settingsOf()));
});
