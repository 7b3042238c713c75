// One Postgres server for the whole test run; each test file makes databases of its own in it.
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // The matrix points this at another version's installation.
  const installation = process.env['TAILRACE_TEST_POSTGRES'];
  const server = await startEmbeddedPostgres(installation === undefined ? {} : { installation });
  project.provide('postgresUrl', server.url());
  return () => server.remove();
}
