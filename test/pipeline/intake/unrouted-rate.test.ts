// Dead letters of rows without a route or group: a few are let through, most of all hold the sink.
import { expect, test } from 'vitest';
import type { DeliveryError } from '../../../src/core/errors.ts';
import { MAX_UNROUTED_LETTERS, UnroutedRate } from '../../../src/pipeline/intake/unrouted-rate.ts';

const refusal = (code: string): DeliveryError => ({ kind: 'rejected', scope: 'message', code, hint: 'why' });
const NULL_ROUTE = refusal('ROUTE_VALUE_NULL');

/** Messages of which one in `every` has no route, `gapMs` apart: as which of them the sink is held; undefined: it is not. */
function heldAt(every: number, gapMs: number, code = NULL_ROUTE): number | undefined {
  let now = 0;
  const rate = new UnroutedRate(() => now);
  for (let i = 1; i <= 10 * MAX_UNROUTED_LETTERS; i++) {
    now += gapMs;
    if (rate.isExceededBy(i % every === 0 ? code : undefined)) return i;
  }
  return undefined;
}

test('it is held by one more than a thousand within a minute, where they are most of what came', () => {
  expect(heldAt(1, 0)).toBe(MAX_UNROUTED_LETTERS + 1);
  expect(heldAt(1, 59)).toBe(MAX_UNROUTED_LETTERS + 1);
  expect(heldAt(1, 61)).toBeUndefined();
});

test('it is not held where as many have a route', () => {
  expect(heldAt(2, 0)).toBeUndefined();
  expect(heldAt(10, 0)).toBeUndefined();
});

test.each(['ROUTE_VALUE_ABSENT', 'ROUTE_VALUE_UNFIT', 'ROUTE_NOT_ALLOWED', 'GROUP_VALUE_ABSENT'])(
  '%s counts, in any mixture',
  (code) => {
    expect(heldAt(1, 0, refusal(code))).toBe(MAX_UNROUTED_LETTERS + 1);
  },
);

test('what a schema that changed makes of rows does not count: on_schema_break has decided of it', () => {
  expect(heldAt(1, 0, refusal('ROUTE_COLUMN_MISSING'))).toBeUndefined();
});

test('after a lull as many are let through again', () => {
  let now = 0;
  const rate = new UnroutedRate(() => now);
  const fill = (): boolean[] =>
    Array.from({ length: MAX_UNROUTED_LETTERS }, () => rate.isExceededBy(NULL_ROUTE));
  expect(fill()).not.toContain(true);
  now += 60_000;
  expect(fill()).not.toContain(true);
  expect(rate.isExceededBy(NULL_ROUTE)).toBe(true);
});
