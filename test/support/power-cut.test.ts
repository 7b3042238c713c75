// The disk that forgets: what survives a power cut, of files and of their names, in this process and in one that is killed.
import { watchDisk, recordOf, POWER_CUT_DIRECTORY, type WatchedDisk } from './power-cut.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { scratchDirectory } from '../log/stream.ts';
import { DiskRecord } from './power-cut-disk.ts';
import { mixedContent, readJournal, survivingNames } from './power-cut-survivors.ts';
import { seededRandom } from './workload.ts';

let directory: string;
let disk: WatchedDisk;
let cuts: number;

beforeEach(() => {
  directory = join(scratchDirectory(), 'data');
  mkdirSync(directory);
  watch();
  cuts = 0;
});

function watch(): void {
  const watched = (disk = watchDisk(directory));
  onTestFinished(() => watched.unwatch());
}

const at = (name: string): string => join(directory, name);

function syncDirectory(name = ''): void {
  const fd = openSync(at(name), 'r');
  fsyncSync(fd);
  closeSync(fd);
}

/** Makes a file with this text, synced or not; its name is not. */
function make(name: string, text: string, how: { readonly synced: boolean }): void {
  const fd = openSync(at(name), 'wx', 0o600);
  writeSync(fd, text);
  if (how.synced) fsyncSync(fd);
  closeSync(fd);
}

/** A file that is there for good. */
function makeDurable(name: string, text: string): void {
  make(name, text, { synced: true });
  syncDirectory();
}

/** What a power cut now would leave: files by name, with their text. */
function survivors(): Record<string, string> {
  const target = `${directory}.after-${++cuts}`;
  disk.record.writeSurvivors(target);
  return Object.fromEntries(
    readdirSync(target, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [relative(target, path), readFileSync(path, 'utf8')]),
  );
}

describe('a file', () => {
  test('is there after its own sync and its directory’s, and not after one of them', () => {
    make('both', 'text', { synced: true });
    syncDirectory();
    make('no name', 'text', { synced: true });
    expect(survivors()).toEqual({ both: 'text' });
  });

  test('that was not synced is empty, though its name is there', () => {
    make('hollow', 'text', { synced: false });
    syncDirectory();
    expect(survivors()).toEqual({ hollow: '' });
  });

  test('holds what was written up to its last sync, in whatever way it was written', () => {
    makeDurable('log', 'one');
    const fd = openSync(at('log'), 'r+');
    writevSync(fd, [Buffer.from('TW'), Buffer.from('O+')], 0);
    fdatasyncSync(fd);
    expect(survivors()).toEqual({ log: 'TWO+' });
    writeSync(fd, Buffer.from('lost'), 0, 4, 4);
    expect(survivors()).toEqual({ log: 'TWO+' });
    closeSync(fd);
  });

  test('that is appended to keeps what was synced, and grows with the next sync', async () => {
    makeDurable('ledger', 'a');
    const fd = openSync(at('ledger'), 'a');
    writeSync(fd, 'b');
    await promisify(fdatasync)(fd);
    writeSync(fd, 'c');
    expect(survivors()).toEqual({ ledger: 'ab' });
    await promisify(fdatasync)(fd);
    expect(survivors()).toEqual({ ledger: 'abc' });
    closeSync(fd);
  });

  test('is durable as it was when a sync began, whatever was written until it ended', async () => {
    makeDurable('slots', 'before');
    const fd = openSync(at('slots'), 'r+');
    writeSync(fd, 'during', 0);
    const synced = promisify(fdatasync)(fd);
    expect(survivors()).toEqual({ slots: 'before' });
    writeSync(fd, 'after!', 0);
    await synced;
    expect(survivors()).toEqual({ slots: 'during' });
    closeSync(fd);
  });

  test('that is large keeps its pieces in their places', () => {
    const MIB = 1024 * 1024;
    makeDurable('large', '');
    const fd = openSync(at('large'), 'r+');
    writeSync(fd, Buffer.alloc(2 * MIB, 'a'), 0, 2 * MIB, 0);
    fdatasyncSync(fd);
    writeSync(fd, Buffer.from('bb'), 0, 2, MIB);
    writeSync(fd, Buffer.from('cc'), 0, 2, 2 * MIB);
    fdatasyncSync(fd);
    writeSync(fd, Buffer.from('dd'), 0, 2, 10);
    const text = survivors()['large']!;
    expect([text.length, text.slice(8, 14), text.slice(MIB - 1, MIB + 3), text.slice(-3)]).toEqual([
      2 * MIB + 2,
      'aaaaaa',
      'abba',
      'acc',
    ]);
    closeSync(fd);
  });

  test.each([
    ['ftruncate', (path: string) => withFile(path, (fd) => ftruncateSync(fd, 3)), '123'],
    ['truncate', (path: string) => truncateSync(path, 3), '123'],
    ['opening it for writing anew', (path: string) => closeSync(openSync(path, 'w')), ''],
  ])('cut short by %s has its old length until it is synced', (_, cut, short) => {
    makeDurable('tail', '123456');
    cut(at('tail'));
    expect(survivors()).toEqual({ tail: '123456' });
    withFile(at('tail'), fsyncSync);
    expect(survivors()).toEqual({ tail: short });
  });

  test('a disk that is nearly full takes of a write what fits, and of the next nothing, until there is room', () => {
    const fd = openSync(at('file'), 'w');
    onTestFinished(() => closeSync(fd));
    disk.leaveRoom(5);
    expect(writeSync(fd, Buffer.from('abc'))).toBe(3);
    expect(writevSync(fd, [Buffer.from('d'), Buffer.from('ef')], 3)).toBe(2);
    expect(() => writeSync(fd, Buffer.from('_f_'), 1, 1, 5)).toThrow(
      expect.objectContaining({ code: 'ENOSPC' }),
    );
    expect(readFileSync(at('file'), 'latin1')).toBe('abcde');
    expect(disk.room).toBe(0);
    disk.leaveRoom(Infinity);
    expect(writeSync(fd, Buffer.from('_f_'), 1, 1, 5)).toBe(1);
    expect(readFileSync(at('file'), 'latin1')).toBe('abcdef');
  });

  test('loses what a failed sync should have covered, whatever is synced later', async () => {
    makeDurable('log', 'aaaa');
    const fd = openSync(at('log'), 'r+');
    writeSync(fd, Buffer.from('bb'), 0, 2, 0);
    disk.fail(true);
    expect(() => fdatasyncSync(fd)).toThrow(/failing/);
    await expect(promisify(fdatasync)(fd)).rejects.toMatchObject({ code: 'EIO' });
    disk.fail(false);
    writeSync(fd, Buffer.from('cc'), 0, 2, 2);
    fdatasyncSync(fd);
    expect(survivors()).toEqual({ log: 'aacc' });
    closeSync(fd);
  });

  test('that a process before had written is durable once this one syncs it', () => {
    makeDurable('log', 'before');
    disk.unwatch();
    appendFileSync(at('log'), ', unsynced');
    watch();
    expect(survivors()).toEqual({ log: 'before' });
    withFile(at('log'), fdatasyncSync);
    expect(survivors()).toEqual({ log: 'before, unsynced' });
  });
});

