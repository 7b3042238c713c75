import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';
import { loadSettingsApart } from '../../src/config/loading.ts';

const DATABASE =
  '{ name: shop, hostname: db.example, database: shop, username: u, password: $SECRET, slot: { name: s }, publication: { name: p } }';

function fileOf(text: string) {
  const cwd = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
  onTestFinished(() => rmSync(cwd, { recursive: true }));
  writeFileSync(join(cwd, 'tailrace.yaml'), text);
  return { cwd, env: { SECRET: 'x' }, configFile: 'tailrace.yaml' };
}

test('what a thread of its own reads is what is read here: sinks of every type, filters, column rules', async () => {
  const input = fileOf(`
databases: [${DATABASE}]
http_endpoints: [{ name: hook, url: 'https://hook.example/' }]
sinks:
  - { name: a, source: { include_tables: [public.t] }, where: "new.id > 1", destination: { type: sqs, queue_name: 'q-\${row.id}', region: us-east-1 } }
  - { name: b, tables: [{ name: public.t, mask: { email: redact }, rename: { a: b } }], destination: { type: sns, topic_name: t, region: us-east-1 } }
  - { name: c, format: debezium, destination: { type: webhook, http_endpoint: hook } }
  - { name: d, destination: { type: stream } }
`);
  const here = await loadSettings(input).catch((error: Error) => error.message);
  expect(here).toMatchObject({ settings: { sinks: [{}, {}, {}, {}] } });
  expect(await loadSettingsApart(input)).toEqual(here);
});

test('faults come back from the thread as they are found there', async () => {
  const input = fileOf(`databases: [${DATABASE}]\nsinks: [{ nme: a }]\n`);
  const here = await loadSettings(input).catch((error: unknown) => error);
  const apart = await loadSettingsApart(input).catch((error: unknown) => error);
  expect(apart).toMatchObject({ name: 'ConfigError', faults: (here as { faults: unknown }).faults });
  expect((apart as Error).message).toContain('nme');
});
