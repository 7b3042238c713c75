import { expect, test } from 'vitest';
import { createRowEvent, NOT_SENT, NULL_VALUE, type Relation } from '../../src/core/change.ts';
import { decodeRow } from '../../src/pgoutput/messages.ts';
import { OldRows } from '../../src/pgoutput/old-rows.ts';
import { deleteMessage } from '../support/pgoutput-messages.ts';

const ROOT = 1;

const relation = (id: number, changes: Partial<Relation>): Relation => ({
  id,
  schema: 'public',
  table: `t${id}`,
  replicaIdentity: 'full',
  columns: [],
  key: [],
  types: new Map(),
  ...changes,
});
const partition = (id: number, replicaIdentity: Relation['replicaIdentity']): Relation =>
  relation(id, {
    replicaIdentity,
    ancestors: [{ oid: ROOT, schema: 'public', table: 't1', published: true }],
  });

/** What is left of the NULL in an old row of the relation. */
function nullOf(oldRows: OldRows, id: number): { readonly kind: string; readonly length: number } {
  const event = createRowEvent();
  const message = deleteMessage(id, { kind: 'full', row: ['1', null] });
  decodeRow(message, 0, message.length, event);
  oldRows.forget(event);
  return { kind: event.oldKind, length: event.oldTuple.lengths[1]! };
}
const KNOWN = { kind: 'full', length: NULL_VALUE };
const UNKNOWN = { kind: 'some', length: NOT_SENT };

test('a NULL in an old row of a partitioned table is one only while every partition that was seen is FULL', () => {
  const oldRows = new OldRows();
  oldRows.relation(relation(ROOT, { partitioned: true }));
  expect(nullOf(oldRows, ROOT)).toEqual(UNKNOWN);
  oldRows.relation(partition(2, 'full'));
  expect(nullOf(oldRows, ROOT)).toEqual(KNOWN);
  oldRows.relation(partition(3, 'default'));
  expect(nullOf(oldRows, ROOT)).toEqual(UNKNOWN);
  expect(nullOf(oldRows, 2)).toEqual(KNOWN);
  oldRows.relation(partition(3, 'full'));
  expect(nullOf(oldRows, ROOT)).toEqual(KNOWN);
});

test('a partition whose root nobody knows may be anybody’s', () => {
  const oldRows = new OldRows();
  for (const known of [relation(ROOT, { partitioned: true }), partition(2, 'full')]) oldRows.relation(known);
  oldRows.relation(relation(4, { replicaIdentity: 'full', gone: true }));
  expect(nullOf(oldRows, ROOT)).toEqual(KNOWN);
  oldRows.relation(relation(5, { replicaIdentity: 'default', gone: true }));
  expect(nullOf(oldRows, ROOT)).toEqual(UNKNOWN);
});
