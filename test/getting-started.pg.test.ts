// docs/getting-started.md, word for word: its SQL, its commands and its outputs, on a Postgres with TLS and an SQS emulator of its own.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort, startEmbeddedPostgres, type EmbeddedPostgres } from '../src/cli/demo/embedded-postgres.ts';
import type { FaultProxy } from './support/fault-proxy.ts';
import { startSqsEmulator, type SqsEmulator } from './support/fauxqs.ts';
import { pageBlocks, type PageBlock } from './support/page.ts';
import { connect } from './support/postgres.ts';
import { createWorkDirectory, FAKE_AWS } from './support/service.ts';
import { selfSignedCertificate } from './support/tls.ts';
import { waitFor } from './support/wait.ts';

const root = resolve(import.meta.dirname, '..');
const PAGE = 'docs/getting-started.md';
/** Who owns the database and its tables: not a superuser, and not the role of Tailrace. */
const OWNER = 'app';
/** What the reader puts into the environment: of the page's block, with values of the test. */
const ENVIRONMENT = ['PGHOST', 'PGPASSWORD', 'AWS_REGION'];

let server: EmbeddedPostgres;
let emulator: SqsEmulator;
let proxy: FaultProxy;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ChildProcess | undefined;
const clients: Client[] = [];

beforeEach(async () => {
  directory = createWorkDirectory();
  const installation = process.env['TAILRACE_TEST_POSTGRES'];
  // As a server comes: not ready for logical replication.
  server = await startEmbeddedPostgres({
    settings: { wal_level: 'replica' },
    ...(installation === undefined ? {} : { installation }),
  });
  emulator = await startSqsEmulator();
  proxy = await emulator.proxy();
});
afterEach(async () => {
  if (service?.exitCode === null) service.kill('SIGKILL');
  await Promise.all(clients.splice(0).map((client) => client.end().catch(() => undefined)));
  await emulator.stop();
  await server.remove();
  directory.remove();
});

const urlOf = (user: string): string => {
  const url = new URL(server.url('shop'));
  if (user === 'owner') Object.assign(url, { username: OWNER, password: OWNER });
  return url.href;
};

async function query(text: string, user: string): Promise<Record<string, unknown>[]> {
  const client = await connect(urlOf(user));
  clients.push(client);
  const results = await client.query<Record<string, unknown>>(text);
  await client.end();
  return Array.isArray(results) ? [] : results.rows;
}

/** The reader's database, in which nobody may do anything that was not granted. */
async function makeDatabase(): Promise<void> {
  const admin = await connect(server.url());
  await admin.query(`create role ${OWNER} login password '${OWNER}'`);
  await admin.query(`create database shop owner ${OWNER}`);
  await admin.query('revoke all on database shop from public');
  await admin.end();
  await query('revoke all on schema public from public; grant all on schema public to app', 'superuser');
}

