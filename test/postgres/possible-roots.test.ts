import { expect, test } from 'vitest';
import { mayBeRoot, type RootColumn } from '../../src/postgres/possible-roots.ts';

const INT = { type: 23, typeModifier: -1 };
const TEXT = { type: 25, typeModifier: -1 };
const MADE = 50;
/** Of the transaction that wrote the row. */
const XID = 100;

const column = (name: string, of: object = INT, altered: Partial<RootColumn> = {}): RootColumn => ({
  name,
  ...INT,
  ...of,
  generated: false,
  dropped: false,
  since: MADE,
  made: MADE,
  ...altered,
});
const root = [column('id'), column('note', TEXT)];
const streamed = (columns: readonly RootColumn[], isWhole = true) => ({ columns, xid: XID, isWhole });

test.each<[string, boolean, readonly RootColumn[], readonly RootColumn[]]>([
  ['the same columns', true, root, root],
  ['the same in another order', true, root, [root[1]!, root[0]!]],
  ['fewer columns', false, root, [column('id')]],
  ['a column more', false, root, [...root, column('more')]],
  ['a column of another name', false, root, [column('id'), column('text', TEXT)]],
  ['a column of another type', false, root, [column('id'), column('note')]],
  ['a column of another length', false, root, [column('id'), column('note', { ...TEXT, typeModifier: 14 })]],
  ['all but a generated column', true, [...root, column('sum', INT, { generated: true })], root],
  ['all but a column that was added since', true, [...root, column('new', INT, { since: 120 })], root],
  [
    'a column that was dropped since',
    true,
    [column('id'), column('........pg.dropped.2........', { type: 0 }, { dropped: true, since: 120 })],
    root,
  ],
  [
    'a column that was dropped before',
    false,
    [column('id'), column('........pg.dropped.2........', { type: 0 }, { dropped: true, since: 90 })],
    root,
  ],
  ['a column that was renamed since', true, [column('id'), column('remark', TEXT, { since: 120 })], root],
  ['more columns than were altered since', false, [column('remark', TEXT, { since: 120 })], root],
  [
    'the same columns, of a root that was made after the transaction began',
    true,
    root.map((one) => ({ ...one, since: 130, made: 130 })),
    root,
  ],
  [
    'fewer columns than that one',
    false,
    root.map((one) => ({ ...one, since: 130, made: 130 })),
    [column('id')],
  ],
  [
    'other columns than in the end, where one transaction made and altered it',
    true,
    [column('id', INT, { since: XID, made: XID }), column('remark', TEXT, { since: XID, made: XID })],
    root,
  ],
])('a table with %s: may it have been a partition? %s', (_, expected, of, columns) => {
  expect(mayBeRoot(of, streamed(columns))).toBe(expected);
});

test('where the stream may leave out columns, fewer of them prove nothing', () => {
  expect(mayBeRoot(root, streamed([column('id')], false))).toBe(true);
  expect(mayBeRoot(root, streamed([column('id'), column('more')], false))).toBe(false);
});
