import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { generatedFiles } from '../../scripts/generate-docs.ts';
import { describeSelection } from '../../src/core/selection.ts';
import { loadSettings } from '../../src/config/load.ts';
import { faultsOf, loadFiles } from './load-config.ts';

const root = resolve(import.meta.dirname, '../..');

const named = (name: string): string => `
databases: [{ name: ${name}, hostname: localhost, database: d, slot_name: s, publication_name: p }]
sinks: [{ name: s, database: ${name}, destination: { type: sqs, queue_name: q } }]
`;

test('the configuration is the first one that is there: -c, path, base64, tailrace.yaml, pg2sqs', async () => {
  const pg2sqs =
    'postgres: { conn: { host: localhost, database: five, user: u }, repl: { slot: s, pub: p } }\ntables: [{ t: { queue: { name: q } } }]\n';
  const files = {
    '/srv/given.yaml': named('one'),
    '/srv/path.yaml': named('two'),
    '/srv/tailrace.yaml': named('four'),
    '/srv/config.yaml': pg2sqs,
  };
  const base64 = { CONFIG_FILE_YAML: Buffer.from(named('three')).toString('base64') };
  const path = { ...base64, CONFIG_FILE_PATH: 'path.yaml' };
  const name = async (input: Parameters<typeof loadFiles>[1], from: Record<string, string> = files) => {
    const { settings, source } = await loadFiles(from, input);
    return [settings.databases[0]?.name, source];
  };
  const { '/srv/tailrace.yaml': _, ...withoutOwn } = files;
  expect(await name({ configFile: 'given.yaml', env: path })).toEqual(['one', 'given.yaml']);
  expect(await name({ env: path })).toEqual(['two', 'path.yaml']);
  expect(await name({ env: base64 })).toEqual(['three', 'CONFIG_FILE_YAML']);
  expect(await name({})).toEqual(['four', 'tailrace.yaml']);
  expect(await name({}, withoutOwn)).toEqual(['five', 'config.yaml']);
  expect(await name({ configFile: 'config.yaml' })).toEqual(['five', 'config.yaml']);
});

test('a named file that is not there is a fault that says who named it', async () => {
  expect(await faultsOf(loadFiles({}, { configFile: 'no.yaml' }))).toMatchObject([
    { file: 'no.yaml', message: 'there is no file /srv/no.yaml; -c names it' },
  ]);
});

test("another program's config.yaml is not taken for a configuration", async () => {
  const faults = await faultsOf(loadFiles({ '/srv/config.yaml': 'server: { port: 1 }\n' }));
  expect(faults).toMatchObject([{ message: expect.stringContaining('there is no configuration') }]);
});

test('what is no base64 is a fault', async () => {
  expect(await faultsOf(loadFiles({}, { env: { CONFIG_FILE_YAML: 'databases: []' } }))).toMatchObject([
    { path: 'CONFIG_FILE_YAML', message: 'this is not base64' },
  ]);
});

test('variables of pg2sqs beside a tailrace.yaml are noted', async () => {
  const { notes } = await loadFiles({ '/srv/tailrace.yaml': named('a') }, { env: { PG2SQS_DEBUG: 'true' } });
  expect(notes).toEqual(['PG2SQS_* variables have no effect beside tailrace.yaml']);
});

test('the example is a valid configuration', async () => {
  const env = { SHOP_DB_PASSWORD: 'x', SHOP_DB_CA: '-----BEGIN CERTIFICATE-----' };
  const { settings, notes } = await loadSettings({ configFile: 'examples/tailrace.yaml', cwd: root, env });
  expect(notes).toEqual([]);
  expect(describeSelection(settings.sinks[0]!.selection)).toBe('public.orders, public.order_lines');
  expect(settings.sinks[0]?.tables).toEqual([
    { pattern: { schema: ['public'], table: ['order_lines'] }, groupColumns: ['order_id'] },
  ]);
});

test('the published schema and the documentation are those of the code (npm run docs)', async () => {
  const generated = Object.fromEntries(await generatedFiles());
  const checkedIn = Object.keys(generated).map((path) => [path, readFileSync(resolve(root, path), 'utf8')]);
  expect(Object.keys(generated)).toEqual([
    'schema/tailrace.schema.json',
    'docs/configuration.md',
    'docs/conformance.md',
    'docs/filters.md',
    'docs/metrics.md',
    'deploy/prometheus-alerts.yaml',
  ]);
  expect(Object.fromEntries(checkedIn)).toEqual(generated);
});
