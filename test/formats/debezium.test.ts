import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Relation } from '../../src/core/change.ts';
import { toLsn } from '../../src/core/lsn.ts';
import type { RenderContext } from '../../src/formats/format.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../src/pgoutput/messages.ts';
import {
  compileRelation,
  MADE_MS,
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

// The messages of the connector's documentation, and of Debezium 3.6.1.Final itself.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-change-event-values

function relationOf(identity: 'd' | 'f' = 'd'): Relation {
  const columns = [
    { name: 'id', type: 23, identity: true },
    { name: 'email', type: 25, identity: identity === 'f' },
    { name: 'note', type: 25, identity: identity === 'f' },
  ];
  const message = relationMessage({ id: 1, schema: 'public', table: 'users', identity, columns });
  return buildRelation(decodeRelation(message, 0), undefined);
}
const users = relationOf();

const DEBEZIUM: RenderSettings = { format: 'debezium', options: { debezium: { 'topic.prefix': 'prefix' } } };
const unwrapped = (options: object = {}): RenderSettings => ({
  format: 'debezium',
  options: { debezium: { unwrap: true, ...options } },
});

const SOURCE = {
  version: '3.6.1.Final',
  connector: 'postgresql',
  name: 'prefix',
  ts_ms: 1_767_323_045_123,
  snapshot: 'false',
  db: 'app',
  sequence: '[null,"123456789"]',
  ts_us: 1_767_323_045_123_456,
  ts_ns: 1_767_323_045_123_456_000,
  schema: 'public',
  table: 'users',
  txId: 731,
  lsn: 123_456_789,
  xmin: null,
  origin: null,
  origin_lsn: null,
};

const MADE = { ts_ms: MADE_MS, ts_us: MADE_MS * 1000, ts_ns: MADE_MS * 1_000_000 };

const message = (text: string): unknown => JSON.parse(text);

const rendered = (
  bytes: Buffer,
  context: Partial<RenderContext> = {},
  relation = users,
  settings = DEBEZIUM,
) => renderRow(relation, bytes, settings, context);

test('an insert is a create, every member in its place', () => {
  const text = rendered(insertMessage(1, ['1', 'a@example.com', null]));
  expect(message(text)).toEqual({
    before: null,
    after: { id: 1, email: 'a@example.com', note: null },
    source: SOURCE,
    transaction: null,
    op: 'c',
    ...MADE,
  });
  const members = ['before', 'after', 'source', 'transaction', 'op', 'ts_ms', 'ts_us', 'ts_ns'];
  expect(Object.keys(JSON.parse(text) as object)).toEqual(members);
  expect(Object.keys((JSON.parse(text) as { source: object }).source)).toEqual(Object.keys(SOURCE));
});

test('an update has the old row where the identity is full, and no before where Postgres sends none', () => {
  expect(message(rendered(updateMessage(1, ['1', 'b', 'n'])))).toMatchObject({
    before: null,
    after: { id: 1, email: 'b', note: 'n' },
    op: 'u',
    ...MADE,
  });
  const old = { kind: 'full', row: ['1', 'a', 'n'] } as const;
  expect(message(rendered(updateMessage(1, ['1', 'b', UNCHANGED], old), {}, relationOf('f')))).toMatchObject({
    before: { id: 1, email: 'a', note: 'n' },
    after: { id: 1, email: 'b', note: 'n' },
    op: 'u',
    ...MADE,
  });
});

test('a delete has the key, the rest null, and no after', () => {
  expect(message(rendered(deleteMessage(1, { kind: 'key', row: ['1', null, null] })))).toEqual({
    before: { id: 1, email: null, note: null },
    after: null,
    source: SOURCE,
    transaction: null,
    op: 'd',
    ...MADE,
  });
});

test('an unchanged large value has the placeholder', () => {
  expect(message(rendered(updateMessage(1, ['1', 'b', UNCHANGED])))).toMatchObject({
    after: { id: 1, email: 'b', note: '__debezium_unavailable_value' },
  });
});

test('a row that a backfill has read is a read of an incremental snapshot, of no transaction', () => {
  expect(message(rendered(insertMessage(1, ['1', 'a', 'n']), { read: true }))).toEqual({
    before: null,
    after: { id: 1, email: 'a', note: 'n' },
    source: { ...SOURCE, snapshot: 'incremental', txId: null },
    transaction: null,
    op: 'r',
    ...MADE,
  });
});

test('a truncate has no row', () => {
  const writer = new ByteWriter(1);
  compileRelation(users, DEBEZIUM).renderTruncate(renderContext(), writer);
  expect(message(writer.buffer.toString('utf8', 0, writer.length))).toEqual({
    before: null,
    after: null,
    source: SOURCE,
    transaction: null,
    op: 't',
    ...MADE,
  });
});

test('the sequence says where the transaction before ended', () => {
  const transaction = { ...TRANSACTION, previousEndLsn: toLsn(123_000_000n) };
  expect(message(rendered(insertMessage(1, ['1', 'a', 'n']), { transaction }))).toMatchObject({
    source: { sequence: '["123000000","123456789"]' },
  });
});

test('escaped for the string of a request it is the same message', () => {
  const bytes = insertMessage(1, ['1', 'a "b"', 'n']);
  const escaped = rendered(bytes, {}, users, { ...DEBEZIUM, encoding: 'json-string' });
  expect(message(JSON.parse(`"${escaped}"`) as string)).toEqual(message(rendered(bytes)));
});

test('unwrapped it is the row, and says whether it is deleted', () => {
  expect(rendered(insertMessage(1, ['1', 'a', 'n']), {}, users, unwrapped())).toBe(
    '{"id":1,"email":"a","note":"n","__deleted":"false"}',
  );
  expect(rendered(deleteMessage(1, { kind: 'key', row: ['1', null, null] }), {}, users, unwrapped())).toBe(
    '{"id":1,"email":null,"note":null,"__deleted":"true"}',
  );
});

test('fields of the envelope are added under their prefix, or another name; outer ones come before those of source', () => {
  const fields = 'op,table:TAB,lsn,source.ts_ms,ts_ms,transaction.id,source.txId:tx';
  const insert = insertMessage(1, ['1', 'a', 'n']);
  const row = JSON.parse(rendered(insert, {}, users, unwrapped({ 'add.fields': fields }))) as object;
  expect(row).toEqual({
    id: 1,
    email: 'a',
    note: 'n',
    __deleted: 'false',
    __op: 'c',
    __TAB: 'users',
    __lsn: 123_456_789,
    __source_ts_ms: SOURCE.ts_ms,
    __ts_ms: MADE_MS,
    __transaction_id: null,
    __tx: 731,
  });
  expect(rendered(insert, {}, users, unwrapped({ 'add.fields': 'op', 'add.fields.prefix': '' }))).toContain(
    ',"op":"c"}',
  );
});

test('an unwrapped row that has a column called like one of its fields is refused, and in the envelope it is a row', () => {
  const columns = [
    { name: 'id', type: 23, identity: true },
    { name: '__deleted', type: 25 },
  ];
  const message = relationMessage({ id: 1, schema: 'public', table: 'users', identity: 'd', columns });
  const relation = buildRelation(decodeRelation(message, 0), undefined);
  const clash = expect.objectContaining({ code: 'COLUMN_CLASH', kind: 'fatal' }) as Error;
  expect(() => compileRelation(relation, unwrapped())).toThrow(clash);
  expect(() =>
    compileRelation(users, unwrapped({ 'add.fields': 'op:note', 'add.fields.prefix': '' })),
  ).toThrow(clash);
  expect(() => compileRelation(users, unwrapped({ 'add.fields': 'op:note' }))).not.toThrow();
  expect(rendered(insertMessage(1, ['1', 'x']), {}, relation)).toContain('{"id":1,"__deleted":"x"}');
});
