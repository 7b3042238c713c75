// One process a data directory, and where data outlives the process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { directoryOutlivesProcess } from '../../src/data-directory/durability.ts';
import { lockDirectory } from '../../src/data-directory/lock.ts';
import { scratchDirectory } from '../log/stream.ts';
import { waitFor } from '../support/wait.ts';

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

/** A lock that is watched, and what the watch says. */
function watchedLock(directory: string) {
  const notes: string[] = [];
  const errors: unknown[] = [];
  const lock = lockDirectory(directory);
  const end = lock.watch({
    renewed: (note) => notes.push(note),
    lost: (error) => errors.push(error),
    intervalMs: 5,
  });
  onTestFinished(() => {
    end();
    lock.release();
  });
  return { notes, errors };
}

test('a lock whose file is deleted is made anew, with a word, and refuses a second opener as before', async () => {
  const directory = scratchDirectory();
  const { notes, errors } = watchedLock(directory);
  rmSync(join(directory, 'lock.db'));
  await waitFor(() => notes.length > 0, 'the lock to be made anew');
  expect(() => lockDirectory(directory)).toThrow(inUse);
  expect(notes).toEqual([expect.stringContaining('deleted')]);
  expect(errors).toEqual([]);
});

test('a lock whose file is deleted and taken by another process is lost, once', async () => {
  const directory = scratchDirectory();
  const { errors } = watchedLock(directory);
  rmSync(join(directory, 'lock.db'));
  const other = lockDirectory(directory);
  onTestFinished(() => other.release());
  await waitFor(() => errors.length > 0, 'the loss to be told');
  await new Promise((done) => setImmediate(done));
  expect(errors).toEqual([inUse]);
});

test('a lock whose directory is deleted is lost, and the directory is not made again', async () => {
  const directory = join(scratchDirectory(), 'data');
  const { errors } = watchedLock(directory);
  rmSync(directory, { recursive: true });
  await waitFor(() => errors.length > 0, 'the loss to be told');
  expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining(directory) })]);
  expect(statSync(directory, { throwIfNoEntry: false })).toBeUndefined();
});
