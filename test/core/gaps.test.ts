import { describe, expect, test } from 'vitest';
import {
  concerns,
  describeGap,
  gapName,
  haltingGap,
  parseGapName,
  type GapReader,
} from '../../src/core/gaps.ts';
import { tablePattern, type Selection } from '../../src/core/selection.ts';
import { gap } from '../support/status.ts';

const ITEMS = { schema: 'public', table: 'items' };
const NOTES = { schema: 'public', table: 'notes' };
const reading = (selection: Selection, name = 'sink'): GapReader => ({ name, selection });
const only = (table: typeof ITEMS): GapReader => reading({ includeTables: [tablePattern(table)] });

describe('a gap', () => {
  test('concerns the sinks that read one of its tables, and every sink when it may be any table', () => {
    expect(concerns({ tables: [ITEMS] }, only(ITEMS))).toBe(true);
    expect(concerns({ tables: [ITEMS] }, only(NOTES))).toBe(false);
    expect(concerns({ tables: [NOTES, ITEMS] }, only(ITEMS))).toBe(true);
    expect(concerns({ tables: [ITEMS] }, reading({}))).toBe(true);
    expect(concerns({}, only(NOTES))).toBe(true);
  });

  test('of one sink concerns no other, whatever they read', () => {
    expect(concerns({ sink: 'a' }, reading({}, 'a'))).toBe(true);
    expect(concerns({ sink: 'a' }, reading({}, 'b'))).toBe(false);
    expect(describeGap(gap({ sink: 'a', reason: 'it was so' }))).toContain('(sink "a"): it was so');
  });

  test('halts the sinks that it concerns until it is accepted, unless the user wants them to go on', () => {
    const known = gap({ tables: [ITEMS] });
    expect(haltingGap([known], only(ITEMS), 'halt')).toBe(known);
    expect(haltingGap([known], only(NOTES), 'halt')).toBeUndefined();
    expect(haltingGap([known], only(ITEMS), 'resume')).toBeUndefined();
    expect(haltingGap([gap({ acceptedAt: '2026-01-02T03:04:05Z' })], reading({}), 'halt')).toBeUndefined();
    expect(haltingGap([gap({ halts: false })], reading({}), 'halt')).toBeUndefined();
  });

  test('is named by its range, so that one that grew is another one', () => {
    expect(gapName({ from: '0/A', to: '0/B' })).toBe('0/A..0/B');
    expect(gapName({ from: '0/A' })).toBe('0/A..');
    expect(parseGapName(' 0/a..0/B ')).toBe('0/A..0/B');
    expect(parseGapName('0/A..')).toBe('0/A..');
  });

  test.each(['', '3', '0/A', '0/A-0/B', '0/A..0/B..0/C', 'x..y', '..0/B'])('"%s" names none', (text) =>
    expect(parseGapName(text)).toBeUndefined(),
  );

  test('says in one line where, of what and why; of many tables it names a few', () => {
    const tables = Array.from({ length: 7 }, (_, i) => ({ schema: 's', table: `t${i}` }));
    expect(describeGap(gap({ tables, reason: 'it was so' }))).toBe(
      'changes written between 0/1 and 0/9 may be missing (s.t0, s.t1, s.t2, s.t3, s.t4 and 2 more): it was so',
    );
    const { to: _to, ...open } = gap({ reason: 'it is so' });
    expect(describeGap(open)).toBe(
      'changes written between 0/1 and now may be missing (any table): it is so',
    );
  });
});
