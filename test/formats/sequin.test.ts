import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { createRowEvent, type Relation } from '../../src/core/change.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation, decodeRow } from '../../src/pgoutput/messages.ts';
import {
  compileRelation,
  keyOf,
  renderContext,
  renderRow,
  TRANSACTION,
  type RenderSettings,
  type SequinMessage,
} from '../support/decode.ts';
import {
  deleteMessage,
  insertMessage,
  int32,
  relationMessage,
  UNCHANGED,
  updateMessage,
  type ColumnSpec,
} from '../support/pgoutput-messages.ts';

const ID: ColumnSpec = { name: 'id', type: 23, identity: true };
const EMAIL: ColumnSpec = { name: 'email', type: 25 };
const BIG: ColumnSpec = { name: 'big', type: 25 };

function relationOf(identity: 'd' | 'f' | 'i', columns: readonly ColumnSpec[], table = 'users'): Relation {
  const message = relationMessage({ id: 1, schema: 'public', table, identity, columns });
  return buildRelation(decodeRelation(message, 0), undefined);
}
const keyed = relationOf('d', [ID, EMAIL, BIG]);
const full = relationOf('f', [ID, { ...EMAIL, identity: true }, { ...BIG, identity: true }]);

const render = (relation: Relation, message: Buffer, settings?: RenderSettings): SequinMessage =>
  JSON.parse(renderRow(relation, message, settings)) as SequinMessage;

test('an insert is written exactly as documented', () => {
  const relation = relationOf('d', [ID, EMAIL]);
  const text = renderRow(relation, insertMessage(1, ['1', 'alice@example.com']), {}, { index: 12 });
  expect(text).toBe(
    '{"record":{"id":1,"email":"alice@example.com"},"changes":null,"action":"insert","metadata":{' +
      '"table_schema":"public","table_name":"users","idempotency_key":"key-0",' +
      '"commit_timestamp":"2026-01-02T03:04:05.123456Z","commit_lsn":123456789,"commit_idx":12,' +
      '"database_name":"shop","transaction_annotations":null,' +
      '"consumer":{"id":"sink-id","name":"users","annotations":{}},' +
      '"database":{"id":"database-id","name":"shop","annotations":{},"database":"app","hostname":"db-1"},' +
      '"enrichment":null,"record_pks":["1"]}}',
  );
});

test('names and annotations of any characters are escaped (C048, C225)', () => {
  const table = 'Tab\\le "x"\n\ufffe 表';
  const column = 'col"umn\uffff';
  const text = renderRow(relationOf('d', [{ name: column, type: 25 }], table), insertMessage(1, ['v']), {
    envelope: { sinkName: 's"\ufffe', sinkAnnotations: { team: 'a"b\uffff', list: [1, null] } },
  });
  expect(text).not.toMatch(/[\ufffe\uffff\n]/);
  const message = JSON.parse(text) as SequinMessage;
  expect(message.record).toEqual({ [column]: 'v' });
  expect(message.metadata).toMatchObject({
    table_name: table,
    consumer: { name: 's"\ufffe', annotations: { team: 'a"b\uffff', list: [1, null] } },
  });
});

test('columns named like special properties or like fields of the message are all there (C049, C050)', () => {
  const fields = ['kind', 'action', 'record', 'metadata', 'op', 'table'];
  const names = [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '1',
    '0',
    'length',
    'then',
    ...fields,
  ];
  const relation = relationOf(
    'd',
    names.map((name) => ({ name, type: 25 })),
  );
  const { record } = render(relation, insertMessage(1, names));
  expect(Object.keys(record).sort()).toEqual([...names].sort());
  expect(Object.entries(record).every(([name, value]) => name === value)).toBe(true);
});

test('a table without columns gives an empty record (C051)', () => {
  expect(render(relationOf('d', []), insertMessage(1, [])).record).toEqual({});
});

