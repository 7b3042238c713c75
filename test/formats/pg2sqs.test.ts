import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Relation } from '../../src/core/change.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../src/pgoutput/messages.ts';
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
  type ColumnSpec,
} from '../support/pgoutput-messages.ts';

const FLAT: RenderSettings = { format: 'pg2sqs', values: { numeric: 'float' } };
const WITH_KIND: RenderSettings = { ...FLAT, severalActions: true };
const WITH_TIME: RenderSettings = { ...FLAT, options: { commit_time_column: 'created_at' } };

function relationOf(columns: readonly ColumnSpec[]): Relation {
  const message = relationMessage({ id: 1, schema: 'public', table: 'users', identity: 'd', columns });
  return buildRelation(decodeRelation(message, 0), undefined);
}
const users = relationOf([
  { name: 'id', type: 23, identity: true },
  { name: 'email', type: 25 },
]);
const insert = insertMessage(1, ['1', 'alice@example.com']);

function renderTruncate(settings: RenderSettings): string {
  const writer = new ByteWriter(1);
  compileRelation(users, settings).renderTruncate(renderContext(), writer);
  return writer.buffer.toString('utf8', 0, writer.length);
}

test('a row is flat, with the commit time and the kind behind its columns', () => {
  const settings = { ...WITH_TIME, severalActions: true };
  const transaction = { ...TRANSACTION, commitTimeUs: 1_759_436_574_859_794n };
  expect(renderRow(users, insert, settings, { transaction })).toBe(
    '{"id":1,"email":"alice@example.com","created_at":"2025-10-02T20:22:54.859794Z","kind":"insert"}',
  );
});

test('a queue of one action has no kind (C237)', () => {
  expect(renderRow(users, insert, FLAT)).toBe('{"id":1,"email":"alice@example.com"}');
});

test('each action has its kind, and a delete has only what Postgres sent', () => {
  expect(renderRow(users, updateMessage(1, ['1', 'b']), WITH_KIND)).toBe(
    '{"id":1,"email":"b","kind":"update"}',
  );
  expect(renderRow(users, deleteMessage(1, { kind: 'key', row: ['1', null] }), WITH_KIND)).toBe(
    '{"id":1,"kind":"delete"}',
  );
  expect(renderTruncate(WITH_KIND)).toBe('{"kind":"truncate"}');
});

test('a message without columns is still an object', () => {
  expect(renderTruncate(FLAT)).toBe('{}');
  expect(renderTruncate({ ...WITH_TIME, severalActions: true })).toBe(
    '{"created_at":"2026-01-02T03:04:05.123456Z","kind":"truncate"}',
  );
  expect(renderRow(relationOf([]), insertMessage(1, []), WITH_KIND)).toBe('{"kind":"insert"}');
});

test('an unchanged TOAST value is absent', () => {
  expect(renderRow(users, updateMessage(1, ['1', UNCHANGED]), WITH_KIND)).toBe('{"id":1,"kind":"update"}');
});

test('values follow its rules: float numerics, a Z behind timestamps without zone, base64', () => {
  const relation = relationOf([
    { name: 'price', type: 1700 },
    { name: 'nothing', type: 1700 },
    { name: 'at', type: 1114 },
    { name: 'missing', type: 25 },
    { name: 'bytes', type: 17 },
  ]);
  expect(
    renderRow(
      relation,
      insertMessage(1, ['199.990', 'NaN', '2026-01-02 03:04:05', null, String.raw`\x00ff`]),
      FLAT,
    ),
  ).toBe('{"price":199.99,"nothing":null,"at":"2026-01-02T03:04:05Z","missing":null,"bytes":"AP8="}');
});

test.each([
  [1_767_323_045_123_456n, '2026-01-02T03:04:05.123456Z'],
  [1_767_323_045_120_000n, '2026-01-02T03:04:05.12Z'],
  [1_767_323_045_000_001n, '2026-01-02T03:04:05.000001Z'],
  [1_767_323_050_000_000n, '2026-01-02T03:04:10Z'],
])('the commit time %s µs is %s', (commitTimeUs, expected) => {
  const transaction = { ...TRANSACTION, commitTimeUs };
  const message = JSON.parse(renderRow(users, insert, WITH_TIME, { transaction })) as { created_at: string };
  expect(message.created_at).toBe(expected);
});

describe('clashes (C050)', () => {
  const withKind = relationOf([{ name: 'kind', type: 25 }]);
  const withTime = relationOf([{ name: 'created_at', type: 25 }]);
  const kindRow = insertMessage(1, ['x']);
  const clash = expect.objectContaining({ code: 'COLUMN_CLASH', kind: 'fatal' }) as Error;

  test('a column named like the commit time column is refused', () => {
    expect(() => compileRelation(withTime, WITH_TIME)).toThrow(clash);
  });

  test('a column named kind is refused only where the kind is needed', () => {
    expect(renderRow(withKind, kindRow, FLAT)).toBe('{"kind":"x"}');
    expect(() => renderRow(withKind, kindRow, WITH_KIND)).toThrow(clash);
  });

  test('a commit time column named kind is refused where the kind is needed', () => {
    expect(() => renderRow(users, insert, { ...WITH_KIND, options: { commit_time_column: 'kind' } })).toThrow(
      clash,
    );
  });

  test('a clashing column that the message leaves out does no harm', () => {
    const relation = relationOf([
      { name: 'id', type: 23, identity: true },
      { name: 'kind', type: 25 },
    ]);
    const settings = { ...WITH_KIND, columns: ['id'] };
    expect(renderRow(relation, insertMessage(1, ['1', 'x']), settings)).toBe('{"id":1,"kind":"insert"}');
  });
});
