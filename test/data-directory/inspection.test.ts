// Whose a data directory is, who else may write there, and what was put there before us.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { TailraceError } from '../../src/core/errors.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { makeDirectory, makeDirectorySync } from '../../src/data-directory/directory.ts';
import { inspectDirectory } from '../../src/data-directory/inspection.ts';
import { lockDirectory } from '../../src/data-directory/lock.ts';
import { writeLookFile } from '../../src/store/look-file.ts';
import { openLeaseStore } from '../../src/store/leases.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { append, messagesOf, openTestLog, scratchDirectory } from '../log/stream.ts';
import { openLedger } from '../support/ledger.ts';
import { letterAt, SINK } from '../support/letters.ts';
import { look } from '../support/looks.ts';

const isRoot = process.geteuid?.() === 0;
const OTHER = 65_534;
const THIRD = 65_533;

function dataDirectory(mode = 0o700): string {
  const directory = join(scratchDirectory(), 'data');
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, mode);
  return directory;
}

const inspect = (directory: string): readonly string[] =>
  inspectDirectory(directory, join(directory, 'tailrace.db'));

const modesBelow = (directory: string): [string, string][] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => [
    name,
    (lstatSync(join(directory, name)).mode & 0o777).toString(8),
  ]);

/** Files and directories that are not private. */
const openIn = (directory: string): [string, string][] =>
  modesBelow(directory).filter(
    ([name, mode]) => mode !== (lstatSync(join(directory, name)).isDirectory() ? '700' : '600'),
  );

/** Everything that a service makes there, open at the same time: with what SQLite has beside its files. */
async function useDirectory(directory: string): Promise<() => void> {
  const lock = lockDirectory(directory);
  const store = openStore(join(directory, 'tailrace.db'));
  store.deadLetters.add(letterAt(1), new Date());
  const logs = join(directory, 'log/shop');
  const ledgers = join(directory, 'ledger/shop');
  await makeDirectory(logs);
  await makeDirectory(ledgers);
  const { log } = await openTestLog(logs);
  append(log, messagesOf({ commitLsn: 1000n, rows: 2 }));
  await log.remember({ flushed: toLsn(10n) });
  writeLookFile(logs, { look: look(), open: [], salts: [] });
  const ledger = openLedger(join(ledgers, 'users.ledger'), SINK);
  const leases = openLeaseStore(join(ledgers, 'users.leases'));
  leases.save(['a'], { visibleAtMs: 1, acked: false });
  return () => {
    leases.close();
    ledger.close();
    store.close();
    lock.release();
  };
}

test('whatever the umask is, all that is made there is private, also what SQLite makes beside its files', async () => {
  const umask = process.umask(0);
  onTestFinished(() => void process.umask(umask));
  const directory = join(scratchDirectory(), 'data');
  const release = await useDirectory(directory);
  const names = modesBelow(directory).map(([name]) => name);
  expect(names).toEqual(
    expect.arrayContaining(['tailrace.db-wal', 'tailrace.db-shm', 'ledger/shop/users.leases-wal']),
  );
  expect(openIn(directory)).toEqual([]);
  release();
});

test('what was left open to others is made private, with a word', async () => {
  const directory = dataDirectory();
  (await useDirectory(directory))();
  for (const [name] of modesBelow(directory)) {
    const path = join(directory, name);
    chmodSync(path, statSync(path).isDirectory() ? 0o755 : 0o644);
  }
  const [note, ...rest] = inspect(directory);
  expect(note).toMatch(/^\d+ files and directories in .* were open to others: they are private now$/);
  expect(rest).toEqual([]);
  expect(openIn(directory)).toEqual([]);
  expect(inspect(directory)).toEqual([]);
});

test('a directory of ours alone that others can write is tightened, with a word', () => {
  const directory = dataDirectory(0o2775);
  expect(inspect(directory)).toEqual([expect.stringContaining('(mode 2775): it is 2755 now')]);
  expect(inspect(directory)).toEqual([]);
});

