// How the tests run: `unit` by themselves, several files in one process; `alone`, those that replace modules, timers or globals, a
// process each; `pg` with one Postgres server for the whole run.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type Reporter, type TestSpecification } from 'vitest/node';

/** What starts or needs a Postgres server says so in its name. */
const NEEDS_POSTGRES = 'test/**/*.pg.test.ts';

const UNIT = 'test/**/*.test.ts';

/** Who replaces something that others use may not share a process with them. */
const REPLACES = /\bvi\.(?:mock|doMock|spyOn|stub\w+|useFakeTimers)\b/;
const ALONE = globSync(UNIT, {
  cwd: import.meta.dirname,
  exclude: [NEEDS_POSTGRES, '**/node_modules/**'],
}).filter((file) => REPLACES.test(readFileSync(join(import.meta.dirname, file), 'utf8')));

/** Of each project the files that take longest start first, so that the others run beside them. */
const LONGEST = ['e2e/outage.pg.test.ts', 'model/restarts.test.ts', 'log/recovery.test.ts'];

const isLongest = ({ moduleId }: TestSpecification): boolean =>
  LONGEST.some((file) => moduleId.endsWith(file));

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => Number(isLongest(b)) - Number(isLongest(a)));
  }
}

/** Says what the counts do not show, for scripts/count-tests.ts to gather: which test passed at its second try only, and what the
 * first one met; which errors came outside of any test, with which a run fails though each of its tests passed. */
const besideCounts: Reporter = {
  onTestCaseResult(test) {
    const { retryCount = 0 } = test.diagnostic() ?? {};
    const result = test.result();
    if (retryCount === 0 || result.state !== 'passed') return;
    const met = result.errors?.[0]?.message.split('\n')[0] ?? '';
    console.log(` SECOND TRY  ${test.module.relativeModuleId} > ${test.fullName}: ${met}`);
  },
  onTestRunEnd(_modules, errors) {
    for (const { name, message, stack = '', VITEST_TEST_NAME, VITEST_TEST_PATH } of errors) {
      const met = message.split('\n')[0] ?? '';
      const at = stack.split('\n').find((line) => /^\s*at /.test(line) && !line.includes('node_modules'));
      const beside = [VITEST_TEST_PATH, VITEST_TEST_NAME]
        .flatMap((part) => (typeof part === 'string' ? [part] : []))
        .join(' > ');
      console.log(
        ` UNHANDLED  ${name}: ${met}${at ? ` ${at.trim()}` : ''}${beside ? ` (beside ${beside})` : ''}`,
      );
    }
  },
};

export default defineConfig({
  test: {
    reporters: ['default', besideCounts],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 3,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [UNIT],
          exclude: [...configDefaults.exclude, NEEDS_POSTGRES, ...ALONE],
          isolate: false,
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE },
      },
      {
        extends: true,
        test: {
          name: 'pg',
          include: [NEEDS_POSTGRES],
          globalSetup: ['test/support/global-postgres.ts'],
          // On a machine with noisy neighbours a process may get no time at all; whoever sets this reads which tests needed it.
          retry: Number(process.env['TAILRACE_TEST_RETRIES'] ?? 0),
        },
      },
    ],
  },
});