test('only the listed columns are written, wherever in the row they stand', () => {
  const settings = { columns: ['big'] };
  const update = updateMessage(1, ['2', 'b', 'y'], { kind: 'full', row: ['1', 'a', 'x'] });
  expect(render(full, update, settings)).toMatchObject({ record: { big: 'y' }, changes: { big: 'x' } });
  const removed = render(full, deleteMessage(1, { kind: 'full', row: ['1', 'a', 'x'] }), settings);
  expect(removed.record).toEqual({ big: 'x' });
});

test('rows of one transaction share its time and LSN, the next transaction has its own', () => {
  const plan = compileRelation(keyed);
  const message = insertMessage(1, ['1', null, null]);
  const event = createRowEvent();
  decodeRow(message, 0, message.length, event);
  const later = { ...TRANSACTION, commitLsn: toLsn(2n ** 64n - 1n), commitTimeUs: 1_767_323_046_000_007n };
  const texts = [TRANSACTION, TRANSACTION, later].map((transaction, index) => {
    const writer = new ByteWriter(1);
    plan.render(event, renderContext({ transaction, index, key: keyOf(`k${index}`) }), writer);
    return writer.buffer.toString('utf8', 0, writer.length);
  });
  expect(texts[1]).toBe(texts[0]!.replace('"k0"', '"k1"').replace('"commit_idx":0', '"commit_idx":1'));
  expect(texts[2]).toContain('"commit_timestamp":"2026-01-02T03:04:06.000007Z"');
  expect(texts[2]).toContain('"commit_lsn":18446744073709551615,');
});

test.each([0, 9, 10, 99, 100, 1_234_567, 4_294_967_296])('commit_idx %i is written in full', (index) => {
  const text = renderRow(keyed, insertMessage(1, ['1', null, null]), {}, { index });
  expect((JSON.parse(text) as SequinMessage).metadata['commit_idx']).toBe(index);
});

test('a truncate has an empty record', () => {
  const writer = new ByteWriter(1);
  compileRelation(keyed).renderTruncate(renderContext(), writer);
  const message = JSON.parse(writer.buffer.toString('utf8', 0, writer.length)) as SequinMessage;
  expect(message).toMatchObject({ record: {}, changes: null, action: 'truncate' });
  expect(message.metadata).toMatchObject({ table_name: 'users', commit_idx: 0 });
});

test('a row of another width than its relation is refused, not read askew', () => {
  for (const message of [insertMessage(1, ['1']), deleteMessage(1, { kind: 'key', row: ['1'] })]) {
    expect(() => renderRow(keyed, message)).toThrow(expect.objectContaining({ code: 'PGOUTPUT_MALFORMED' }));
  }
});

describe('changes', () => {
  test('without an old row nothing is told of what changed (C055)', () => {
    expect(render(keyed, updateMessage(1, ['1', 'b', 'x'])).changes).toEqual({});
  });

  test('an old key tells the old key only (C073)', () => {
    const update = updateMessage(1, ['2', 'b', 'x'], { kind: 'key', row: ['1', null, null] });
    expect(render(keyed, update).record).toEqual({ id: 2, email: 'b', big: 'x' });
    expect(render(keyed, update).changes).toEqual({ id: 1 });
  });

  test('an old row tells every column that changed, to and from NULL (C057)', () => {
    const update = updateMessage(1, ['1', null, 'x'], { kind: 'full', row: ['1', 'a', null] });
    expect(render(full, update).changes).toEqual({ email: 'a', big: null });
  });

  test('an old row that is the same says that nothing changed', () => {
    const update = updateMessage(1, ['1', 'a', null], { kind: 'full', row: ['1', 'a', null] });
    expect(render(full, update).changes).toEqual({});
  });

  test('a change below double precision is a change (C002)', () => {
    const update = updateMessage(1, ['9007199254740993', 'a', null], {
      kind: 'full',
      row: ['9007199254740992', 'a', null],
    });
    expect(renderRow(full, update)).toContain(
      '"record":{"id":9007199254740993,"email":"a","big":null},"changes":{"id":9007199254740992}',
    );
  });
});