/** Restarts with the level that was written into the server's own file, and with TLS, as the configuration demands it. */
async function restart(): Promise<void> {
  const [level] = await query(`select setting from pg_file_settings where name = 'wal_level'`, 'superuser');
  await server.stop();
  const { key, cert } = selfSignedCertificate();
  const { uid, gid } = statSync(server.directory);
  for (const [name, text] of Object.entries({ 'server.key': key, 'server.crt': cert })) {
    const path = join(server.directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    chownSync(path, uid, gid);
  }
  writeFileSync(join(directory.path, 'ca.pem'), cert);
  await server.start({ wal_level: String(level?.['setting']), ssl: 'on' });
}

function environment(): Record<string, string> {
  return {
    ...FAKE_AWS,
    HOME: directory.path,
    NO_COLOR: '1',
    PATH: `${directory.path}/bin:${process.env['PATH'] ?? ''}`,
    PGHOST: 'localhost',
    PGPORT: String(server.port),
    PGPASSWORD: 'change-me',
    AWS_ENDPOINT_URL_SQS: proxy.url,
    TAILRACE_API_LISTEN: ports.api,
    TAILRACE_METRICS_LISTEN: ports.metrics,
  };
}
const ports = { api: '', metrics: '' };

/** `tailrace` and `aws` on the PATH. */
function installCommands(): void {
  const bin = join(directory.path, 'bin');
  spawnSync('mkdir', [bin]);
  const commands = { tailrace: 'src/main.ts', aws: 'test/support/aws-command.ts' };
  for (const [name, file] of Object.entries(commands)) {
    // The reader's own look into the queue is no request of the service.
    const endpoint = name === 'aws' ? `AWS_ENDPOINT_URL_SQS='${emulator.url}' ` : '';
    writeFileSync(
      join(bin, name),
      `#!/bin/sh\n${endpoint}exec '${process.execPath}' '${join(root, file)}' "$@"\n`,
    );
    chmodSync(join(bin, name), 0o755);
  }
}

/** Beside this process, which is the emulator too. What it exits with is not asked: some answers are no. */
async function shell(command: string): Promise<{ stdout: string; stderr: string }> {
  const child = spawn('sh', ['-c', command], { cwd: directory.path, env: environment() });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { stdout, stderr };
}

/** What the page says of the service's own addresses, while it runs and all is well. */
async function askAddresses(): Promise<void> {
  const paths = [...readFileSync(join(root, PAGE), 'utf8').matchAll(/^\| `(\/\w+)`/gm)].map(
    ([, path]) => path!,
  );
  expect(paths).toEqual(['/ready', '/health', '/metrics']);
  for (const path of paths) expect((await fetch(`http://${ports.metrics}${path}`)).status).toBe(200);
}

/** What differs from run to run is made equal: numbers, places, spaces that align columns. */
const shapeOf = (text: string): string[] =>
  text
    .replaceAll(directory.path, '/srv/tailrace')
    .replaceAll(`localhost:${server.port}`, 'db.internal:5432')
    .replaceAll(FAKE_AWS.AWS_REGION, 'eu-central-1')
    .replaceAll(/\b[0-9A-F]+\/[0-9A-F]{1,8}\b/g, 'LSN')
    .replaceAll(/"(?:idempotency_key|id|hostname|url)":"[^"]*"/g, (field) => field.replace(/:.*/, ':"…"'))
    .replaceAll(/[\d.]+ [kMG]?B\b/g, 'BYTES')
    .replaceAll(/\d+(?:[\d.:-]*\d)?/g, '0')
    .split('\n')
    .map((line) => line.replaceAll(/ +/g, ' ').trim())
    .filter((line) => line !== '');

const expectSame = (found: unknown, wanted: unknown): void => expect(found).toEqual(wanted);

type Reader = { printed: string; log: string; ended: Promise<number | null> | undefined };

/** One step of the reader. */
async function follow(block: PageBlock, reader: Reader): Promise<void> {
  const { language, role, file } = block;
  if (file !== undefined) {
    expectSame(block.text, readFileSync(join(root, file), 'utf8'));
    if (language === 'yaml') writeFileSync(join(directory.path, 'tailrace.yaml'), block.text);
    return;
  }
  switch (`${language} ${role}`.trim()) {
    case 'sh install': // scripts/test-package.ts runs it
      return;
    case 'sh environment':
      expectSame(
        [...block.text.matchAll(/^export (\w+)=/gm)].map(([, name]) => name),
        ENVIRONMENT,
      );
      return;
    case 'sql superuser':
    case 'sql owner':
      await query(block.text, role);
      if (block.text.startsWith('INSERT')) {
        await waitFor(() => proxy.counts.accepted === 1, 'the message');
        // Who asks how it stands has read the message first; what is told is at most half a second old.
        await waitFor(async () => (await shell('tailrace status')).stdout.includes(' ms'), 'its latency');
      }
      if (block.text.includes('ALTER SYSTEM')) await restart();
      return;
    case 'sh': {
      const { stdout, stderr } = await shell(block.text);
      expectSame(stderr, '');
      reader.printed = stdout;
      return;
    }
    case 'sh run':
      service = spawn('sh', ['-c', `exec ${block.text}`], {
        cwd: directory.path,
        env: environment(),
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      service.stdout!.on('data', (chunk: Buffer) => (reader.log += chunk.toString()));
      reader.ended = once(service, 'exit').then(([code]) => code as number | null);
      return;
    case 'text log':
      // In the order in which they come: waiting for the last line of the page is waiting for all.
      await waitFor(
        () => shapeOf(reader.log).length >= shapeOf(block.text).length,
        'what the first start prints',
      ).catch((error: unknown) => Promise.reject(new Error(reader.log, { cause: error })));
      // Its threads print beside each other.
      expectSame(shapeOf(reader.log).sort(), shapeOf(block.text).sort());
      return;
    case 'text stopped': {
      await askAddresses();
      const before = reader.log.length;
      service!.kill('SIGINT');
      expectSame(await reader.ended, 0);
      expectSame(shapeOf(reader.log.slice(before)), shapeOf(block.text));
      return;
    }
    case 'text output':
      expectSame(shapeOf(reader.printed), shapeOf(block.text));
      return;
    default:
      throw new Error(`nobody runs a block of "${language} ${role}"`);
  }
}

test(
  'the ten minutes of the page work word for word, from the role to the first message and the stop',
  { timeout: 300_000 },
  async () => {
    Object.assign(ports, { api: `127.0.0.1:${await freePort()}`, metrics: `127.0.0.1:${await freePort()}` });
    installCommands();
    await makeDatabase();
    const actions = new Set<string>();
    proxy.decide = ({ action }) => {
      actions.add(action);
      return undefined;
    };
    const reader: Reader = { printed: '', log: '', ended: undefined };
    const blocks = pageBlocks(PAGE);
    const end = blocks.findIndex(({ text }) => text.includes('pg_drop_replication_slot'));
    for (const block of blocks.slice(0, end + 1)) await follow(block, reader);

    expect(await query('select slot_name from pg_replication_slots', 'superuser')).toEqual([]);
    // The whole of the policy was needed, and it was enough. A batch needs the right of the single one.
    const policy = JSON.parse(readFileSync(join(root, 'deploy/iam-policy.json'), 'utf8')) as {
      Statement: { Action: string[] }[];
    };
    const used = [...actions].map((action) => `sqs:${action.replace(/Batch$/, '')}`);
    expect(used.sort()).toEqual(policy.Statement[0]?.Action.toSorted());
  },
);
