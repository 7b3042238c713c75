import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseMessage } from '../../src/cli/demo/consumer.ts';
import { startEmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { waitFor } from '../support/wait.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');

let temporary: string;
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
  // Postgres runs as another user when we are root, and must get through.
  chmodSync(temporary, 0o755);
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  rmSync(temporary, { recursive: true, force: true });
});

/** The demo of a test that failed half-way. */
let running: { stop(): Promise<unknown> } | undefined;

function startDemo(...options: string[]) {
  const child = spawn(process.execPath, [MAIN, 'demo', ...options], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = { text: '' };
  child.stdout.on('data', (chunk: Buffer) => (printed.text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed.text += chunk.toString()));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  running = {
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
  return { child, printed, ended };
}

/** Processes that were started with our temporary directory, by their command lines (Linux only). */
function leftovers(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${temporary}\0`)) return [];
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
    } catch {
      return []; // ended meanwhile, or another user's
    }
  });
}

test('demo --rows ends by itself: every change exactly once, in order per row, and nothing left behind', async () => {
  const { printed, ended } = startDemo('--rows', '200');
  const code = await ended;
  const lines = printed.text.trimEnd().split('\n');
  expect(lines.at(-1)).toMatch(
    /200 changes committed, 200 received, 0 missing; exactly once: yes; in order per row: yes; .*p50 [\d.]+ ms, p99 [\d.]+ ms/,
  );
  const messages = lines.filter((line) =>
    /^ *\d+\.\d ms {2}(insert|update|delete) {2}public\.\w+ +\{"id":/.test(line),
  );
  expect(messages).toHaveLength(200);
  expect(code).toBe(0);
  expect(readdirSync(temporary)).toEqual([]);
});

test.runIf(process.platform === 'linux').each(['SIGINT', 'SIGTERM'] as const)(
  'demo at %s stops with its summary and leaves no process and no temporary directory',
  async (signal) => {
    const { child, printed, ended } = startDemo();
    await waitFor(() => {
      if (child.exitCode !== null) throw new Error(`the demo ended: ${printed.text}`);
      return printed.text.includes('public.users');
    }, 'messages');
    child.kill(signal);
    expect(await ended).toBe(0);
    expect(printed.text.trimEnd().split('\n').at(-1)).toContain('exactly once: yes');
    expect(readdirSync(temporary)).toEqual([]);
    expect(leftovers()).toEqual([]);
  },
);

test.runIf(process.platform === 'linux')(
  'demo that is interrupted while it starts leaves nothing behind either',
  async () => {
    const { child, ended } = startDemo();
    await waitFor(() => readdirSync(temporary).length > 0, 'Postgres to be set up');
    child.kill('SIGTERM');
    expect(await ended).toBe(1);
    expect(readdirSync(temporary)).toEqual([]);
    expect(leftovers()).toEqual([]);
  },
);

test('a Postgres that cannot start leaves no directory behind', async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('tailrace-postgres-'));
  const starting = startEmbeddedPostgres({ settings: { max_connections: 'many' } });
  await expect(starting).rejects.toThrow('postgres ended');
  const after = readdirSync(tmpdir()).filter((name) => name.startsWith('tailrace-postgres-'));
  expect(after.filter((name) => !before.includes(name))).toEqual([]);
});

test("a message's latency counts microseconds of the commit time", () => {
  const body = JSON.stringify({
    action: 'delete',
    record: { id: 7 },
    metadata: {
      table_name: 'users',
      idempotency_key: 'k',
      commit_timestamp: '2026-01-02T03:04:05.123456Z',
    },
  });
  const received = parseMessage(body, Date.parse('2026-01-02T03:04:05.125Z'));
  expect(received.latencyMs).toBeCloseTo(1.544, 3);
  expect(received.change).toEqual({ table: 'users', id: 7, action: 'delete', version: undefined });
});
