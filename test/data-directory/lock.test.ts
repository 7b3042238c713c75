// One process a data directory, and where data outlives the process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { directoryOutlivesProcess } from '../../src/data-directory/durability.ts';
import { lockDirectory } from '../../src/data-directory/lock.ts';
import { scratchDirectory } from '../log/stream.ts';

const inUse: unknown = expect.objectContaining({ code: 'DATA_DIRECTORY_IN_USE' });

test('a second opener in the same process is refused by name until the first lets go', () => {
  const directory = join(scratchDirectory(), 'data');
  const lock = lockDirectory(directory);
  expect(() => lockDirectory(directory)).toThrow(inUse);
  expect(() => lockDirectory(directory)).toThrow(directory);
  lock.release();
  lockDirectory(directory).release();
});

test('a lock dies with its process, even when that is killed', async () => {
  const directory = scratchDirectory();
  const module = resolve(import.meta.dirname, '../../src/data-directory/lock.ts');
  const program = `
    const { lockDirectory } = await import(${JSON.stringify(module)});
    globalThis.lock = lockDirectory(${JSON.stringify(directory)});
    console.log('locked');
    setInterval(() => globalThis.lock, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(holder.stdout, 'data');
    expect(() => lockDirectory(directory)).toThrow(inUse);
  } finally {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  }
  lockDirectory(directory).release();
});

test('the lock keeps the directory private and leaves other files alone', () => {
  const directory = join(scratchDirectory(), 'data');
  const lock = lockDirectory(directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(directory)) {
    expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
  }
  lock.release();
});

test('a path that cannot be a directory is refused with the cure', () => {
  const file = join(scratchDirectory(), 'file');
  writeFileSync(file, '');
  expect(() => lockDirectory(join(file, 'data'))).toThrow(
    expect.objectContaining({ code: 'DATA_DIRECTORY_READ_ONLY' }),
  );
});

test.skipIf(process.platform !== 'linux')('a memory file system does not outlive the process', () => {
  expect(directoryOutlivesProcess('/dev/shm')).toBe(false);
  expect(directoryOutlivesProcess('/proc')).toBe(true);
});
