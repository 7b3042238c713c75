import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parseMessage } from '../../src/cli/demo/consumer.ts';
import { startEmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { waitFor } from '../support/wait.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'src/main.ts');

let temporary: string;
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
  // Postgres runs as another user when we are root, and must get through.
  chmodSync(temporary, 0o755);
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  vi.unstubAllEnvs();
  rmSync(temporary, { recursive: true, force: true });
});

/** The demo of a test that failed half-way. */
let running: { stop(): Promise<unknown> } | undefined;

function startDemo(...options: string[]) {
  const child = spawn(process.execPath, [MAIN, 'demo', ...options], {
    env: { ...process.env, TMPDIR: temporary },
    cwd: temporary,
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

const MESSAGE = /^ *\d+\.\d ms {2}(insert|update|delete) {2}public\.\w+ +\{"id":(\d+)/;
const messagesIn = (text: string): { action: string; id: number }[] =>
  text.split('\n').flatMap((line) => {
    const [, action, id] = MESSAGE.exec(line) ?? [];
    return action === undefined ? [] : [{ action, id: Number(id) }];
  });

/** What it tells to type: lines of their own. */
const commandsIn = (text: string): string[] =>
  [...text.matchAll(/^ {2}(npm run .*)$/gm)].map(([, command]) => command!);

/** As a shell at the checkout runs it. */
function typeIn(command: string) {
  const child = spawn(command, {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: temporary },
    shell: true,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = { text: '' };
  child.stdout.on('data', (chunk: Buffer) => (printed.text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed.text += chunk.toString()));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  return { printed, ended, interrupt: () => process.kill(-child.pid!, 'SIGINT') };
}

const printsMessages = ({ child, printed }: ReturnType<typeof startDemo>): Promise<unknown> =>
  waitFor(() => {
    if (child.exitCode !== null) throw new Error(`the demo ended: ${printed.text}`);
    return messagesIn(printed.text).length > 3;
  }, 'messages');

test('demo --rows ends by itself with its figures: every change exactly once, in order per row, and nothing left behind', async () => {
  const { printed, ended } = startDemo('--rows', '200');
  const code = await ended;
  expect(messagesIn(printed.text)).toHaveLength(200);
  const figures = printed.text.split('\n').map((line) => line.trim().split(/ {2,}/));
  expect(figures).toContainEqual(['one at a time', 'as fast as it goes']);
  expect(figures).toContainEqual(['rows', '100', '100']);
  for (const label of ['repeated', 'out of order', 'lost']) expect(figures).toContainEqual([label, '0', '0']);
  const time = expect.stringMatching(/^(\d+\.\d|\d+|< 1) ms$/);
  expect(figures).toContainEqual([
    'per second',
    expect.stringMatching(/^\d+$/),
    expect.stringMatching(/^\d+$/),
  ]);
  expect(figures).toContainEqual(['in the queue', 'p50', time, time]);
  expect(figures).toContainEqual(['received', 'p50', time, time]);
  expect(figures.filter(([label]) => label === 'p99')).toEqual([
    ['p99', time, time],
    ['p99', time, time],
  ]);
  expect(printed.text).toContain('exactly once: yes; in order per row: yes');
  // Nothing is coloured where no terminal is.
  expect(printed.text).not.toContain('\u001b');
  expect(code).toBe(0);
  expect(readdirSync(temporary)).toEqual([]);
});

test.runIf(process.platform === 'linux')(
  'demo stops at Ctrl-C with its figures and leaves no process and no temporary directory',
  async () => {
    const demo = startDemo();
    await printsMessages(demo);
    demo.child.kill('SIGINT');
    expect(await demo.ended).toBe(0);
    expect(demo.printed.text).toContain('stopping …');
    expect(demo.printed.text).toContain('exactly once: yes');
    expect(demo.printed.text).toMatch(/^on the way +0$/m);
    expect(readdirSync(temporary)).toEqual([]);
    expect(leftovers()).toEqual([]);
  },
);

test('the commands that a demo names while it runs work as they stand, and SIGTERM ends it too', async () => {
  const demo = startDemo();
  await printsMessages(demo);
  await waitFor(() => commandsIn(demo.printed.text).length === 2, 'the commands to look at it with');
  const [status, tail] = commandsIn(demo.printed.text).map((command) => ({ command, ...typeIn(command) }));
  expect(status?.command).toContain('status --url http://127.0.0.1:');
  expect(tail?.command).toContain('tail postgresql://');
  expect([await status?.ended, status?.printed.text]).toEqual([
    0,
    expect.stringMatching(/demo\/users +healthy/),
  ]);
  await waitFor(() => tail!.printed.text.includes('"table_name":"users"'), 'a change in tail');
  tail!.interrupt();
  await tail!.ended;
  demo.child.kill('SIGTERM');
  expect(await demo.ended).toBe(0);
  // npm has a cache of its own there.
  expect(readdirSync(temporary).filter((name) => name.startsWith('tailrace'))).toEqual([]);
});

test.runIf(process.platform === 'linux')(
  'demo that is killed leaves nothing that runs or takes room for long',
  async () => {
    const demo = startDemo();
    await printsMessages(demo);
    demo.child.kill('SIGKILL');
    await demo.ended;
    await waitFor(() => leftovers().length === 0, 'its processes to end');
    expect(readdirSync(temporary)).toEqual([]);
  },
);

test.runIf(process.platform === 'linux')(
  'demo --keep goes on with what a demo before it has left, one that was killed too, and is alone there',
  async () => {
    const kept = join(temporary, 'a place');
    const first = startDemo('--keep', kept);
    await printsMessages(first);
    const second = startDemo('--rows', '5', '--keep', kept);
    expect([await second.ended, second.printed.text]).toEqual([1, expect.stringContaining('in use')]);
    first.child.kill('SIGKILL');
    await first.ended;
    await waitFor(() => leftovers().length === 0, 'its processes to end');
    expect(readdirSync(kept).toSorted()).toEqual([
      'data',
      'demo.json',
      'lock.db',
      'postgres',
      'tailrace.yaml',
    ]);

    const third = startDemo('--rows', '20', '--keep', kept);
    expect([await third.ended, third.printed.text]).toEqual([
      0,
      expect.stringContaining('exactly once: yes; in order per row: yes'),
    ]);
    // The rows of the first are there still: the ids go on.
    const inserted = messagesIn(third.printed.text).filter(({ action }) => action === 'insert');
    expect(Math.min(...inserted.map(({ id }) => id))).toBeGreaterThan(1);
    const [again, check] = commandsIn(third.printed.text);
    expect(again).toContain(`demo --keep '${kept}'`);
    const checked = typeIn(check!);
    expect([await checked.ended, checked.printed.text]).toEqual([0, expect.any(String)]);
  },
);

test('demo --keep takes no directory that holds something else', async () => {
  mkdirSync(join(temporary, 'mine/letters'), { recursive: true });
  const { printed, ended } = startDemo('--keep', 'mine');
  expect(await ended).toBe(1);
  expect(printed.text).toContain(
    'holds something else than a demo: letters — name a directory that is empty',
  );
  expect(readdirSync(join(temporary, 'mine'))).toEqual(['letters']);
  writeFileSync(join(temporary, 'file'), '');
  const below = startDemo('--keep', 'file/demo');
  expect([await below.ended, below.printed.text]).toEqual([
    1,
    expect.stringMatching(
      /the demo cannot live in .*file\/demo: ENOTDIR.* — name a directory that this user may write/,
    ),
  ]);
  // No stack: it is foreseen.
  expect(below.printed.text.trim().split('\n')).toHaveLength(1);
});

test.runIf(process.getuid?.() === 0)('as root demo says which directory shuts its Postgres out', async () => {
  chmodSync(temporary, 0o700);
  const { printed, ended } = startDemo('--rows', '5');
  expect(await ended).toBe(1);
  expect(printed.text).toContain(`nobody else may enter ${temporary} — say where everybody may: TMPDIR=/tmp`);
  expect(readdirSync(temporary)).toEqual([]);
});

test('a port that is taken is passed over', async () => {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const postgres = await startEmbeddedPostgres({ port });
  try {
    expect(postgres.port).not.toBe(port);
    listener.close();
    await postgres.stop();
  } finally {
    await postgres.remove();
    listener.close();
  }
  expect(existsSync(postgres.directory)).toBe(false);
});

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
  // Of our own: others start and end theirs in the system's.
  vi.stubEnv('TMPDIR', temporary);
  const starting = startEmbeddedPostgres({ settings: { max_connections: 'many' } });
  await expect(starting).rejects.toThrow('postgres ended');
  expect(readdirSync(temporary)).toEqual([]);
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
  const received = parseMessage(body, {
    nowMs: Date.parse('2026-01-02T03:04:05.125Z'),
    sentMs: Date.parse('2026-01-02T03:04:05.124Z'),
  });
  expect(received.latencyMs).toBeCloseTo(1.544, 3);
  expect(received.queuedMs).toBeCloseTo(1.044, 3);
  expect(received.change).toEqual({ table: 'users', id: 7, action: 'delete', version: undefined });
});