test.each([
  ['holds other things too', 0o777, 'somebody.txt'],
  ['is a shared place', 0o1777, undefined],
])('one that %s is left as it is, with a word that names a better place', (_, mode, other) => {
  const directory = dataDirectory(mode);
  if (other !== undefined) writeFileSync(join(directory, other), '');
  expect(inspect(directory)).toEqual([expect.stringContaining(`--data-dir ${join(directory, 'tailrace')}`)]);
  expect(statSync(directory).mode & 0o7777).toBe(mode);
});

test.each(['log', 'ledger', 'lock.db', 'tailrace.db', 'tailrace.db-wal', 'log/shop'])(
  'a link that stands for %s is not followed',
  (name) => {
    const directory = dataDirectory();
    const elsewhere = scratchDirectory();
    mkdirSync(join(directory, 'log'));
    mkdirSync(elsewhere, { recursive: true });
    if (name === 'log') execFileSync('rmdir', [join(directory, 'log')]);
    symlinkSync(elsewhere, join(directory, name));
    expect(() => inspect(directory)).toThrow(
      expect.objectContaining({
        code: 'DATA_DIRECTORY_REFUSED',
        message: expect.stringContaining(`${join(directory, name)} is a symbolic link`) as string,
        hint: expect.stringContaining('links are not followed') as string,
      }),
    );
    expect(readdirSync(elsewhere)).toEqual([]);
  },
);

const modules = resolve(import.meta.dirname, '../../src');

