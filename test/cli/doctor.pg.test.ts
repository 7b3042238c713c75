import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sinkDefinitions } from '../../src/sinks/registry.ts';
import { startCli } from '../support/cli.ts';
import { configText } from '../support/config.ts';
import { startSqsEmulator, type SqsEmulator } from '../support/fauxqs.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { startWebhookServer, type WebhookServer } from '../support/webhook-server.ts';

let directory: string;
let database: TestDatabase;
let emulator: SqsEmulator;
let webhook: WebhookServer;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  database = await createTestDatabase();
  emulator = await startSqsEmulator();
  await database.client.query('create table users (id int primary key); create table notes (body text)');
  emulator.createQueue('users.fifo');
  emulator.createTopic('users.fifo');
  webhook = await startWebhookServer();
});
afterAll(async () => {
  await webhook.stop();
  await emulator.stop();
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

const CREDENTIALS = '\naccess_key_id: demo\nsecret_access_key: demo';

/** No queue is made. */
async function doctor(tables: readonly string[], queue: string, ...options: string[]) {
  await writeFile(
    join(directory, 'tailrace.yaml'),
    configText({
      database,
      endpoint: emulator.url,
      sinks: [{ name: 'users', queue, tables, destination: CREDENTIALS }],
    }).replace(/(queue_name: .*\n +create_if_not_exists: )true/, '$1false'),
  );
  const cli = startCli(['doctor', ...options], { cwd: directory });
  return { code: await cli.code, stdout: cli.stdout(), stderr: cli.stderr() };
}

test('where nothing is missing doctor says so line by line and ends with 0', async () => {
  const { code, stdout } = await doctor(['users'], 'users.fifo');
  expect(stdout).toContain(`database shop\n  ✓ connection`);
  expect(stdout).toContain('sink users\n  ✓ sqs: reachable and allowed');
  expect(stdout).not.toContain('✗');
  expect(code).toBe(0);
});

test('a table without identity and a missing queue are named with their cures, and doctor ends with 1', async () => {
  const { code, stdout } = await doctor(['users', 'notes'], 'missing.fifo');
  expect(code).toBe(1);
  expect(stdout).toMatch(/✗ .*notes/);
  expect(stdout).toContain('REPLICA IDENTITY FULL');
  expect(stdout).toMatch(/sink users\n {2}✗ sqs: /);
  expect(emulator.queueAttributes('missing.fifo')).toBeUndefined();
});

test('a queue and a topic that a start will make are said to be made, and are not made yet', async () => {
  const made = async (to: string) => {
    await writeFile(
      join(directory, 'tailrace.yaml'),
      configText({ database, endpoint: '', sinks: [{ name: 'users', tables: ['users'], to }] }),
    );
    const cli = startCli(['doctor'], { cwd: directory });
    return { code: await cli.code, stdout: cli.stdout() };
  };
  const aws = `region: us-east-1, emulator_base_url: "${emulator.url}", access_key_id: demo, secret_access_key: demo`;
  const places = [
    ['sqs', 'queue_name: later.fifo'],
    ['sqs', `queue_url: "${emulator.url}/000000000000/later.fifo"`],
    ['sns', 'topic_name: later.fifo'],
    ['sns', 'topic_arn: "arn:aws:sns:us-east-1:000000000000:later.fifo"'],
  ];
  for (const [type, place] of places) {
    const keys = `type: ${type}, ${place}, create_if_not_exists: true, ${aws}`;
    const { code, stdout } = await made(`{ ${keys} }`);
    expect(stdout).toMatch(new RegExp(`✓ ${type}: .*later.fifo does not exist yet and will be made`));
    expect(code).toBe(0);
    const refused = await made(`{ ${keys.replace('true', 'false')} }`);
    expect(refused.stdout).toMatch(new RegExp(`✗ ${type}: `));
    expect(refused.code).toBe(1);
  }
  expect(emulator.queueAttributes('later.fifo')).toBeUndefined();
});

type Destination = {
  readonly good: string;
  readonly broken: string;
  readonly passed: string;
  readonly fault: RegExp;
};

/** Of every type that there is, one that works and one that does not. */
const destinations = (): Readonly<Record<string, Destination>> => {
  const aws = `region: us-east-1, emulator_base_url: "${emulator.url}", access_key_id: demo, secret_access_key: demo`;
  const pulled = { good: '', broken: '', passed: 'workers fetch from the API', fault: /api\.listen is off/ };
  return {
    sqs: {
      good: `queue_name: users.fifo, ${aws}`,
      broken: `queue_name: missing.fifo, ${aws}`,
      passed: 'reachable and allowed',
      fault: /missing\.fifo/,
    },
    sns: {
      good: `topic_name: users.fifo, ${aws}`,
      broken: `topic_name: missing.fifo, ${aws}`,
      passed: 'reachable and allowed',
      fault: /missing\.fifo/,
    },
    webhook: {
      good: `url: "${webhook.url}"`,
      broken: 'url: "http://127.0.0.1:1/hook"',
      passed: 'reachable and allowed',
      fault: /127\.0\.0\.1:1/,
    },
    stream: pulled,
    sequin_stream: pulled,
  };
};

const TYPES = sinkDefinitions.flatMap(({ type, aliases = [] }) => [type, ...aliases]);

test.each(TYPES)(
  'doctor passes a sink of type %s that works, and says of one that does not why',
  async (type) => {
    const destination = destinations()[type];
    if (destination === undefined) throw new Error(`what doctor says of ${type} is tested nowhere`);
    const examine = async (keys: string, listen: string) => {
      await writeFile(
        join(directory, 'tailrace.yaml'),
        configText({
          database,
          endpoint: '',
          sinks: [{ name: 'users', tables: ['users'], to: `{ type: ${type}${keys && `, ${keys}`} }` }],
        }).replace('listen: "127.0.0.1:0"', listen),
      );
      const cli = startCli(['doctor', '--json'], { cwd: directory });
      const code = await cli.code;
      const { reports } = JSON.parse(cli.stdout()) as {
        reports: { subject: string; findings: { ok: boolean; detail: string; cure?: string }[] }[];
      };
      return { code, finding: reports.find(({ subject }) => subject === 'sink users')!.findings[0]! };
    };
    expect(await examine(destination.good, 'listen: "127.0.0.1:0"')).toMatchObject({
      code: 0,
      finding: { ok: true, detail: destination.passed },
    });
    const { code, finding } = await examine(destination.broken, 'listen: off');
    expect(code).toBe(1);
    expect(finding).toMatchObject({ ok: false, detail: expect.stringMatching(destination.fault) });
    expect(finding.cure).toBeDefined();
  },
);

test('--json lists the same findings as data', async () => {
  const { code, stdout } = await doctor(['nothing'], 'users.fifo', '--json');
  expect(code).toBe(1);
  const { ok, reports } = JSON.parse(stdout) as {
    ok: boolean;
    reports: { subject: string; findings: { ok: boolean; detail: string }[] }[];
  };
  expect(ok).toBe(false);
  expect(reports.map(({ subject }) => subject)).toEqual(['database shop', 'sink users']);
  expect(reports[0]!.findings.some((finding) => !finding.ok)).toBe(true);
});
