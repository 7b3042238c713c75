import { describe, expect, test } from 'vitest';
import { concerns, type GapDeclaration } from '../../../../src/core/gaps.ts';
import type { CatalogVersions } from '../../../../src/core/look.ts';
import { toLsn } from '../../../../src/core/lsn.ts';
import { tablePattern } from '../../../../src/core/selection.ts';
import { endedAt, gapsOfAnother } from '../../../../src/pipeline/source/history/followed-publication.ts';
import {
  gapsBetween,
  goneTables,
  hasEnded,
  renamedTables,
  type NamedTable,
} from '../../../../src/pipeline/source/history/publication.ts';
import { catalog, look, table } from '../../../support/looks.ts';

const FROM = toLsn(0x50n);
const TO = { walAfter: toLsn(0x90n) };

/** What is declared when the catalog goes from one state to another. */
function between(
  before: CatalogVersions,
  after: CatalogVersions,
  { dropped = [] as number[], bearers = [] as NamedTable[], missed = false } = {},
): readonly GapDeclaration[] {
  const next = look({ catalog: after, ...TO });
  const previous = look({ catalog: before });
  const exists = new Set(
    goneTables(previous, next)
      .map(({ oid }) => oid)
      .filter((oid) => !dropped.includes(oid)),
  );
  return gapsBetween(previous, next, { from: FROM, exists, bearers, missed });
}

const NONE: CatalogVersions = { tables: [] };
const t1 = { schema: 'public', table: 't1' };
const t2 = { schema: 'public', table: 't2' };