function withFile(path: string, act: (fd: number) => void): void {
  const fd = openSync(path, 'r+');
  act(fd);
  closeSync(fd);
}

describe('a name', () => {
  test('that a file was renamed to is there after a sync of the directory; before, the old one is', () => {
    makeDurable('ledger', 'old');
    make('ledger.new', 'new', { synced: true });
    renameSync(at('ledger.new'), at('ledger'));
    expect(survivors()).toEqual({ ledger: 'old' });
    syncDirectory();
    expect(survivors()).toEqual({ ledger: 'new' });
  });

  test('of a file that was renamed without a sync leads to an empty one', () => {
    makeDurable('ledger', 'old');
    make('ledger.new', 'new', { synced: false });
    renameSync(at('ledger.new'), at('ledger'));
    syncDirectory();
    expect(survivors()).toEqual({ ledger: '' });
  });

  test.each([
    ['unlink', unlinkSync],
    ['rm', rmSync],
  ])('taken away by %s comes back with its file, until the directory is synced', (_, remove) => {
    makeDurable('segment', 'rows');
    remove(at('segment'));
    makeDurableElsewhere();
    expect(survivors()).toEqual({ segment: 'rows' });
    syncDirectory();
    expect(survivors()).toEqual({});
  });

  /** A file made after another lost its name may get its inode: the record must not take them for one. */
  function makeDurableElsewhere(): void {
    const fd = openSync(at('other'), 'w');
    writeSync(fd, 'other');
    fsyncSync(fd);
    closeSync(fd);
    unlinkSync(at('other'));
  }

  test('of a directory needs a sync of the one that holds it', async () => {
    mkdirSync(at('log/shop'), { recursive: true });
    await mkdir(at('ledger'));
    make('log/shop/segment', 'rows', { synced: true });
    syncDirectory('log/shop');
    expect(survivors()).toEqual({});
    syncDirectory('log');
    expect(survivors()).toEqual({});
    syncDirectory();
    expect(survivors()).toEqual({ 'log/shop/segment': 'rows' });
  });

  test('of a directory that is removed with all that is in it is gone after syncs only', () => {
    mkdirSync(at('log'));
    make('log/segment', 'rows', { synced: true });
    syncDirectory('log');
    syncDirectory();
    rmSync(at('log'), { recursive: true });
    expect(survivors()).toEqual({ 'log/segment': 'rows' });
    syncDirectory();
    expect(survivors()).toEqual({});
  });
});

