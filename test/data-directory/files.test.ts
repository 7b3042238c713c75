// What is planted in the place of an SQLite file is neither opened nor changed.
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { prepareSqliteFile, sqliteFiles } from '../../src/data-directory/files.ts';
import { scratchDirectory } from '../log/stream.ts';

test.each(['', '-wal', '-shm', '-journal'])(
  'a link in the place of an SQLite file (%j) is refused, and what it leads to keeps its rights',
  (suffix) => {
    const directory = scratchDirectory();
    mkdirSync(directory, { recursive: true });
    const target = join(directory, 'of somebody else');
    writeFileSync(target, 'kept', { mode: 0o644 });
    const file = join(directory, 'tailrace.db');
    expect(sqliteFiles(file)).toContain(`${file}${suffix}`);
    symlinkSync(target, `${file}${suffix}`);
    const rights = statSync(target).mode;
    expect(() => prepareSqliteFile(file)).toThrow(`${file}${suffix} is a symbolic link`);
    expect(statSync(target).mode).toBe(rights);
  },
);

test('a file that is there is made private, one that is missing is made so', () => {
  const directory = scratchDirectory();
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'tailrace.db');
  writeFileSync(`${file}-wal`, '', { mode: 0o644 });
  prepareSqliteFile(file);
  expect([file, `${file}-wal`].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o600]);
});
