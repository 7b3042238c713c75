// What docs/metrics.md describes is what a real service with every kind of sink exposes, and the reverse.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sinkDefinitions } from '../../src/sinks/registry.ts';
import { METRICS } from '../../src/telemetry/metrics/metrics.ts';
import { configText } from '../support/config.ts';
import { readExposition } from '../support/exposition.ts';
import { startSqsEmulator } from '../support/fauxqs.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';
import { startWebhookServer } from '../support/webhook-server.ts';
import { createTables, TABLES } from '../support/workload.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8');

test('a service with every kind of sink exposes each metric of docs/metrics.md, with the labels that it names, and no other (C254)', async ({
  task,
}) => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  await createTables(database.client);
  const emulator = await startSqsEmulator();
  onTestFinished(() => emulator.stop());
  const webhooks = await startWebhookServer();
  onTestFinished(() => webhooks.stop());
  const directory = createWorkDirectory();
  onTestFinished(() => directory.remove());
  const sinks = [
    { name: 'sqs', tables: TABLES },
    { name: 'sns', tables: TABLES, topic: 'changes.fifo' },
    {
      name: 'webhook',
      tables: TABLES,
      to: `type: webhook\nurl: ${webhooks.url}`,
    },
    { name: 'stream', tables: TABLES, type: 'sequin_stream' },
  ];
  expect(sinks).toHaveLength(sinkDefinitions.length);
  const service = startService({
    directory: directory.path,
    config: configText({ database, endpoint: emulator.url, sinks }),
  });
  onTestFinished(() => service.end(task));
  await service.ready();
  let id = 0;
  const url = `${await service.apiUrl()}/metrics`;
  const families = await waitFor(async () => {
    // How long answers take is known after some of them.
    await database.client.query(`insert into users values ($1, 1, 'a')`, [++id]);
    const response = await fetch(url);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const read = readExposition(await response.text());
    const has = (name: string): number => read.get(name)?.samples.length ?? 0;
    return has('tailrace_sink_latency_seconds') === 9 && has('tailrace_sink_answer_seconds') > 0 && read;
  }, 'three sinks that have delivered');

  const declared = Object.values(METRICS).flatMap(({ labels, metrics }) =>
    metrics.map((metric) => ({ ...metric, labelNames: [...labels, ...Object.keys(metric.labels ?? {})] })),
  );
  expect([...families.keys()].toSorted()).toEqual(declared.map(({ name }) => name).toSorted());
  for (const { name, kind, help, labels = {}, labelNames } of declared) {
    const family = families.get(name)!;
    expect([name, family.type, family.help]).toEqual([name, kind, help]);
    expect([name, family.samples.length > 0]).toEqual([name, true]);
    for (const sample of family.samples) {
      expect([name, Object.keys(sample.labels).toSorted()]).toEqual([name, labelNames.toSorted()]);
    }
    for (const [label, values] of Object.entries(labels)) {
      if (typeof values === 'string') continue;
      const exposed = new Set(family.samples.map((sample) => sample.labels[label]));
      expect([name, exposed]).toEqual([name, new Set(values)]);
    }
  }
  const described = [...page.matchAll(/^\| `(\w+)` +\| (\w+) /gm)].map(([, name, kind]) => [name, kind]);
  expect(described).toEqual(declared.map(({ name, kind }) => [name, kind]));
});
