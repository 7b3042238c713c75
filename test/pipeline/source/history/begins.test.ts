import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toLsn, type Lsn } from '../../../../src/core/lsn.ts';
import { BeginComparison, type Begin } from '../../../../src/pipeline/source/history/begins.ts';

const at = (commitLsn: number, xid = commitLsn, commitTimeUs = 7n): Begin => ({
  commitLsn: toLsn(BigInt(commitLsn)),
  xid,
  commitTimeUs,
});

/** Where two histories part, by what the log holds and what the server sends; undefined: nowhere. */
function compare(
  logged: readonly Begin[],
  sent: readonly Begin[],
  how: { readonly mayMiss?: boolean } = {},
): bigint | undefined {
  const last = logged.at(-1)?.commitLsn ?? toLsn(0n);
  const comparison = new BeginComparison(logged, last, how);
  for (const begin of sent) comparison.came(begin);
  return comparison.end()?.at;
}

/** What is known to be common to both, where they part; undefined: that is not known. */
function commonBelow(
  logged: readonly Begin[],
  sent: readonly Begin[],
  how: { readonly mayMiss?: boolean; readonly wholeAfter?: Lsn } = {},
): bigint | undefined {
  const last = logged.at(-1)?.commitLsn ?? toLsn(0n);
  const comparison = new BeginComparison(logged, last, how);
  for (const begin of sent) comparison.came(begin);
  return comparison.end()?.lsn;
}

describe('transactions that come again', () => {
  test('are the same history when each of the log’s comes, whatever follows', () => {
    expect(compare([at(1), at(2), at(3)], [at(1), at(2), at(3), at(4)])).toBeUndefined();
    expect(compare([], [at(1)])).toBeUndefined();
  });

  test('part at the first that is missing', () => {
    expect(compare([at(1), at(2), at(3)], [at(1)])).toBe(2n);
    expect(compare([at(1), at(2)], [])).toBe(1n);
    expect(compare([at(1), at(2), at(3)], [at(1), at(5)])).toBe(2n);
  });

  test('part at the first that has another id or another time', () => {
    expect(compare([at(1), at(2)], [at(1), at(2, 9)])).toBe(2n);
    expect(compare([at(1), at(2)], [at(1), at(2, 2, 8n)])).toBe(2n);
  });

  test('do not part where a later one is the same: what stands before it is, too', () => {
    expect(compare([at(1), at(2), at(3)], [at(1), at(3)])).toBeUndefined();
    expect(compare([at(1), at(3)], [at(1), at(2), at(3)])).toBeUndefined();
    expect(compare([at(1), at(2, 9), at(3)], [at(1), at(2), at(3)])).toBeUndefined();
  });

  test('are the same history where another publication leaves some out and adds others', () => {
    const how = { mayMiss: true };
    expect(compare([at(1), at(2), at(5)], [at(1), at(3), at(4)], how)).toBeUndefined();
    expect(compare([at(1), at(2)], [], how)).toBeUndefined();
  });

  test('part where another publication leaves one out and one of the same id stands elsewhere', () => {
    const how = { mayMiss: true };
    expect(compare([at(1), at(4, 9)], [at(1), at(3, 9), at(6)], how)).toBe(3n);
    expect(compare([at(1), at(3, 9), at(5)], [at(1), at(4, 9), at(6)], how)).toBe(3n);
    // What they have in common later says more.
    expect(compare([at(1), at(4, 9), at(5)], [at(1), at(3, 9), at(5)], how)).toBeUndefined();
  });

  test('part so also where another publication had left out more than are remembered, before one that both have', () => {
    const leftOut = Array.from({ length: 1000 }, (_, i) => at(i + 1));
    const logged = [...leftOut, at(1001), at(1003, 5000)];
    expect(compare(logged, [at(1001), at(1002, 5000), at(2000)], { mayMiss: true })).toBe(1002n);
  });

  test('before the first that the log still holds say nothing', () => {
    expect(compare([at(5), at(6)], [at(1), at(2), at(5), at(6)])).toBeUndefined();
  });

  test('part right behind the last that both have: the server may have others before the first that differs', () => {
    expect(commonBelow([at(1), at(2), at(5)], [at(1), at(2), at(3), at(4)])).toBe(3n);
    expect(commonBelow([at(1), at(5)], [at(1), at(9)])).toBe(2n);
  });

  test('part nobody knows where without one that both have, or under another publication', () => {
    expect(commonBelow([at(5)], [at(9)])).toBeUndefined();
    expect(commonBelow([at(1), at(4, 9)], [at(1), at(3, 9), at(6)], { mayMiss: true })).toBeUndefined();
  });

  test('part where the server has one that the log does not, if the log has retained all from there on', () => {
    expect(commonBelow([at(3)], [at(3), at(5)])).toBeUndefined();
    const upTo = (wholeAfter: bigint) => {
      const comparison = new BeginComparison([at(3)], toLsn(9n), { wholeAfter: toLsn(wholeAfter) });
      for (const begin of [at(3), at(5)]) comparison.came(begin);
      return comparison.end();
    };
    expect(upTo(2n)).toEqual({ at: 5n, lsn: 4n });
    expect(upTo(5n)).toBeUndefined();
    // What follows the log's end is new to it.
    const whole = new BeginComparison([at(3)], toLsn(3n), { wholeAfter: toLsn(2n) });
    for (const begin of [at(3), at(5)]) whole.came(begin);
    expect(whole.end()).toBeUndefined();
  });

  test('that another publication leaves out part nothing; where the last are left out, nothing is proved from there on', () => {
    const read = (sent: readonly Begin[]) => {
      const comparison = new BeginComparison([at(1), at(2), at(3)], toLsn(3n), { mayMiss: true });
      for (const begin of sent) comparison.came(begin);
      return [comparison.end(), comparison.unprovedAfter];
    };
    expect(read([at(1), at(2), at(3)])).toEqual([undefined, undefined]);
    expect(read([at(3)])).toEqual([undefined, undefined]);
    expect(read([at(1), at(4)])).toEqual([undefined, 1n]);
    expect(read([])).toEqual([undefined, 0n]);
    // Of its own, where the log has others.
    expect(read([at(1), at(2, 9)])[0]).toMatchObject({ at: 2n });
  });

  test('property: a server that is a copy up to some place and goes its own way parts exactly there', () => {
    const gap = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(
        fc.array(gap, { minLength: 1, maxLength: 30 }),
        fc.nat(30),
        fc.array(gap, { maxLength: 30 }),
        fc.nat(30),
        (steps, common, others, from) => {
          let lsn = 0;
          const logged = steps.map((step) => at((lsn += step)));
          const shared = logged.slice(0, common);
          lsn = Number(shared.at(-1)?.commitLsn ?? 0n);
          // What the server wrote instead: its transactions have other times.
          const own = others.map((step) => at((lsn += step), 1, 8n));
          const sent = [...shared, ...own].slice(Math.min(from, common));
          const expected = logged.slice(Math.min(from, common));
          const parting = logged[common]?.commitLsn;
          expect(compare(expected, sent)).toBe(parting);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
