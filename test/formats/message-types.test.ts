// What each format says its messages are, by action and by what is known of the table.
import { describe, expect, test } from 'vitest';
import type { Action } from '../../src/core/change.ts';
import { typeAt, unnamed, type JsonObject, type JsonType } from '../../src/core/json-type.ts';
import type { RowKnowledge } from '../../src/formats/format.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../src/pgoutput/messages.ts';
import { compileRelation, type RenderSettings } from '../support/decode.ts';
import { relationMessage } from '../support/pgoutput-messages.ts';

const message = relationMessage({
  id: 1,
  schema: 'public',
  table: 'users',
  identity: 'd',
  columns: [
    { name: 'id', type: 23, identity: true },
    { name: 'email', type: 25 },
  ],
});
const users = buildRelation(decodeRelation(message, 0), undefined);

/** Of a table with the replica identity DEFAULT, whose columns are never NULL. */
const rows: RowKnowledge = {
  mayBeNull: () => false,
  mayBeUnchanged: () => false,
  inOldRow: (column) => (column === 0 ? 'always' : 'never'),
  updatesHaveOld: false,
  halves: false,
  moves: false,
  isPartitioned: false,
};
const full: RowKnowledge = { ...rows, inOldRow: () => 'always', updatesHaveOld: true };

const typeOf = (settings: RenderSettings, action: Action, known = rows): JsonObject =>
  unnamed(compileRelation(users, settings).describe(action, known)) as JsonObject;
const namesOf = (type: JsonType): readonly string[] =>
  (unnamed(type) as JsonObject).members.map(({ name }) => name);
/** Of what may be null, too. */
const kindsAt = (type: JsonType, name: string): readonly string[] => {
  const found = typeAt(type, name);
  return (found.kind === 'union' ? found.of : [found]).map((each) => unnamed(each).kind);
};
const constantAt = (type: JsonType, name: string): unknown => {
  const found = typeAt(type, name);
  return found.kind === 'constant' ? found.value : found;
};

describe('debezium', () => {
  const DEBEZIUM: RenderSettings = { format: 'debezium' };

  test('before is there where Postgres has sent it, and after where there is a row', () => {
    const both = (action: Action, known?: RowKnowledge) => {
      const type = typeOf(DEBEZIUM, action, known);
      return [kindsAt(type, 'before'), kindsAt(type, 'after')];
    };
    expect(both('insert')).toEqual([['null'], ['object']]);
    expect(both('read')).toEqual([['null'], ['object']]);
    expect(both('update')).toEqual([['object', 'null'], ['object']]);
    expect(both('update', full)).toEqual([['object'], ['object']]);
    expect(both('delete')).toEqual([['object'], ['null']]);
    expect(both('truncate')).toEqual([['null'], ['null']]);
    // What was not sent is null.
    const before = (known?: RowKnowledge) => typeAt(typeOf(DEBEZIUM, 'delete', known), 'before');
    expect([before(), before(full)].map((type) => kindsAt(type, 'email'))).toEqual([['null'], ['string']]);
  });

  test('a message says what was done, and a row that was read is of no transaction', () => {
    const ops = (['insert', 'update', 'delete', 'read', 'truncate'] as const).map((action) => {
      const type = typeOf(DEBEZIUM, action);
      const source = typeAt(type, 'source');
      return [constantAt(type, 'op'), constantAt(source, 'snapshot'), kindsAt(source, 'txId')[0]];
    });
    expect(ops).toEqual([
      ['c', 'false', 'integer'],
      ['u', 'false', 'integer'],
      ['d', 'false', 'integer'],
      ['r', 'incremental', 'null'],
      ['t', 'false', 'integer'],
    ]);
  });

  test('an unwrapped row has its columns, whether it is deleted, and what was asked for', () => {
    const unwrapped: RenderSettings = {
      format: 'debezium',
      options: { debezium: { unwrap: true, 'add.fields': 'op,source.lsn:at' } },
    };
    expect(namesOf(typeOf(unwrapped, 'insert'))).toEqual(['id', 'email', '__deleted', '__op', '__at']);
    expect(constantAt(typeOf(unwrapped, 'insert'), '__deleted')).toBe('false');
    expect(kindsAt(typeOf(unwrapped, 'delete'), 'email')).toEqual(['null']);
    expect(constantAt(typeOf(unwrapped, 'delete'), '__deleted')).toBe('true');
    expect(constantAt(typeOf(unwrapped, 'delete'), '__op')).toBe('d');
  });

  test('fields go with unwrapped rows alone, and no two of them have one name', () => {
    const parsed = (debezium: object) => () =>
      compileRelation(users, { format: 'debezium', options: { debezium } });
    expect(parsed({ 'add.fields': 'op' })).toThrow(/this goes with unwrap: true/);
    expect(parsed({ unwrap: true, 'add.fields': 'op,lsn:op' })).toThrow(/would be called \\?"__op/);
    expect(parsed({ unwrap: true, 'add.fields': 'op,nothing' })).toThrow(/is no field of these messages/);
    expect(parsed({ unwrap: true, 'add.fields': 'op, source.lsn' })).not.toThrow();
  });
});

test('pg2sqs: columns, and beside them what tells actions apart', () => {
  const flat: RenderSettings = { format: 'pg2sqs', options: { commit_time_column: 'at' } };
  expect(namesOf(typeOf(flat, 'insert'))).toEqual(['id', 'email', 'at']);
  expect(namesOf(typeOf({ ...flat, severalActions: true }, 'delete'))).toEqual(['id', 'at', 'kind']);
  expect(constantAt(typeOf({ ...flat, severalActions: true }, 'delete'), 'kind')).toBe('delete');
  expect(namesOf(typeOf({ ...flat, severalActions: true }, 'truncate'))).toEqual(['at', 'kind']);
});

test('sequin: what changed is there for updates, as far as old rows tell', () => {
  expect(kindsAt(typeOf({}, 'insert'), 'changes')).toEqual(['null']);
  expect(namesOf(typeAt(typeOf({}, 'update'), 'changes'))).toEqual(['id']);
  expect(namesOf(typeAt(typeOf({}, 'update', full), 'changes'))).toEqual(['id', 'email']);
  expect(namesOf(typeAt(typeOf({}, 'delete'), 'record'))).toEqual(['id']);
  expect(constantAt(typeOf({}, 'read'), 'action')).toBe('read');
});
