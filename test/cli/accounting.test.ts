import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Accounting, exactlyOnce, inOrder, type DemoChange } from '../../src/cli/demo/accounting.ts';

const insert = (id: number): DemoChange => ({ table: 'users', id, action: 'insert', version: 1 });
const update = (id: number, version: number): DemoChange => ({
  table: 'users',
  id,
  action: 'update',
  version,
});
const remove = (id: number, version: number): DemoChange => ({
  table: 'users',
  id,
  action: 'delete',
  version,
});
/** As its message says it. */
const arrived = (change: DemoChange): DemoChange =>
  change.action === 'delete' ? { ...change, version: undefined } : change;

function account(expected: readonly DemoChange[], received: readonly (readonly [DemoChange, string])[]) {
  const accounting = new Accounting();
  accounting.expect(expected);
  for (const [change, key] of received) accounting.receive(arrived(change), key);
  return accounting.verdict();
}

const HISTORY = [insert(1), update(1, 2), insert(2), update(1, 3), remove(1, 4), update(2, 2)];
const keyed = (changes: readonly DemoChange[]) =>
  changes.map((change) => [change, `${change.id}:${change.version}`] as const);

test('every change once, rows in order: yes and yes, however the rows interleave', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (choices) => {
      const first = HISTORY.filter(({ id }) => id === 1);
      const second = HISTORY.filter(({ id }) => id === 2);
      const merged = choices.flatMap((fromFirst) => {
        const next = (fromFirst ? first : second).shift();
        return next === undefined ? [] : [next];
      });
      const verdict = account(HISTORY, keyed([...merged, ...first, ...second]));
      expect(exactlyOnce(verdict) && inOrder(verdict)).toBe(true);
    }),
  );
});

test('whatever is left out, repeated or swapped within a row is noticed', () => {
  const place = fc.nat({ max: HISTORY.length - 1 });
  fc.assert(
    fc.property(place, (at) => {
      const without = account(HISTORY, keyed(HISTORY.filter((_, i) => i !== at)));
      expect([without.outstanding, exactlyOnce(without)]).toEqual([1, false]);
      const repeated = account(HISTORY, keyed([...HISTORY, HISTORY[at]!]));
      expect([repeated.duplicates, exactlyOnce(repeated)]).toEqual([1, false]);
    }),
  );
  fc.assert(
    fc.property(place, place, (a, b) => {
      fc.pre(a !== b && HISTORY[a]!.id === HISTORY[b]!.id);
      const swapped = [...HISTORY];
      [swapped[a], swapped[b]] = [swapped[b]!, swapped[a]!];
      const verdict = account(HISTORY, keyed(swapped));
      expect([inOrder(verdict), exactlyOnce(verdict)]).toEqual([false, true]);
    }),
  );
});

test('a repeat under a new idempotency key and a change that was rolled back are unexpected', () => {
  const repeated = account(HISTORY, [...keyed(HISTORY), [update(1, 3), 'another key']]);
  expect([repeated.unexpected, exactlyOnce(repeated)]).toEqual([1, false]);
  const rolledBack = account(HISTORY, keyed([...HISTORY, insert(9)]));
  expect([rolledBack.unexpected, exactlyOnce(rolledBack)]).toEqual([1, false]);
});