describe('between two looks', () => {
  test('that saw the same there is no gap', () => {
    expect(between(catalog([table(1)]), catalog([table(1)]))).toEqual([]);
  });

  test('a table that was only added misses nothing', () => {
    expect(between(catalog([table(1)]), catalog([table(1), table(2)]))).toEqual([]);
  });

  test('a table’s own DDL is no gap, and neither is its new name', () => {
    const after = catalog([table(1, { shape: 'other', table: 'renamed' })]);
    expect(between(catalog([table(1)]), after)).toEqual([]);
  });

  describe('a table that is called now as another one was', () => {
    const before = catalog([table(1), table(2)]);
    const renamed = table(1, { shape: 'other', table: 'old' });
    const bearer = { oid: 9, ...t1 };

    test('is missing under that name until it has joined', () => {
      const after = catalog([renamed, table(2)]);
      const previous = look({ catalog: before });
      expect(renamedTables(previous, look({ catalog: after }))).toEqual([table(1)]);
      expect(between(before, after, { bearers: [bearer] })).toEqual([
        expect.objectContaining({
          cause: 'member_lost',
          from: '0/50',
          tables: [t1],
          halts: true,
          ends: [{ when: 'table_published', oid: 9 }],
        }),
      ]);
    });

    test('was missing until it joined', () => {
      const after = catalog([renamed, table(2), table(9, t1)]);
      expect(between(before, after, { bearers: [bearer] })).toEqual([
        expect.objectContaining({ cause: 'member_lost', from: '0/50', to: '0/90', tables: [t1], ends: [] }),
      ]);
    });

    test('was carried all the time where it was listed before, or all are', () => {
      const listed = catalog([renamed, table(2, t1)]);
      expect(between(before, listed, { bearers: [{ oid: 2, ...t1 }] })).toEqual([]);
      const { member: _member, ...ofAll } = table(9, t1);
      expect(between(before, catalog([renamed, table(2), ofAll]), { bearers: [bearer] })).toEqual([]);
    });
  });

  test('a publication’s row of another version is a gap of all its tables, those before and those after', () => {
    const after = catalog([table(1), table(2)], { version: '1:800' });
    expect(between(catalog([table(1)]), after)).toEqual([
      expect.objectContaining({
        cause: 'publication_changed',
        from: '0/50',
        to: '0/90',
        tables: [t1, t1, t2],
        halts: true,
        ends: [],
      }),
    ]);
  });

  test('one that publishes less goes on until it publishes that again', () => {
    const [gap] = between(
      catalog([table(1)]),
      catalog([table(1)], { version: '1:800', publishes: ['insert'] }),
    );
    expect(gap).toMatchObject({
      ends: [{ when: 'actions_published', actions: ['update', 'delete', 'truncate'] }],
    });
    expect(gap).not.toHaveProperty('to');
    const some = look({ catalog: catalog([], { publishes: ['insert', 'update', 'delete'] }) });
    expect(hasEnded(gap!.ends, some, new Set())).toBe(false);
    expect(hasEnded(gap!.ends, look(), new Set())).toBe(true);
  });

  test('one that was made anew is missing in between, and a table that it does not list goes on for itself', () => {
    const after = catalog([table(1)], { oid: 2, version: '2:800' });
    expect(between(catalog([table(1), table(2)]), after)).toMatchObject([
      { cause: 'publication_missing', to: '0/90', tables: [t1, t2, t1], ends: [] },
      { cause: 'member_lost', tables: [t2], ends: [{ when: 'table_published', oid: 2 }] },
    ]);
    expect(between(catalog([table(1)]), after)).toMatchObject([{ cause: 'publication_missing', to: '0/90' }]);
  });

  test('a table that nobody reads keeps nobody waiting once the rest of the publication is back', () => {
    const after = catalog([table(1)], { oid: 2, version: '2:800' });
    const lasting = between(catalog([table(1), table(2)]), after).filter(({ ends }) => ends.length > 0);
    const readerOf = ({ table: name }: typeof t1) => ({
      name,
      selection: { includeTables: [tablePattern({ schema: 'public', table: name })] },
    });
    expect(lasting.map((gap) => [concerns(gap, readerOf(t1)), concerns(gap, readerOf(t2))])).toEqual([
      [false, true],
    ]);
  });

  test('many tables that went at once are one gap, until the last of them is back', () => {
    const many = Array.from({ length: 101 }, (_, i) => table(i + 1));
    const [gap, ...others] = between(catalog(many), catalog([]));
    expect(others).toEqual([]);
    expect(gap).toMatchObject({
      cause: 'member_lost',
      reason: expect.stringContaining('101 tables') as string,
    });
    const exists = new Set(many.map(({ oid }) => oid));
    expect(hasEnded(gap!.ends, look({ catalog: catalog(many.slice(1)) }), exists)).toBe(false);
    expect(hasEnded(gap!.ends, look({ catalog: catalog(many) }), exists)).toBe(true);
    expect(between(catalog(many), catalog([many[0]!]))).toHaveLength(100);
  });

  test('one that is gone goes on until it is back', () => {
    const [gap] = between(catalog([table(1), table(2)]), NONE);
    expect(gap).toMatchObject({
      cause: 'publication_missing',
      tables: [t1, t2],
      ends: [{ when: 'publication_present' }],
    });
    expect(hasEnded(gap!.ends, look({ catalog: NONE }), new Set())).toBe(false);
    expect(hasEnded(gap!.ends, look(), new Set())).toBe(true);
  });

  test('one that was renamed away and back is told by its row, and counts as missing when a look missed it', () => {
    const after = catalog([table(1)], { version: '1:800' });
    expect(between(catalog([table(1)]), after)).toMatchObject([{ cause: 'publication_changed' }]);
    expect(between(catalog([table(1)]), after, { missed: true })).toMatchObject([
      { cause: 'publication_missing', to: '0/90' },
    ]);
  });

  test('one that was never looked at has to have been there, as it is, from where it is read with', () => {
    const written = (xmin: number) =>
      look({
        publication: 'q',
        begun: 800n,
        catalog: catalog([table(1)], { oid: 5, version: `5:${xmin}` }),
        ...TO,
      });
    const gaps = (xmin: number, ended: bigint | undefined) =>
      gapsOfAnother(written(xmin), { from: FROM, ended, before: catalog([table(1)]) });
    expect(gaps(699, 700n)).toEqual([]);
    expect(gaps(700, 700n)).toMatchObject([
      { cause: 'publication_missing', from: '0/50', to: '0/90', tables: [t1] },
    ]);
    expect(gaps(699, undefined)).toHaveLength(1);
  });

  test('one that was altered before it was looked at, and publishes less than the one before, may have published as much', () => {
    const narrow = (xmin: number) =>
      look({
        publication: 'q',
        begun: 800n,
        catalog: catalog([table(1)], { oid: 5, version: `5:${xmin}`, publishes: ['insert', 'update'] }),
      });
    const gaps = (xmin: number, before?: CatalogVersions) =>
      gapsOfAnother(narrow(xmin), { from: FROM, ended: 700n, before });
    const [gap] = gaps(750, catalog([table(1)]));
    expect(gap).toMatchObject({
      cause: 'publication_changed',
      from: '0/50',
      ends: [{ when: 'actions_published', actions: ['delete', 'truncate'] }],
    });
    expect(gap).not.toHaveProperty('to');
    expect(gaps(750, catalog([table(1)], { publishes: ['insert'] }))).toMatchObject([{ ends: [] }]);
    expect(gaps(750)).toMatchObject([{ ends: [] }]);
    // That is how it was chosen.
    expect(gaps(699, catalog([table(1)]))).toMatchObject([
      { cause: 'publication_changed', halts: false, ends: [{ when: 'actions_published' }] },
    ]);
  });

  test('of a publication that is followed no further, what was read with it by then', () => {
    const narrowed = catalog([table(1)], { version: '1:800', publishes: ['update'] });
    const gaps = between(catalog([table(1)]), narrowed);
    expect(endedAt(gaps, toLsn(0x70n))).toMatchObject([{ from: '0/50', to: '0/70', ends: [] }]);
    expect(endedAt(gaps, FROM)).toEqual([]);
    const restored = between(catalog([table(1)]), catalog([table(1)], { version: '1:801' }));
    expect(endedAt(restored, toLsn(0x100n))).toMatchObject([{ from: '0/50', to: '0/90' }]);
  });

  test('an entry of another version is a gap of that table alone', () => {
    const after = catalog([table(1), table(2, { member: '9:9' })]);
    expect(between(catalog([table(1), table(2)]), after)).toMatchObject([
      { cause: 'member_changed', tables: [t2, t2], to: '0/90', ends: [] },
    ]);
  });

  test('an entry that says less goes on until it says again what it said', () => {
    const after = catalog([table(1, { member: '9:9', entry: 'filtered' })]);
    const [gap] = between(catalog([table(1)]), after);
    expect(gap).toMatchObject({ ends: [{ when: 'entry_is', oid: 1, entry: 'all' }] });
    expect(hasEnded(gap!.ends, look({ catalog: after }), new Set([1]))).toBe(false);
    expect(
      hasEnded(gap!.ends, look({ catalog: catalog([table(1, { member: '9:10' })]) }), new Set([1])),
    ).toBe(true);
  });

  test('an entry that says all again misses nothing from then on', () => {
    const before = catalog([table(1, { entry: 'filtered' })]);
    expect(between(before, catalog([table(1, { member: '9:9' })]))).toMatchObject([
      { cause: 'member_changed', to: '0/90', ends: [] },
    ]);
    const [gap] = between(before, catalog([table(1, { member: '9:9', entry: 'other' })]));
    expect(gap).toMatchObject({ ends: [{ when: 'entry_is', entry: 'filtered' }] });
    expect(hasEnded(gap!.ends, look(), new Set([1]))).toBe(true);
  });

  test('an entry of its schema governs a table too', () => {
    const of = (schemaMember: string) => {
      const { member: _member, entry: _entry, ...rest } = table(1);
      return catalog([{ ...rest, schemaMember }]);
    };
    expect(between(of('5:700'), of('6:701'))).toMatchObject([{ cause: 'member_changed', tables: [t1, t1] }]);
  });

  test('a table that is gone from it goes on until it is back, and one that was dropped does not', () => {
    const before = catalog([table(1), table(2)]);
    const [lost] = between(before, catalog([table(1)]));
    expect(lost).toMatchObject({
      cause: 'member_lost',
      tables: [t2],
      halts: true,
      ends: [{ when: 'table_published', oid: 2 }],
    });
    expect(hasEnded(lost!.ends, look({ catalog: catalog([table(1)]) }), new Set([2]))).toBe(false);
    expect(hasEnded(lost!.ends, look({ catalog: catalog([table(1)]) }), new Set())).toBe(true);
    expect(between(before, catalog([table(1)]), { dropped: [2] })).toEqual([
      expect.objectContaining({ cause: 'table_dropped', tables: [t2], to: '0/90', halts: false }),
    ]);
  });

  test('a publication that changed does not wait for tables that were dropped', () => {
    const after = catalog([table(1)], { version: '1:800' });
    expect(between(catalog([table(1), table(2)]), after, { dropped: [2] })).toMatchObject([
      { cause: 'publication_changed', to: '0/90', ends: [] },
      { cause: 'table_dropped' },
    ]);
  });

  test('partitions are named where rows come under their names', () => {
    const root = table(1, { partitions: [{ schema: 'public', table: 'p1' }] });
    const [gap] = between(catalog([root]), catalog([]));
    expect(gap?.tables).toEqual([t1, { schema: 'public', table: 'p1' }]);
  });
});
