// The wiring of the service, without a database and without a sink: what it begins with, what ends it, what it lets go of.
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startService } from '../src/app.ts';
import { lockDirectory } from '../src/data-directory/lock.ts';
import type { RunningService } from '../src/pipeline/service/service.ts';
import type { ServiceSettings } from '../src/pipeline/settings.ts';
import { createLogger } from '../src/telemetry/logger.ts';
import { SETTINGS, scratchDirectory } from './log/stream.ts';

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
  const lines: Line[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Line);
  const logger = createLogger({ level: 'info', format: 'json', destination: { write } });
  let service: RunningService | undefined;
  let error: unknown;
  try {
    service = await startService(settings, { version: '1.2.3', logger });
  } catch (thrown) {
    error = thrown;
  }
  onTestFinished(() => service?.stop());
  return { service, error, said: () => lines.map(({ msg }) => msg) };
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
