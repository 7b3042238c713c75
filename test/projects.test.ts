// Which project a test file belongs to is told by its name: `*.pg.test.ts` needs a Postgres server, and no other does.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, inject, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

/** What gives a test a server: the run's own one, or one that the test starts. */
const POSTGRES = new Set(['test/support/postgres.ts', 'src/cli/demo/embedded-postgres.ts']);

/** Types are no server: `import type` does not count. */
function importsOf(file: string): string[] {
  const text = readFileSync(resolve(root, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^;]*?from\s+)?'(\.[^']+\.ts)'/gm);
  return [...statements]
    .map(([, specifier]) => relative(root, resolve(root, dirname(file), specifier!)))
    .filter((imported) => existsSync(resolve(root, imported)));
}

/** How a file comes to a Postgres server, import by import; undefined: not at all. */
function wayToPostgres(file: string, seen = new Set<string>()): string | undefined {
  for (const imported of importsOf(file)) {
    if (POSTGRES.has(imported)) return `${file} → ${imported}`;
    if (seen.has(imported)) continue;
    seen.add(imported);
    const way = wayToPostgres(imported, seen);
    if (way !== undefined) return `${file} → ${way}`;
  }
  return undefined;
}

const files = readdirSync(resolve(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => `test/${file}`);
const needsPostgres = (file: string): boolean => file.endsWith('.pg.test.ts');

test('a unit test does not come to a Postgres server, however indirectly', () => {
  const unit = files.filter((file) => !needsPostgres(file));
  expect(unit.map((file) => wayToPostgres(file)).filter((way) => way !== undefined)).toEqual([]);
});

test('a test that is called one of Postgres uses it', () => {
  const idle = files.filter((file) => needsPostgres(file) && wayToPostgres(file) === undefined);
  expect(idle).toEqual([]);
});

test('no server is started for the unit tests', () => {
  expect(inject('postgresUrl')).toBeUndefined();
});
