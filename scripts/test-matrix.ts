// Runs the tests that face Postgres (of the project `pg`) on other versions than 18: `npm run test:matrix [-- 13 14 … [test/some/folder …]]`.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const VERSIONS = ['13', '14', '15', '16', '17', '18'];
const FACING_POSTGRES = [
  'test/conformance',
  'test/postgres',
  'test/functions',
  'test/pipeline/intake',
  'test/pipeline/source',
  'test/formats/debezium-values.pg.test.ts',
  'test/formats/replica-identity.pg.test.ts',
  'test/formats/wal2json-values.pg.test.ts',
  'test/cli/types',
  'test/e2e/delivery.pg.test.ts',
  'test/e2e/failover.pg.test.ts',
  'test/e2e/partitions.pg.test.ts',
  'test/getting-started.pg.test.ts',
];

const kind = `${process.platform}-${process.arch}`;
const root = resolve(import.meta.dirname, '..');
const matrix = join(root, 'test/matrix');

function run(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): number {
  return spawnSync(command, args, { stdio: 'inherit', ...options }).status ?? 1;
}

const named = process.argv.slice(2);
const asked = named.filter((name) => !name.startsWith('test/'));
const paths = named.filter((name) => name.startsWith('test/'));
const unknown = asked.filter((version) => !VERSIONS.includes(version));
if (unknown.length > 0) {
  console.error(`no such version: ${unknown.join(', ')}; there are ${VERSIONS.join(', ')}`);
  process.exit(2);
}
if (run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: matrix }) !== 0) process.exit(1);
let failed = false;
for (const version of asked.length > 0 ? asked : VERSIONS) {
  console.log(`\nPostgres ${version}`);
  const env = { ...process.env };
  if (version !== '18')
    env['TAILRACE_TEST_POSTGRES'] = join(matrix, 'node_modules', `postgres-${version}-${kind}`, 'native');
  if (
    run('npx', ['vitest', 'run', '--project', 'pg', ...(paths.length > 0 ? paths : FACING_POSTGRES)], {
      cwd: root,
      env,
    }) !== 0
  )
    failed = true;
}
process.exit(failed ? 1 : 0);
