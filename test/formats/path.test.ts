import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { createRowEvent } from '../../src/core/change.ts';
import { plainJson } from '../../src/core/encoding.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation, decodeRow } from '../../src/pgoutput/messages.ts';
import {
  compileRelation,
  renderContext,
  renderRow,
  TRANSACTION,
  type RenderSettings,
} from '../support/decode.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-messages.ts';

const MESSAGE = relationMessage({
  id: 1,
  schema: 'public',
  table: 'users',
  identity: 'd',
  columns: [
    { name: 'id', type: 20, identity: true },
    { name: 'name', type: 25 },
    { name: 'address', type: 3802 },
    { name: 'tags', type: 1009 },
  ],
});
const RELATION = buildRelation(decodeRelation(MESSAGE, 0), undefined);
const ROW = insertMessage(1, [
  '9007199254740993',
  'a"b\n',
  '{"city": {"name": "Köln", "zip": 50667.10}, "x": null}',
  '{a,b}',
]);

const at = (path: string, message = ROW, settings: RenderSettings = {}): string =>
  renderRow(RELATION, message, { ...settings, path: path.split('.') });

const WHOLE = JSON.parse(renderRow(RELATION, ROW)) as Readonly<Record<string, unknown>>;

test('a message is what stands at the path, to the digit', () => {
  expect(at('record.id')).toBe('9007199254740993');
  expect(at('record.name')).toBe(String.raw`"a\"b\n"`);
  expect(at('record.address.city')).toBe('{"name": "Köln", "zip": 50667.10}');
  expect(at('record.address.city.zip')).toBe('50667.10');
  expect(at('record.tags')).toBe('["a","b"]');
  expect(at('action')).toBe('"insert"');
  expect(at('metadata.commit_lsn')).toBe('123456789');
  expect(at('metadata.database.name')).toBe('"shop"');
  expect(JSON.parse(at('metadata.record_pks'))).toEqual(['9007199254740993']);
  for (const member of ['record', 'changes', 'action', 'metadata'])
    expect(JSON.parse(at(member))).toEqual(WHOLE[member]);
});

test('where nothing stands at the path, and within texts, numbers and lists, it is null', () => {
  for (const path of [
    'record.nothing',
    'record.address.x.y',
    'record.address.nothing',
    'record.name.length',
    'record.id.0',
    'record.tags.0',
    'changes.name',
    'metadata.nothing',
  ])
    expect([path, at(path)]).toEqual([path, 'null']);
  expect(at('record.address.x')).toBe('null');
});

test('what Postgres did not send is not there: a large value that did not change, the other columns of a deleted row', () => {
  const update = updateMessage(1, ['1', UNCHANGED, null, null]);
  expect(at('record.name', update)).toBe('null');
  expect(at('record.name', update, { values: { unchanged: 'text' } })).toBe('"unchanged_toast"');
  expect(at('metadata.unchanged_columns', update)).toBe('["name"]');
  const gone = deleteMessage(1, { kind: 'key', row: ['1', null, null, null] });
  expect(at('record', gone)).toBe('{"id":1}');
  expect(at('record.name', gone)).toBe('null');
});

test('it is escaped like a whole message where a sink wants that, and many rows do not mix', () => {
  const event = createRowEvent();
  decodeRow(ROW, 0, ROW.length, event);
  const plan = compileRelation(RELATION, { encoding: 'json-string', path: ['record'] });
  const writer = new ByteWriter(1);
  for (let i = 0; i < 3; i++) {
    const { length, escapes } = writer;
    plan.render(event, renderContext(), writer);
    const body = writer.buffer.subarray(length, writer.length);
    const plain = plainJson(body, 'json-string');
    expect(JSON.parse(plain.toString())).toEqual(WHOLE['record']);
    expect(writer.escapes - escapes).toBe(body.length - plain.length);
  }
});

test('truncates and changed schemas have no record; that only a partition was emptied is said at metadata alone', () => {
  const plan = (path: readonly string[]) => compileRelation(RELATION, { path });
  const writer = new ByteWriter(1);
  plan(['record']).renderTruncate(renderContext({ transaction: TRANSACTION }), writer);
  expect(writer.buffer.toString('utf8', 0, writer.length)).toBe('{}');
  expect(
    [plan(['record']), plan(['metadata']), plan(['metadata', 'table_name'])].map(
      ({ tellsPartition }) => tellsPartition,
    ),
  ).toEqual([false, true, false]);
});
