// What a filter says of a row now and before, and of changes that are not on their way any more; the filter is one that answers by the action.
import { expect, test } from 'vitest';
import { createRowEvent, type RowAction } from '../../../src/core/change.ts';
import type { Verdict } from '../../../src/functions/where/filter.ts';
import { EnumPlaces, UnknownLabel } from '../../../src/functions/where/values/enums.ts';
import { divisionByZero } from '../../../src/functions/where/values/failure.ts';
import { isKeptOut, passesNowOrBefore } from '../../../src/pipeline/intake/where.ts';

type Answer = Verdict | Error;

/** `now`: of the row as the change leaves it; `before`: of the row as a delete would have it. */
function asked(action: RowAction, now: Answer, before: Answer) {
  const event = createRowEvent();
  event.action = action;
  const seen: RowAction[] = [];
  const filter = {
    judge: (): Verdict => {
      seen.push(event.action);
      const answer = seen.length === 1 ? now : before;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const change = { action, schema: 'public', table: 'users', commitTimeUs: 0n, annotations: undefined };
  return { event, seen, filter, change };
}

test('an update is true now or before; of another change there is no before', () => {
  const update = asked('update', 'drop', 'pass');
  expect(passesNowOrBefore(update.filter as never, update.event, update.change)).toBe('pass');
  expect(update.seen).toEqual(['update', 'delete']);
  expect(update.event.action).toBe('update');
  const insert = asked('insert', 'drop', 'pass');
  expect(passesNowOrBefore(insert.filter as never, insert.event, insert.change)).toBe('drop');
  expect(insert.seen).toEqual(['insert']);
  expect(insert.event.action).toBe('insert');
});

test('an error in the old row leaves it unknown, but a label that can be looked up is asked for', () => {
  const failed = asked('update', 'drop', divisionByZero());
  expect(passesNowOrBefore(failed.filter as never, failed.event, failed.change)).toBe('drop');
  const unknown = asked('update', 'drop', new UnknownLabel(new EnumPlaces(1, [])));
  expect(() => passesNowOrBefore(unknown.filter as never, unknown.event, unknown.change)).toThrow(
    UnknownLabel,
  );
  expect(unknown.event.action).toBe('update');
});

test.each<[RowAction, Answer, Answer, 'ignore' | 'convert', boolean, boolean]>([
  ['update', 'drop', 'pass', 'ignore', false, true],
  ['update', 'drop', 'pass', 'convert', false, false],
  ['update', 'pass', 'drop', 'convert', true, false],
  ['update', 'pass', 'pass', 'convert', true, true],
  ['update', 'absent', 'pass', 'ignore', false, false],
  ['delete', 'absent', 'pass', 'ignore', false, true],
  ['insert', divisionByZero(), 'pass', 'ignore', false, false],
  ['insert', divisionByZero(), 'pass', 'ignore', true, true],
])(
  'of %s, %s now and %s before, with where_moves: %s (unchanged: %s): kept out: %s',
  (action, now, before, whereMoves, isUnchanged, isOut) => {
    const { filter, event, change } = asked(action, now, before);
    const settings = { onAbsent: 'dead_letter', deletesOutside: 'drop', whereMoves } as const;
    expect(isKeptOut(filter as never, event, change, settings, isUnchanged)).toBe(isOut);
  },
);
