import { watchDisk } from '../support/power-cut.ts';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeDirectory } from '../../src/data-directory/directory.ts';
import { scratchDirectory } from '../log/stream.ts';

test('a directory is made with those above it, private, and is there after a power cut', async () => {
  const directory = scratchDirectory();
  const disk = watchDisk(directory);
  onTestFinished(() => disk.unwatch());
  await makeDirectory(join(directory, 'data/log/shop'));
  expect(statSync(join(directory, 'data/log/shop')).mode & 0o777).toBe(0o700);
  const target = join(scratchDirectory(), 'after');
  disk.record.writeSurvivors(target);
  expect(existsSync(join(target, 'data/log/shop'))).toBe(true);
});

test('one that is there is left as it is', async () => {
  const directory = scratchDirectory();
  await makeDirectory(directory);
  expect(existsSync(directory)).toBe(true);
});

test('one that cannot be made is named, with the cure', async () => {
  const file = join(scratchDirectory(), 'file');
  writeFileSync(file, '');
  await expect(makeDirectory(join(file, 'data'))).rejects.toMatchObject({
    code: 'DATA_DIRECTORY_UNUSABLE',
    hint: expect.stringContaining('--data-dir') as string,
  });
});