describe('deletes', () => {
  test('an old key leaves the other columns out, never null (C056)', () => {
    const message = render(keyed, deleteMessage(1, { kind: 'key', row: ['1', null, null] }));
    expect(message).toMatchObject({ action: 'delete', changes: null });
    expect(message.record).toEqual({ id: 1 });
  });

  test('an old row has every column, NULLs too', () => {
    const message = render(full, deleteMessage(1, { kind: 'full', row: ['1', null, 'x'] }));
    expect(message.record).toEqual({ id: 1, email: null, big: 'x' });
  });

  test('name every column where that is asked for, and null is what was not sent', () => {
    const settings = { values: { absent: 'null' } } as const;
    const deleted = deleteMessage(1, { kind: 'key', row: ['1', null, null] });
    expect(render(keyed, deleted, settings).record).toEqual({ id: 1, email: null, big: null });
    expect(renderRow(keyed, deleted, { ...settings, format: 'pg2sqs' })).toBe(
      '{"id":1,"email":null,"big":null}',
    );
    const last = relationOf('d', [EMAIL, ID]);
    const lastIsKey = deleteMessage(1, { kind: 'key', row: [null, '1'] });
    expect(render(last, lastIsKey, settings).record).toEqual({ email: null, id: 1 });
  });
});

describe('the key', () => {
  const pair = relationOf('d', [EMAIL, { ...ID, type: 16 }, { name: 'b', type: 17, identity: true }]);
  const keyOf = (relation: Relation, message: Buffer): unknown =>
    render(relation, message).metadata['record_pks'];

  test("is its columns' texts in the order of the table, of a deleted row too", () => {
    const row = ['a"\n', 't', String.raw`\x00ff`];
    expect(keyOf(pair, insertMessage(1, row))).toEqual(['t', String.raw`\x00ff`]);
    expect(keyOf(pair, updateMessage(1, row))).toEqual(['t', String.raw`\x00ff`]);
    expect(keyOf(pair, deleteMessage(1, { kind: 'key', row: [null, 't', ''] }))).toEqual(['t', '']);
    const named = relationOf('d', [{ ...EMAIL, identity: true }]);
    expect(keyOf(named, insertMessage(1, [row[0]!]))).toEqual([row[0]]);
  });

  test('is empty where the table has none, and of a truncate', () => {
    expect(keyOf(full, insertMessage(1, ['1', 'a', 'b']))).toEqual([]);
    const writer = new ByteWriter(1);
    compileRelation(keyed).renderTruncate(renderContext(), writer);
    const truncate = JSON.parse(writer.buffer.toString('utf8', 0, writer.length)) as SequinMessage;
    expect(truncate.metadata['record_pks']).toEqual([]);
  });

  test('has null in the place of what Postgres did not send', () => {
    const key = { ...pair, key: ['id', 'email'] };
    expect(keyOf(key, deleteMessage(1, { kind: 'key', row: [null, 't', 'x'] }))).toEqual([null, 't']);
    expect(keyOf(pair, updateMessage(1, ['a', UNCHANGED, 'x']))).toEqual([null, 'x']);
  });

  test('is there whatever columns the message has', () => {
    const message = render(keyed, insertMessage(1, ['1', 'a', 'b']), { columns: ['email'] });
    expect(message).toMatchObject({ record: { email: 'a' }, metadata: { record_pks: ['1'] } });
  });
});

