// Reads what the runs printed into a file: names the tests that failed or needed a second try and the errors outside of any, then
// adds up the counts, the one line that CI ends with.
import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/** vitest names a failed test in the middle of its output: ` FAIL  |unit| test/core/lsn.test.ts > reads an LSN`. */
const FAILED = /^\s*FAIL\s+(.+)$/;
/** As vitest.config.ts names them. */
const TRIED_AGAIN = /^\s*SECOND TRY\s+(.+)$/;
/** As vitest.config.ts names them; what fails when all is over (a teardown, a worker that does not end) vitest names itself. */
const UNHANDLED = /^\s*UNHANDLED\s+(.+)$|(error during close.*|close timed out.*)/;
const COUNTS = /^\s*Tests\s/;

export type Outcome = {
  /** Each once, in the order of the output; files that did not even load too. */
  readonly failures: readonly string[];
  /** Passed at a second try only. */
  readonly triedAgain: readonly string[];
  /** Came outside of any test, and fail the run all the same. */
  readonly unhandled: readonly string[];
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
};

export function outcomeOf(printed: string): Outcome {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const failures = new Set<string>();
  const triedAgain = new Set<string>();
  const unhandled = new Set<string>();
  for (const line of stripVTControlCharacters(printed).split('\n')) {
    const name = FAILED.exec(line)?.[1];
    if (name !== undefined) failures.add(name.trim());
    const again = TRIED_AGAIN.exec(line)?.[1];
    if (again !== undefined) triedAgain.add(again);
    const [, inRun, atEnd] = UNHANDLED.exec(line) ?? [];
    const error = inRun ?? atEnd;
    if (error !== undefined) unhandled.add(error);
    if (!COUNTS.test(line)) continue;
    for (const [, count, what] of line.matchAll(/(\d+) (passed|failed|skipped)/g)) {
      counts[what as keyof typeof counts] += Number(count);
    }
  }
  return { failures: [...failures], triedAgain: [...triedAgain], unhandled: [...unhandled], ...counts };
}

export function describeOutcome({
  failures,
  triedAgain,
  unhandled,
  passed,
  failed,
  skipped,
}: Outcome): string {
  const names = [
    ...failures.map((name) => `failed: ${name}`),
    ...triedAgain.map((name) => `passed at the second try only: ${name}`),
    ...unhandled.map((error) => `outside of any test: ${error}`),
  ];
  return [...names, `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`].join(
    '\n',
  );
}

if (import.meta.main) {
  const file = process.argv[2];
  if (file === undefined) {
    console.error('usage: count-tests.ts FILE');
    process.exit(2);
  }
  console.log(describeOutcome(outcomeOf(readFileSync(file, 'utf8'))));
}
