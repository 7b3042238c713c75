import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCli } from '../support/cli.ts';
import { configText } from '../support/config.ts';
import { startSqsEmulator, type SqsEmulator } from '../support/fauxqs.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let directory: string;
let database: TestDatabase;
let emulator: SqsEmulator;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  database = await createTestDatabase();
  emulator = await startSqsEmulator();
  await database.client.query('create table users (id int primary key); create table notes (body text)');
  emulator.createQueue('users.fifo');
});
afterAll(async () => {
  await emulator.stop();
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

const CREDENTIALS = '\naccess_key_id: demo\nsecret_access_key: demo';

async function doctor(tables: readonly string[], queue: string, ...options: string[]) {
  await writeFile(
    join(directory, 'tailrace.yaml'),
    configText({
      database,
      endpoint: emulator.url,
      sinks: [{ name: 'users', queue, tables, destination: CREDENTIALS }],
    }),
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