test('what was there at the beginning is durable, and so is what a record from before says', () => {
  disk.unwatch();
  rmSync(recordOf(directory), { recursive: true });
  writeFileSync(at('config'), 'text');
  watch();
  make('lost', 'text', { synced: false });
  disk.unwatch();
  watch();
  expect(survivors()).toEqual({ config: 'text' });
});

test('files of SQLite, which writes unseen, are left as they stand', () => {
  const database = new DatabaseSync(at('store.db'));
  database.exec('create table letters (id integer)');
  database.close();
  const [name] = Object.keys(survivors());
  expect(name).toBe('store.db');
});

test('a way to write that is not known is refused by its name, and elsewhere it works', async () => {
  expect(() => appendFileSync(at('log'), 'x')).toThrow(/does not know appendFileSync/);
  expect(() => writeFile(at('log'), 'x')).toThrow(/does not know writeFile/);
  const elsewhere = join(scratchDirectory(), 'file');
  appendFileSync(elsewhere, 'x');
  await writeFile(elsewhere, 'y');
  expect(readFileSync(elsewhere, 'utf8')).toBe('y');
});

describe('with chance', () => {
  test('each sector is the durable one, the one written last, or torn; a file that grew may be short or hold zeros', () => {
    const [durable, present] = [Buffer.alloc(1024, 'a'), Buffer.alloc(2048, 'b')];
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const mixed = mixedContent(durable, present, seededRandom(seed));
        expect(mixed.length).toBeGreaterThanOrEqual(durable.length);
        expect(mixed.length).toBeLessThanOrEqual(present.length);
        for (let sector = 0; sector < mixed.length; sector += 512) {
          const bytes = mixed.toString('latin1', sector, sector + 512);
          expect(bytes).toMatch(sector < 1024 ? /^b*a*$/ : /^b*\0*$/);
        }
      }),
    );
  });

  test('what is durable stays durable', () => {
    makeDurable('kept', 'text');
    make('lost', 'text', { synced: false });
    for (let seed = 0; seed < 20; seed++) {
      const target = `${directory}.after-${seed}`;
      disk.record.writeSurvivors(target, seededRandom(seed));
      expect(readFileSync(join(target, 'kept'), 'utf8')).toBe('text');
    }
  });

  test('of names that were not synced a beginning survives: the order of a directory holds', () => {
    const change = (name: string, id: string | null) => ({ directory: '', change: { [name]: id } });
    const lines = [change('a', '1'), { directory: '', syncing: 't' }, { synced: 't' }];
    const journal = readJournal([...lines, change('b', '2'), change('a', null)]);
    const left = (chance: number) => [...survivingNames(journal, '', () => chance).keys()];
    expect([left(0), left(0.5), left(0.99)]).toEqual([['a'], ['a', 'b'], ['b']]);
    expect([...survivingNames(journal, '', undefined).keys()]).toEqual(['a']);
  });

  test('names that change while a sync runs are not covered by it', () => {
    const journal = readJournal([
      { directory: '', change: { a: '1' } },
      { directory: '', syncing: 't' },
      { directory: '', change: { b: '2' } },
      { synced: 't' },
    ]);
    expect([...survivingNames(journal, '', undefined).keys()]).toEqual(['a']);
  });
});

test('a process that is killed leaves, after the cut, what it and its threads had synced', async () => {
  disk.unwatch();
  const program = `
    import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
    import { isMainThread, parentPort, Worker } from 'node:worker_threads';
    const name = isMainThread ? 'main' : 'thread';
    const fd = openSync(name, 'wx');
    writeSync(fd, 'synced');
    fsyncSync(fd);
    writeSync(fd, ', lost');
    const directory = openSync('.', 'r');
    fsyncSync(directory);
    if (isMainThread) {
      new Worker(new URL(import.meta.url)).on('message', () => {
        closeSync(openSync('lost', 'wx'));
        console.log('ready');
      });
    } else {
      parentPort.postMessage('ready');
    }
    setInterval(() => undefined, 1000);`;
  const file = join(directory, '../program.mjs');
  writeFileSync(file, program);
  const child = spawn(process.execPath, ['--import', resolve(import.meta.dirname, 'power-cut.ts'), file], {
    cwd: directory,
    env: { ...process.env, [POWER_CUT_DIRECTORY]: directory },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await exited;
  expect(readFileSync(at('main'), 'utf8')).toBe('synced, lost');
  new DiskRecord(directory, recordOf(directory)).cut();
  expect(readdirSync(directory).sort()).toEqual(['main', 'thread']);
  expect([readFileSync(at('main'), 'utf8'), readFileSync(at('thread'), 'utf8')]).toEqual([
    'synced',
    'synced',
  ]);
  expect(existsSync(recordOf(directory))).toBe(false);
});