describe('unchanged TOAST values', () => {
  test('are absent and listed (C065)', () => {
    const message = render(keyed, updateMessage(1, ['1', UNCHANGED, UNCHANGED]));
    expect(message.record).toEqual({ id: 1 });
    expect(message.metadata['unchanged_columns']).toEqual(['email', 'big']);
  });

  test('are the text "unchanged_toast" where that is asked for, and listed still', () => {
    const settings = { values: { unchanged: 'text' } } as const;
    const message = render(keyed, updateMessage(1, ['1', UNCHANGED, UNCHANGED]), settings);
    expect(message.record).toEqual({ id: 1, email: 'unchanged_toast', big: 'unchanged_toast' });
    expect(message.metadata['unchanged_columns']).toEqual(['email', 'big']);
    const known = updateMessage(1, [UNCHANGED, 'b', UNCHANGED], { kind: 'full', row: ['1', 'a', 'big'] });
    expect(render(full, known, settings).record).toEqual({ id: 1, email: 'b', big: 'big' });
    expect(renderRow(keyed, updateMessage(1, ['1', 'a', UNCHANGED]), { ...settings, format: 'pg2sqs' })).toBe(
      '{"id":1,"email":"a","big":"unchanged_toast"}',
    );
  });

  test('are not listed when the message does not have the column', () => {
    const message = render(keyed, updateMessage(1, ['1', 'a', UNCHANGED]), { columns: ['id', 'email'] });
    expect(message.metadata).not.toHaveProperty('unchanged_columns');
  });

  test('come from a full old row and are no change (C066)', () => {
    const update = updateMessage(1, ['1', 'b', UNCHANGED], { kind: 'full', row: ['1', 'a', 'big'] });
    const message = render(full, update);
    expect(message).toMatchObject({ record: { id: 1, email: 'b', big: 'big' }, changes: { email: 'a' } });
    expect(message.metadata).not.toHaveProperty('unchanged_columns');
  });

  test('come from the old key, when they are the key (C070)', () => {
    const update = updateMessage(1, [UNCHANGED, 'b', 'x'], { kind: 'key', row: ['1', null, null] });
    expect(render(keyed, update)).toMatchObject({
      record: { id: 1, email: 'b', big: 'x' },
      changes: {},
      metadata: { record_pks: ['1'] },
    });
  });

  test('do not come from an old key that does not know them (C071)', () => {
    const update = updateMessage(1, ['2', 'b', UNCHANGED], { kind: 'key', row: ['1', null, null] });
    const message = render(keyed, update);
    expect(message).toMatchObject({ record: { id: 2, email: 'b' }, changes: { id: 1 } });
    expect(message.record).not.toHaveProperty('big');
    expect(message.metadata['unchanged_columns']).toEqual(['big']);
  });

  test('are never NULL, whatever the old row of a partition with a lesser identity says', () => {
    const update = updateMessage(1, ['2', 'b', UNCHANGED], { kind: 'full', row: ['1', null, null] });
    const message = render(full, update);
    expect(message.record).not.toHaveProperty('big');
    expect(message.metadata['unchanged_columns']).toEqual(['big']);
  });
});

describe('texts that could not be read', () => {
  /** The message with the columns of these texts marked as the source marks damage. */
  function damage(message: Buffer, ...texts: readonly string[]): Buffer {
    for (const text of texts) {
      const column = Buffer.concat([Buffer.from('t'), int32(Buffer.byteLength(text)), Buffer.from(text)]);
      message.write('d', message.indexOf(column), 'latin1');
    }
    return message;
  }
  const undecodable = (relation: Relation, message: Buffer, settings?: RenderSettings): unknown =>
    render(relation, message, settings).metadata['undecodable_columns'];

  test('are named, of the new row and the old one', () => {
    const insert = damage(insertMessage(1, ['1', 'a\ufffd', 'b']), 'a\ufffd');
    expect(render(keyed, insert)).toMatchObject({
      record: { id: 1, email: 'a\ufffd', big: 'b' },
      metadata: { record_pks: ['1'], undecodable_columns: ['email'] },
    });
    const old = { kind: 'full', row: ['1', 'a', 'x\ufffd'] } as const;
    expect(render(full, damage(updateMessage(1, ['1', 'a', 'y'], old), 'x\ufffd'))).toMatchObject({
      changes: { big: 'x\ufffd' },
      metadata: { undecodable_columns: ['big'] },
    });
    expect(undecodable(full, damage(deleteMessage(1, old), 'x\ufffd', 'a'))).toEqual(['email', 'big']);
  });

  test('stand beside columns that did not come', () => {
    const update = damage(updateMessage(1, ['1', 'a\ufffd', UNCHANGED]), 'a\ufffd');
    expect(render(keyed, update).metadata).toMatchObject({
      record_pks: ['1'],
      undecodable_columns: ['email'],
      unchanged_columns: ['big'],
    });
  });

  test('are not named where the message does not have them, nor in the row after', () => {
    const insert = damage(insertMessage(1, ['1', 'a\ufffd', 'b']), 'a\ufffd');
    expect(undecodable(keyed, insert, { columns: ['big'] })).toBeUndefined();
    expect(undecodable(keyed, insertMessage(1, ['1', 'a', 'b']))).toBeUndefined();
  });
});

