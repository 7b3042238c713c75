// Opens files of the data directory: private ones, never through a symbolic link, never a pipe or a device in a file's place.
//
// Who can write into the directory could else have us write into a file of somebody else's, or wait for ever.
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
} from 'node:fs';
import { dirname } from 'node:path';
import { quoted } from '../core/shell.ts';

/** Invariant 9. */
const PRIVATE_FILE = 0o600;
export const PRIVATE_DIRECTORY = 0o700;

/** Where a system has no such flag it is undefined, which adds nothing. */
const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<typeof constants>;

/** Something else stands in a file's place, or it belongs to somebody else. `cure`: what an operator does about it. */
export class FileRefused extends Error {
  readonly code: string;
  readonly cure: string | undefined;

  constructor(
    message: string,
    { code, cure, cause }: { code: string; cure?: string | undefined; cause?: unknown },
  ) {
    super(message, { cause });
    this.name = 'FileRefused';
    this.code = code;
    this.cure = cure;
  }
}

/** What an operator does about a file that was refused; undefined: it is another error, or nothing is known to help. */
export const refusalCure = (error: unknown): string | undefined =>
  error instanceof FileRefused ? error.cure : undefined;

/**
 * Opens the file, made private where `flags` make it. Throws FileRefused, and other errors of the file system as they are
 * (ENOENT, EEXIST, ENOSPC, …).
 */
export function openFile(path: string, flags: number): number {
  let fd: number;
  try {
    // A pipe would wait for its other end. https://man7.org/linux/man-pages/man2/open.2.html
    fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, PRIVATE_FILE);
  } catch (error) {
    throw refusalOf(path, error);
  }
  const stats = fstatSync(fd);
  if (stats.isFile()) return fd;
  closeSync(fd);
  throw notAFile(path, stats);
}

/** The whole text. Throws as `openFile`. */
export function readTextFile(path: string): string {
  const fd = openFile(path, constants.O_RDONLY);
  try {
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** https://www.sqlite.org/tempfiles.html */
const SQLITE_SUFFIXES = ['', '-wal', '-shm', '-journal'] as const;

/** All files that an SQLite file may be. */
export const sqliteFiles = (file: string): string[] => SQLITE_SUFFIXES.map((suffix) => `${file}${suffix}`);

/**
 * To be called before SQLite opens `file`: SQLite follows links, and makes files by the umask; those beside the file it makes as the file
 * is. Nothing that exists is opened: closing it would let go of the locks that this process has on it.
 * https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
 * Throws as `openFile`.
 */
export function prepareSqliteFile(file: string): void {
  if (file === ':memory:') return;
  for (const path of sqliteFiles(file)) {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) continue;
    if (!stats.isFile()) throw notAFile(path, stats);
    makePrivate(path, stats);
  }
  try {
    closeSync(openFile(file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Takes from others what they may do with a file or directory of ours. Was there anything, and is it gone? */
export function makePrivate(path: string, stats: Stats): boolean {
  if ((stats.mode & 0o077) === 0 || !isOurs(stats)) return false;
  try {
    chmodSync(path, stats.isDirectory() ? PRIVATE_DIRECTORY : PRIVATE_FILE);
  } catch {
    // A file system without rights of its own: what was mounted decides.
    return false;
  }
  return (lstatSync(path).mode & 0o077) === 0;
}

/** Undefined on a system without users as numbers. */
export const ownUser = (): number | undefined => process.geteuid?.();

export const isOurs = ({ uid }: Stats): boolean => ownUser() === undefined || uid === ownUser();

/** What gives a path, and all below it, to whoever runs this. */
export const ownershipCure = (path: string): string =>
  `chown -R ${ownUser()}:${process.getegid?.()} ${quoted(path)}`;

export const notAFile = (path: string, stats: Stats): FileRefused => {
  const kind = kindOf(stats);
  return new FileRefused(`${path} is ${kind}, where a file of Tailrace's belongs`, {
    code: 'ENOTFILE',
    cure: stats.isSymbolicLink()
      ? 'links are not followed: put what it leads to in its place'
      : `move ${quoted(path)} away`,
  });
};

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  return stats.isFile() ? 'a file' : 'a device';
}

const rightsCure = (path: string, stats: Stats): string =>
  `chmod ${stats.isDirectory() ? 'u+rwx' : 'u+rw'} ${quoted(path)}`;

function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

/** What the system said, with what it did not say. */
export function refusalOf(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const stats = statsOf(path);
  switch (code ?? '') {
    case 'EISDIR':
    case 'ELOOP':
    case 'ENXIO':
      return stats === undefined ? error : notAFile(path, stats);
    case 'EACCES':
    case 'EPERM':
      // Not there, or not to be seen: it is the directory that does not let us.
      if (stats === undefined) return dirname(path) === path ? error : refusalOf(dirname(path), error);
      return new FileRefused(
        `${path} belongs to user ${stats.uid} (mode ${modeText(stats)}), and Tailrace runs as user ${ownUser()} (${code})`,
        {
          code: 'EACCES',
          cure: isOurs(stats) ? rightsCure(path, stats) : ownershipCure(path),
          cause: error,
        },
      );
    case 'EROFS':
      return new FileRefused(`${path} is on a file system that cannot be written (${code})`, {
        code: 'EROFS',
        cure: 'mount it writable',
        cause: error,
      });
    default:
      return error;
  }
}

export const modeText = ({ mode }: Stats): string => (mode & 0o7777).toString(8).padStart(4, '0');
