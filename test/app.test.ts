// The wiring of the service, without a database and without a sink: what it begins with, what ends it, what it lets go of.
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startService } from '../src/app.ts';
import { lockDirectory } from '../src/data-directory/lock.ts';
import type { RunningService } from '../src/pipeline/service/service.ts';
import type { ServiceSettings } from '../src/pipeline/settings.ts';
import { createLogger } from '../src/telemetry/logger.ts';
import { SETTINGS, scratchDirectory } from './log/stream.ts';
import { databaseSettings } from './support/database-settings.ts';
import { waitFor } from './support/wait.ts';

/** How many more looks find descriptors free. */
const descriptors = vi.hoisted(() => ({ looks: Infinity }));
vi.mock(import('../src/core/descriptors.ts'), async (original) => ({
  ...(await original()),
  areDescriptorsFree: () => descriptors.looks-- > 0,
}));

type Line = { readonly level: string; readonly msg: string };

function settingsOf(dataDir: string, changes: Partial<ServiceSettings> = {}): ServiceSettings {
  return {
    dataDir,
    databases: [],
    sinks: [],
    log: SETTINGS,
    state: { file: join(dataDir, 'tailrace.db') },
    deadLetters: { maxCount: 100, maxBytes: 1_000_000, retentionMs: 1_000_000 },
    api: { listen: { host: '127.0.0.1', port: 0, explicit: true }, tokens: [] },
    metrics: { listen: 'off' },
    shutdownTimeoutMs: 10_000,
    statsIntervalMs: 0,
    logLevel: 'info',
    logFormat: 'json',
    ...changes,
  };
}

/** The service, or what it failed with; and what it logged. */
async function start(settings: ServiceSettings) {
  const { starting, said } = begin(settings);
  let service: RunningService | undefined;
  let error: unknown;
  try {
    service = await starting;
  } catch (thrown) {
    error = thrown;
  }
  onTestFinished(() => service?.stop());
  return { service, error, said };
}

function begin(settings: ServiceSettings, signal?: AbortSignal) {
  const lines: Line[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Line);
  const logger = createLogger({ level: 'info', format: 'json', destination: { write } });
  const starting = startService(settings, { version: '1.2.3', logger, ...(signal && { signal }) });
  return { starting, said: () => lines.map(({ msg }) => msg) };
}

/** Nobody has the directory: it can be locked. */
const isFree = (dataDir: string): boolean => {
  try {
    lockDirectory(dataDir).release();
    return true;
  } catch {
    return false;
  }
};

test('it has its data directory for itself until it has stopped, and then ends with 0', async () => {
  const dataDir = join(scratchDirectory(), 'data');
  const { service } = await start(settingsOf(dataDir));
  expect(service!.status()).toMatchObject({ version: '1.2.3', pid: process.pid, dataDir, status: 'healthy' });
  expect((await fetch(`${service!.apiUrl}/health`)).status).toBe(200);
  expect(isFree(dataDir)).toBe(false);
  const again = await start(settingsOf(dataDir));
  expect(again.error).toMatchObject({ code: 'DATA_DIRECTORY_IN_USE' });
  await Promise.all([service!.stop(), service!.stop()]);
  expect(await service!.ended).toEqual({ exitCode: 0 });
  await expect(fetch(`${service!.apiUrl}/health`)).rejects.toThrow('fetch failed');
  expect(isFree(dataDir)).toBe(true);
  // What it leaves behind is taken up again, by a later life of the same instance.
  expect((await start(settingsOf(dataDir))).error).toBeUndefined();
});

test('one that cannot start lets go of what it has', async () => {
  const dataDir = join(scratchDirectory(), 'data');
  const taken = createServer();
  await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const busy = { listen: { host: '127.0.0.1', port, explicit: true }, tokens: [] } as const;
  expect((await start(settingsOf(dataDir, { api: busy }))).error).toMatchObject({ kind: 'fatal' });
  expect(isFree(dataDir)).toBe(true);
  writeFileSync(join(dataDir, 'tailrace.db'), 'no database, and long enough to be told from one'.repeat(20));
  expect((await start(settingsOf(dataDir))).error).toMatchObject({ code: 'STORE_UNUSABLE' });
  expect(isFree(dataDir)).toBe(true);
});

test('it looks at the directory before it opens anything in it', async () => {
  const dataDir = join(scratchDirectory(), 'data');
  mkdirSync(join(dataDir, 'log/shop'), { recursive: true, mode: 0o755 });
  const { service, said } = await start(settingsOf(dataDir));
  expect(said()).toContainEqual(expect.stringContaining('were open to others: they are private now'));
  await service!.stop();
  rmSync(join(dataDir, 'log'), { recursive: true });
  symlinkSync(scratchDirectory(), join(dataDir, 'log'));
  expect((await start(settingsOf(dataDir))).error).toMatchObject({ code: 'DATA_DIRECTORY_REFUSED' });
});