/** What a process of another user says that opens the directory as the service does. */
function asUser(
  uid: number,
  directory: string,
): { notes?: string[]; error?: { code: string; message: string; hint: string } } {
  const program = `
    const { inspectDirectory } = await import(${JSON.stringify(join(modules, 'data-directory/inspection.ts'))});
    const { lockDirectory } = await import(${JSON.stringify(join(modules, 'data-directory/lock.ts'))});
    const { makeDirectory } = await import(${JSON.stringify(join(modules, 'data-directory/directory.ts'))});
    const { openStore } = await import(${JSON.stringify(join(modules, 'store/sqlite.ts'))});
    const directory = ${JSON.stringify(directory)};
    try {
      const notes = inspectDirectory(directory, directory + '/tailrace.db');
      const lock = lockDirectory(directory);
      const store = openStore(directory + '/tailrace.db');
      await makeDirectory(directory + '/log/shop');
      store.close();
      lock.release();
      console.log(JSON.stringify({ notes }));
    } catch ({ code, message, hint }) {
      console.log(JSON.stringify({ error: { code, message, hint } }));
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    uid,
    gid: uid,
    cwd: '/',
    encoding: 'utf8',
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as never;
}

/** Reachable for every user. */
function openToAll(mode: number, owner: number, group: number): string {
  const scratch = scratchDirectory();
  mkdirSync(scratch, { recursive: true });
  chmodSync(scratch, 0o755);
  const directory = join(scratch, "it's data");
  mkdirSync(directory);
  chownSync(directory, owner, group);
  chmodSync(directory, mode);
  return directory;
}

test.skipIf(!isRoot)(
  "a volume of root's that our group may write (fsGroup of Kubernetes) is used, with a word",
  () => {
    const directory = openToAll(0o2775, 0, OTHER);
    mkdirSync(join(directory, 'lost+found'), { mode: 0o700 });
    const { notes } = asUser(OTHER, directory);
    expect(notes).toEqual([expect.stringContaining('(mode 2775, user 0, group 65534)')]);
    const ours = modesBelow(directory).filter(([name]) => name !== 'lost+found');
    expect(ours.map(([name]) => name).sort()).toEqual(['lock.db', 'log', 'log/shop', 'tailrace.db']);
    expect(openIn(directory)).toEqual([]);
    // What somebody else has put there is not touched.
    chownSync(join(directory, 'tailrace.db'), THIRD, OTHER);
    chmodSync(join(directory, 'tailrace.db'), 0o666);
    expect(asUser(OTHER, directory).error).toMatchObject({
      code: 'DATA_DIRECTORY_REFUSED',
      message: expect.stringMatching(
        /tailrace\.db belongs to user 65533, in a directory that others can write/,
      ) as string,
    });
  },
);

test.skipIf(!isRoot)(
  'a directory that another user has used is named with the chown that cures it, and that does',
  async () => {
    const directory = openToAll(0o755, 0, 0);
    (await useDirectory(directory))();
    const { error } = asUser(OTHER, directory);
    expect(error).toMatchObject({
      code: 'DATA_DIRECTORY_REFUSED',
      message: expect.stringMatching(
        /belongs to user 0 \(mode 0755\), and Tailrace runs as user 65534 \(EACCES\)/,
      ) as string,
    });
    const cure = /chown -R \d+:\d+ .*?(?=; or )/.exec(error!.hint)![0];
    expect(cure).toContain(`chown -R ${OTHER}:${OTHER} `);
    execFileSync('sh', ['-c', cure]);
    expect(asUser(OTHER, directory)).toEqual({ notes: [] });
    // One file alone, too: below a directory of ours.
    chownSync(join(directory, 'tailrace.db'), 0, 0);
    const one = asUser(OTHER, directory).error!;
    expect(one.message).toContain(`${join(directory, 'tailrace.db')} belongs to user 0`);
    execFileSync('sh', ['-c', /chown -R \d+:\d+ .*?(?=; or )/.exec(one.hint)![0]]);
    expect(asUser(OTHER, directory)).toEqual({ notes: [] });
  },
);

test.skipIf(!isRoot)(
  'a directory without rights for its own user is named with the chmod that cures it',
  () => {
    const directory = openToAll(0o500, OTHER, OTHER);
    const { error } = asUser(OTHER, directory);
    expect(error!.message).toContain(`${directory} belongs to user ${OTHER} (mode 0500)`);
    execFileSync('sh', ['-c', /chmod .*?(?=; or )/.exec(error!.hint)![0]]);
    expect(asUser(OTHER, directory)).toEqual({ notes: [] });
  },
);

test.skipIf(!isRoot)('what is somebody else’s is left as it is, though root could change it', async () => {
  const directory = openToAll(0o755, 0, 0);
  (await useDirectory(directory))();
  inspect(directory);
  const ledger = join(directory, 'ledger/shop/users.ledger');
  chownSync(ledger, OTHER, OTHER);
  chmodSync(ledger, 0o644);
  expect(inspect(directory)).toEqual([]);
  expect(statSync(ledger).mode & 0o777).toBe(0o644);
  // The directory itself, too.
  const theirs = openToAll(0o777, OTHER, OTHER);
  expect(inspect(theirs)).toEqual([expect.stringContaining(`(mode 0777, user ${OTHER}, group ${OTHER})`)]);
  expect(statSync(theirs).mode & 0o7777).toBe(0o777);
});

test.each(['/proc/x', '/proc/x/y', '/sys/x', '/dev/null', '/dev/null/x'])(
  'a data directory that cannot be (%s) is refused at once',
  (directory) => {
    expect(() => makeDirectorySync(directory)).toThrow(
      expect.objectContaining({
        code: 'DATA_DIRECTORY_UNUSABLE',
        message: expect.stringContaining(directory) as string,
        hint: expect.stringContaining('--data-dir') as string,
      }),
    );
  },
);

test.each(['/proc', '/sys'])('so is one that is there, and where nothing can be made (%s)', (directory) => {
  const use = (): void => {
    makeDirectorySync(directory);
    inspect(directory);
    lockDirectory(directory);
  };
  expect(use).toThrow(TailraceError);
  expect(use).toThrow(directory);
});
