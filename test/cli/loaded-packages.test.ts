// What a command loads: a start takes as long as that, and a service keeps it in memory.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const SOURCE = resolve(import.meta.dirname, '../../src');
const MAIN = join(SOURCE, 'main.ts');
const directory = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const record = join(directory, 'loaded');

/** In every thread: a line for each module. */
const recorder = `data:text/javascript,${encodeURIComponent(`
  import { appendFileSync } from 'node:fs';
  import { registerHooks } from 'node:module';
  registerHooks({
    load(url, context, next) {
      appendFileSync(${JSON.stringify(record)}, url + '\\n');
      return next(url, context);
    },
  });
`)}`;

/** The packages of which Node loads a file, in any thread. */
function packagesOf(args: readonly string[], env: NodeJS.ProcessEnv = {}): string[] {
  writeFileSync(record, '');
  const { status, stderr } = spawnSync(process.execPath, ['--import', recorder, ...args], {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: directory, ...env },
  });
  if (status !== 0) throw new Error(`ended with ${status}: ${stderr}`);
  const urls = readFileSync(record, 'utf8').split('\n');
  expect(urls.length).toBeGreaterThan(2);
  const names = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
  return [...new Set(names)].toSorted();
}

const DATABASE = `
databases:
  - { name: shop, hostname: 127.0.0.1, port: 1, database: shop, username: u, password: p, slot: { name: s }, publication: { name: p } }`;

const configuration = (sink: string): string[] => {
  const file = join(directory, 'tailrace.yaml');
  writeFileSync(file, `${DATABASE}\nsinks:\n  - { name: a, database: shop, ${sink} }\n`);
  return ['-c', file];
};

const QUEUE = `destination: { type: sqs, queue_name: q.fifo, region: us-east-1, emulator_base_url: 'http://127.0.0.1:1' }`;

test('--version loads the command line, and nothing that a service needs', () => {
  expect(packagesOf([MAIN, '--version'])).toEqual(['commander']);
});

test('check loads what reads a configuration: no client of Postgres, no SDK, no HTTP server', () => {
  expect(packagesOf([MAIN, 'check', ...configuration(QUEUE)])).toEqual(['commander', 'yaml', 'zod']);
});

test('check loads the parser of filters where there is a filter', () => {
  const filtered = configuration(`where: "new.id > 1", source: { include_tables: [public.t] }, ${QUEUE}`);
  expect(packagesOf([MAIN, 'check', ...filtered])).toEqual([
    '@pgsql/types',
    'commander',
    'libpg-query',
    'yaml',
    'zod',
  ]);
});

test('keys that are written, or in the environment, need no SDK', () => {
  const credentials = JSON.stringify(pathToFileURL(join(SOURCE, 'sinks/aws/credentials.ts')).href);
  const load = (options: object): string[] => [
    '--input-type=module',
    '--eval',
    `const { credentialLoader } = await import(${credentials});
     await credentialLoader(${JSON.stringify(options)})();`,
  ];
  const none = { use_task_role: false };
  const environment = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
  expect(packagesOf(load({ ...none, access_key_id: 'a', secret_access_key: 'b' }))).toEqual([]);
  expect(packagesOf(load({ ...none, emulator_base_url: 'http://127.0.0.1:1' }))).toEqual([]);
  expect(packagesOf(load(none), environment)).toEqual([]);
  // And a profile does: what is recorded here is recorded.
  writeFileSync(join(directory, 'credentials'), '[p]\naws_access_key_id = a\naws_secret_access_key = b\n');
  const profile = { AWS_SHARED_CREDENTIALS_FILE: join(directory, 'credentials') };
  expect(packagesOf(load({ ...none, profile: 'p' }), profile)).toContain('@aws-sdk/credential-providers');
});