test('a store that is gone while there are ledgers is told, and one that was never there is not', async () => {
  const dataDir = join(scratchDirectory(), 'data');
  const isTold = (lines: readonly string[]): boolean =>
    lines.some((line) => line.includes('the store is missing or empty, and there are ledgers'));
  const first = await start(settingsOf(dataDir));
  await first.service!.stop();
  mkdirSync(join(dataDir, 'ledger/shop'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dataDir, 'ledger/shop/users.ledger'), '', { mode: 0o600 });
  const second = await start(settingsOf(dataDir));
  await second.service!.stop();
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(dataDir, `tailrace.db${suffix}`), { force: true });
  const third = await start(settingsOf(dataDir));
  expect([first, second, third].map(({ said }) => isTold(said()))).toEqual([false, false, true]);
});

test('one whose directory somebody else has locked ends by itself, with 1', async () => {
  const dataDir = join(scratchDirectory(), 'data');
  const { service, said } = await start(settingsOf(dataDir));
  // The file of the lock is another one, and another has it.
  rmSync(join(dataDir, 'lock.db'));
  const thief = lockDirectory(dataDir);
  onTestFinished(() => thief.release());
  expect(await service!.ended).toEqual({ exitCode: 1 });
  expect(said()).toContain('the service cannot go on');
});

/** One whose start waits for descriptors after so many looks; `signal` asks it to stop. */
async function startShort({ looks, who }: Wait, settings: ServiceSettings, signal?: AbortSignal) {
  descriptors.looks = looks;
  const begun = begin(settings, signal);
  onTestFinished(() => {
    descriptors.looks = Infinity;
    return begun.starting.then((service) => service.stop());
  });
  await waitFor(
    () => begun.said().some((line) => line.endsWith(`${who} some must be free`)),
    `${who} to wait`,
  );
  return begun;
}

type Wait = { readonly looks: number; readonly who: string };

/** A server that nobody can reach. */
const database = (name: string) => databaseSettings({ name, host: '127.0.0.1', port: 1 }, { name });

/** Nothing of it listens, and nobody has the directory. */
async function expectEnded(service: RunningService, dataDir: string, exitCode: number): Promise<void> {
  expect(await service.ended).toEqual({ exitCode });
  expect(service.apiUrl).toBeUndefined();
  expect(isFree(dataDir)).toBe(true);
}

test.each<Wait>([
  { looks: 0, who: 'the service' },
  { looks: 2, who: 'the source of database "second"' },
  { looks: 3, who: 'HTTP' },
])('one that is to stop while $who waits for file descriptors ends with 0', async (wait) => {
  const dataDir = join(scratchDirectory(), 'data');
  const stopping = new AbortController();
  const databases = ['first', 'second'].map(database);
  const { starting, said } = await startShort(wait, settingsOf(dataDir, { databases }), stopping.signal);
  stopping.abort();
  const service = await starting;
  expect(existsSync(dataDir)).toBe(wait.looks > 0);
  expect(service.status().databases).toHaveLength(Math.max(0, wait.looks - 1));
  expect(said().filter((line) => line.endsWith('some must be free'))).toHaveLength(1);
  await expectEnded(service, dataDir, 0);
});

test('one that a fault ends while HTTP waits for file descriptors opens nothing any more, and ends with 1', async () => {
  const dataDir = join(scratchDirectory(), 'data');
  const { starting, said } = await startShort({ looks: 1, who: 'HTTP' }, settingsOf(dataDir));
  rmSync(join(dataDir, 'lock.db'));
  const thief = lockDirectory(dataDir);
  const service = await starting.finally(() => thief.release());
  expect(said()).toContain('the service cannot go on');
  await expectEnded(service, dataDir, 1);
});

test('one whose thread fails while a later database waits for file descriptors ends with 1', async () => {
  const dataDir = join(scratchDirectory(), 'data');
  const databases = ['first', 'second'].map(database);
  // No logger can be made of it: the first thread fails as it begins.
  const settings = settingsOf(dataDir, { databases, logLevel: 'none' as never });
  const { starting, said } = await startShort({ looks: 2, who: 'the source of database "second"' }, settings);
  const service = await starting;
  expect(said()).toContain('the service cannot go on');
  expect(service.status().databases.map(({ name }) => name)).toEqual(['first']);
  await expectEnded(service, dataDir, 1);
});
