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
const BESIDE = /\(beside (\S+?\.test\.ts)(?: > .*)?\)$/;
const COUNTS = /^\s*Tests\s/;

export type Outcome = {
  /** Each once, in the order of the output; files that did not even load too. */
  readonly failures: readonly string[];
  /** Passed at a second try only. */
  readonly triedAgain: readonly string[];
  /** Came outside of any test, and fail the run all the same. */
  readonly unhandled: readonly string[];
  /** The files beside whose tests they came; `undefined` among them: of some nobody knows. */
  readonly beside: readonly (string | undefined)[];
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
};

export function outcomeOf(printed: string): Outcome {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const failures = new Set<string>();
  const triedAgain = new Set<string>();
  const unhandled = new Set<string>();
  const beside = new Set<string | undefined>();
  for (const line of stripVTControlCharacters(printed).split('\n')) {
    const name = FAILED.exec(line)?.[1];
    if (name !== undefined) failures.add(name.trim());
    const again = TRIED_AGAIN.exec(line)?.[1];
    if (again !== undefined) triedAgain.add(again);
    const [, inRun, atEnd] = UNHANDLED.exec(line) ?? [];
    const error = inRun ?? atEnd;
    if (error !== undefined) {
      unhandled.add(error);
      beside.add(BESIDE.exec(error)?.[1]);
    }
    if (!COUNTS.test(line)) continue;
    for (const [, count, what] of line.matchAll(/(\d+) (passed|failed|skipped)/g)) {
      counts[what as keyof typeof counts] += Number(count);
    }
  }
  return {
    failures: [...failures],
    triedAgain: [...triedAgain],
    unhandled: [...unhandled],
    beside: [...beside],
    ...counts,
  };
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

/**
 * What to run once more where errors outside of any test are all that failed, beside tests that have a second try themselves; undefined: it
 * would tell nothing. Other files share a process, so that such an error may be of the one before.
 */
export function toBeTriedAgain({ failures, failed, beside }: Outcome): readonly string[] | undefined {
  const files = beside.filter((file) => file?.endsWith('.pg.test.ts') === true) as string[];
  const areAll = failures.length === 0 && failed === 0 && files.length === beside.length;
  return areAll && files.length > 0 ? files : undefined;
}

if (import.meta.main) {
  const [first, second] = process.argv.slice(2);
  const isAsked = first === '--again';
  const file = isAsked ? second : first;
  if (file === undefined) {
    console.error('usage: count-tests.ts [--again] FILE');
    process.exit(2);
  }
  const outcome = outcomeOf(readFileSync(file, 'utf8'));
  const files = toBeTriedAgain(outcome);
  if (isAsked && files === undefined) process.exit(1);
  console.log(isAsked ? files!.join(' ') : describeOutcome(outcome));
}
