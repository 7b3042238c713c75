// How the tests run: one Postgres server for the whole run, two files at a time on two cores.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The one file that mostly waits starts first, so that the others run beside it. */
const WAITS_LONGEST = 'outage.test.ts';

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted(
      (a, b) => Number(b.moduleId.endsWith(WAITS_LONGEST)) - Number(a.moduleId.endsWith(WAITS_LONGEST)),
    );
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-postgres.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 3,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
  },
});