test('transaction annotations stand in the metadata as they were written', () => {
  const annotations = '{"by": "alice", "n": 12345678901234567890}';
  const text = renderRow(
    keyed,
    insertMessage(1, ['1', 'a', 'b']),
    {},
    { transaction: { ...TRANSACTION, annotations } },
  );
  expect(text).toContain(
    ',"transaction_annotations":{"by": "alice", "n": 12345678901234567890},"consumer":{',
  );
});

test('rows of one transaction before and after a marker are told apart', () => {
  const plan = compileRelation(keyed);
  const event = createRowEvent();
  const message = insertMessage(1, ['1', 'a', 'b']);
  decodeRow(message, 0, message.length, event);
  const annotated = { ...TRANSACTION, annotations: '[1]' };
  const texts = [TRANSACTION, annotated, TRANSACTION].map((transaction) => {
    const writer = new ByteWriter();
    plan.render(event, renderContext({ transaction }), writer);
    const text = writer.buffer.toString('utf8', 0, writer.length);
    return (JSON.parse(text) as SequinMessage).metadata['transaction_annotations'];
  });
  expect(texts).toEqual([null, [1], null]);
});

test('both halves of a changed key say which row became which', () => {
  const message = updateMessage(1, ['2', 'new', UNCHANGED], { kind: 'key', row: ['1', null, null] });
  const halfOf = (action: 'delete' | 'insert'): SequinMessage => {
    const event = createRowEvent();
    decodeRow(message, 0, message.length, event);
    event.action = action;
    const writer = new ByteWriter();
    compileRelation(keyed).render(event, renderContext({ keyChange: true }), writer);
    return JSON.parse(writer.buffer.toString('utf8', 0, writer.length)) as SequinMessage;
  };
  const keyChange = { old: { id: 1 }, new: { id: 2 } };
  expect(halfOf('delete')).toMatchObject({
    action: 'delete',
    record: { id: 1 },
    metadata: { key_change: keyChange, record_pks: ['1'] },
  });
  expect(halfOf('delete').record).toEqual({ id: 1 });
  expect(halfOf('insert')).toMatchObject({
    action: 'insert',
    record: { id: 2, email: 'new' },
    changes: null,
    metadata: { key_change: keyChange, record_pks: ['2'], unchanged_columns: ['big'] },
  });
});

test.each([
  ['out', 'delete'],
  ['in', 'insert'],
] as const)('a row that went %s of what a filter names says so, in each encoding', (moved, action) => {
  const message =
    moved === 'out'
      ? deleteMessage(1, { kind: 'key', row: ['1', null, null] })
      : insertMessage(1, ['1', 'new', 'b']);
  const plain = renderRow(keyed, message, {}, { moved });
  expect(JSON.parse(plain)).toMatchObject({ action, metadata: { record_pks: ['1'], moved } });
  expect(JSON.parse(`"${renderRow(keyed, message, { encoding: 'json-string' }, { moved })}"`)).toBe(plain);
});

test('annotations and changed keys are the same messages inside a JSON string', () => {
  const message = updateMessage(1, ['2', 'new', 'b'], { kind: 'key', row: ['1', null, null] });
  const transaction = { ...TRANSACTION, annotations: '{"by": "a\\nb"}' };
  const context = { transaction, keyChange: true };
  const plain = renderRow(keyed, message, {}, context);
  const inString = renderRow(keyed, message, { encoding: 'json-string' }, context);
  expect(JSON.parse(`"${inString}"`)).toBe(plain);
  expect(JSON.parse(plain)).toMatchObject({ metadata: { transaction_annotations: { by: 'a\nb' } } });
});
