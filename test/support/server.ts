// A Postgres server of a test's own, of the version that the run is on.
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../src/cli/demo/embedded-postgres.ts';

/** The matrix points this at another version's installation. */
const installation = process.env['TAILRACE_TEST_POSTGRES'];

export const startTestServer = (
  options: Omit<EmbeddedPostgresOptions, 'installation'> = {},
): Promise<EmbeddedPostgres> =>
  startEmbeddedPostgres({ ...options, ...(installation === undefined ? {} : { installation }) });
