// What CI ends with: the names of the tests that failed or needed a second try, and one line of counts.
import { expect, test } from 'vitest';
import { describeOutcome, outcomeOf, toBeTriedAgain } from '../../scripts/count-tests.ts';

const RED = '\u001B[31m';
const PLAIN = '\u001B[0m';

/** Two runs of vitest, as they print; the second repeats a name that the first had. */
const PRINTED = `
 ${RED}FAIL${PLAIN}  |unit| test/core/lsn.test.ts > reads an LSN
AssertionError: expected 1 to be 2
 FAIL  |pg| test/e2e/kill.pg.test.ts [ test/e2e/kill.pg.test.ts ]
 Test Files  2 failed | 200 passed (202)
      ${RED}Tests${PLAIN}  1 failed | 2400 passed | 3 skipped (2404)

 FAIL  |pg| test/postgres/slot.pg.test.ts > a slot that is gone is said to be gone
 FAIL  |pg| test/e2e/kill.pg.test.ts [ test/e2e/kill.pg.test.ts ]
      Tests  1 failed | 100 passed (101)
`;

test('the names of the tests that failed come once each, before the one line of counts', () => {
  expect(describeOutcome(outcomeOf(PRINTED)).split('\n')).toEqual([
    'failed: |unit| test/core/lsn.test.ts > reads an LSN',
    'failed: |pg| test/e2e/kill.pg.test.ts [ test/e2e/kill.pg.test.ts ]',
    'failed: |pg| test/postgres/slot.pg.test.ts > a slot that is gone is said to be gone',
    '2500 passed, 2 failed, 3 skipped',
  ]);
});

test('a test that passed at its second try only is named, too', () => {
  const printed = `
 SECOND TRY  test/e2e/kill.pg.test.ts > a kill loses no row: expected 1 to be 2
      Tests  2 passed (2)
`;
  expect(describeOutcome(outcomeOf(printed)).split('\n')).toEqual([
    'passed at the second try only: test/e2e/kill.pg.test.ts > a kill loses no row: expected 1 to be 2',
    '2 passed, 0 failed',
  ]);
});

test('an error outside of any test, with which a run fails though all of its tests passed, is named, too', () => {
  const printed = `
 UNHANDLED  Error: read ECONNRESET at read (test/support/wire.ts:3:4) (beside test/e2e/kill.pg.test.ts)
      Tests  2 passed (2)
     Errors  1 error
error during close Error: ENOTEMPTY: directory not empty
`;
  expect(describeOutcome(outcomeOf(printed)).split('\n')).toEqual([
    'outside of any test: Error: read ECONNRESET at read (test/support/wire.ts:3:4) (beside test/e2e/kill.pg.test.ts)',
    'outside of any test: error during close Error: ENOTEMPTY: directory not empty',
    '2 passed, 0 failed',
  ]);
});

test('where such errors are all that failed, the files beside which they came are to be tried again', () => {
  const unhandled = ` UNHANDLED  Error: gone at a (b.ts:3:4) (beside /here/test/a.pg.test.ts > it works (C1))
 UNHANDLED  Error: gone (beside /here/test/b.pg.test.ts)
 UNHANDLED  Error: gone (beside /here/test/b.pg.test.ts > again)
`;
  expect(toBeTriedAgain(outcomeOf(`${unhandled}  Tests  2 passed (2)\n`))).toEqual([
    '/here/test/a.pg.test.ts',
    '/here/test/b.pg.test.ts',
  ]);
  expect(toBeTriedAgain(outcomeOf(`${unhandled}  Tests  1 failed | 1 passed (2)\n`))).toBeUndefined();
  expect(toBeTriedAgain(outcomeOf(`${unhandled} FAIL  |pg| c.test.ts\n`))).toBeUndefined();
  expect(toBeTriedAgain(outcomeOf(`${unhandled} UNHANDLED  Error: a worker is gone\n`))).toBeUndefined();
  expect(
    toBeTriedAgain(outcomeOf(`${unhandled} UNHANDLED  Error: e (beside /here/c.test.ts)\n`)),
  ).toBeUndefined();
  expect(toBeTriedAgain(outcomeOf(' UNHANDLED  Error: gone\n  Tests  2 passed (2)\n'))).toBeUndefined();
});

test('where nothing failed there is the line of counts only', () => {
  expect(describeOutcome(outcomeOf('      Tests  12 passed (12)\n'))).toBe('12 passed, 0 failed');
});
