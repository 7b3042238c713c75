import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRowEvent, type RowEvent } from '../../../src/core/change.ts';
import { parseTemplate } from '../../../src/core/template.ts';
import { NO_MASKS } from '../../../src/functions/columns/masks.ts';
import { groupByColumns, groupByTemplate } from '../../../src/pipeline/intake/group-key.ts';
import { buildRelation } from '../../../src/pgoutput/enrichment.ts';
import { decodeRelation, decodeRow } from '../../../src/pgoutput/messages.ts';
import { TRANSACTION } from '../../support/decode.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../../support/pgoutput-messages.ts';

const COLUMNS = [
  { name: 'a', type: 25, identity: true },
  { name: 'b', type: 25, identity: true },
  { name: 'note', type: 25 },
];
const relation = buildRelation(
  decodeRelation(
    relationMessage({ id: 1, schema: 'pub.lic', table: 'us:ers', identity: 'd', columns: COLUMNS }),
    0,
  ),
  undefined,
);
const byKey = groupByColumns(relation, ['a', 'b'], NO_MASKS);

function decoded(message: Buffer): RowEvent {
  const event = createRowEvent();
  decodeRow(message, 0, message.length, event);
  return event;
}
const inserted = (a: string | null, b: string | null): RowEvent => decoded(insertMessage(1, [a, b, 'n']));
const groupOf = (event: RowEvent): string => byKey.current(event, TRANSACTION);

const value = fc.option(
  fc.oneof(
    fc.stringMatching(/^[\\:Nné😀]{0,4}$/u),
    fc.string({ unit: 'binary' }).map((text) => text.toWellFormed().replaceAll('\0', '')),
  ),
);

test('different keys never give the same group, and equal keys always do (C226)', () => {
  fc.assert(
    fc.property(value, value, value, value, (a, b, c, d) => {
      expect(groupOf(inserted(a, b)) === groupOf(inserted(c, d))).toBe(a === c && b === d);
    }),
    { numRuns: 1000 },
  );
});

test('a group names its table and its key, with separators escaped', () => {
  expect(groupOf(inserted('1', 'é'))).toBe(String.raw`pub\.lic.us\:ers:1:é`);
  expect(groupOf(inserted(String.raw`x:y\z`, null))).toBe(String.raw`pub\.lic.us\:ers:x\:y\\z:\N`);
});

test('a group longer than any buffer is whole, and so is the one after it', () => {
  const long = 'k'.repeat(100_000);
  expect(groupOf(inserted(long, '1'))).toBe(String.raw`pub\.lic.us\:ers:${long}:1`);
  expect(groupOf(inserted('1', '1'))).toBe(String.raw`pub\.lic.us\:ers:1:1`);
});

test('a deleted row is in the group that it was in', () => {
  const event = decoded(deleteMessage(1, { kind: 'key', row: ['1', '2', null] }));
  expect(groupOf(event)).toBe(groupOf(inserted('1', '2')));
});

test('only a key that changed has a previous group', () => {
  const moved = decoded(updateMessage(1, ['1', '3', 'n'], { kind: 'key', row: ['1', '2', null] }));
  expect(groupOf(moved)).toBe(groupOf(inserted('1', '3')));
  expect(byKey.previous(moved, TRANSACTION)).toBe(groupOf(inserted('1', '2')));
  const stayed = decoded(updateMessage(1, ['1', '2', UNCHANGED]));
  expect(byKey.previous(stayed, TRANSACTION)).toBeUndefined();
});

test('a template gives its text as it comes out', () => {
  const group = groupByTemplate(relation, parseTemplate('${%table%}/${a}-${b}'), NO_MASKS);
  expect(group.current(inserted('x:y', null), TRANSACTION)).toBe('us:ers/x:y-');
  const constant = groupByTemplate(relation, parseTemplate('${%schema%}'), NO_MASKS);
  expect(constant.current(inserted('1', '2'), TRANSACTION)).toBe('pub.lic');
});

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'gone'])(
  'a template that names the column %s, which the table does not have, is a fault that names it',
  (name) => {
    expect(() => groupByTemplate(relation, parseTemplate(`\${${name}}`), NO_MASKS)).toThrow(
      `names the column "${name}", which the table does not have`,
    );
  },
);
