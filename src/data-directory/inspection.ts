// Looks at a data directory before anything in it is opened: whose it is, who else may write there, what was put there.
import { accessSync, chmodSync, constants, lstatSync, readdirSync, statSync, type Stats } from 'node:fs';
import { basename, join } from 'node:path';
import { TailraceError } from '../core/errors.ts';
import { quoted } from '../core/shell.ts';
import {
  FileRefused,
  isOurs,
  makePrivate,
  modeText,
  notAFile,
  ownershipCure,
  ownUser,
  refusalOf,
  sqliteFiles,
} from './files.ts';
import { LOCK_FILE } from './lock.ts';
import { INSTANCE_FILE } from './places.ts';

/** Made by the file system, not by us; often nobody but root may look into it. */
const LOST_AND_FOUND = 'lost+found';
const SHARED = 0o022;
const STICKY = 0o1000;
const ROOMS: readonly string[] = ['log', 'ledger'];

/**
 * Everything of ours is made private (0600, directories 0700), whatever made it so; what cannot be is in the answer, in words for the
 * operator. Throws DATA_DIRECTORY_REFUSED when something in it is not what it should be, or belongs to somebody else.
 *
 * A directory that others can write is tightened where it is ours alone; a volume that is handed to us (in Kubernetes: root's, writable by
 * the group of `fsGroup`) is used as it is, with a word, and there whatever is not ours is refused.
 */
export function inspectDirectory(dataDir: string, storeFile: string): readonly string[] {
  const top = statSync(dataDir);
  try {
    requireAccess(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    const inspection = new Inspection(dataDir, top);
    for (const file of [...sqliteFiles(join(dataDir, LOCK_FILE)), ...sqliteFiles(storeFile)])
      inspection.file(file);
    inspection.file(join(dataDir, INSTANCE_FILE));
    for (const room of ROOMS) inspection.room(join(dataDir, room));
    return [...tighten(dataDir, top, basename(storeFile)), ...inspection.notes()];
  } catch (error) {
    throw error instanceof FileRefused ? refused(dataDir, error) : error;
  }
}

class Inspection {
  readonly #top: Stats;
  readonly #dataDir: string;
  #tightened = 0;

  constructor(dataDir: string, top: Stats) {
    this.#dataDir = dataDir;
    this.#top = top;
  }

  /** One that must be a file that we can use, or not there. */
  file(path: string): void {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return;
    if (!stats.isFile()) throw notAFile(path, stats);
    this.#requireKnownOwner(path, stats);
    requireAccess(path, constants.R_OK | constants.W_OK);
    this.#tighten(path, stats);
  }

  /** A directory of directories of files. What is wrong with one of those files says whoever needs it: one sink, or one database. */
  room(path: string): void {
    for (const inner of this.#directory(path)) {
      const inside = join(path, inner);
      const stats = lstatSync(inside, { throwIfNoEntry: false });
      if (stats === undefined || stats.isFile()) continue;
      for (const name of this.#directory(inside)) {
        const file = join(inside, name);
        const found = lstatSync(file, { throwIfNoEntry: false });
        if (found?.isFile() === true) this.#tighten(file, found);
      }
    }
  }

  /** The names in it, once nobody else has anything to do with it. */
  #directory(path: string): string[] {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return [];
    if (!stats.isDirectory()) throw notADirectory(path, stats);
    this.#requireKnownOwner(path, stats);
    requireAccess(path, constants.R_OK | constants.W_OK | constants.X_OK);
    this.#tighten(path, stats);
    return readdirSync(path).filter((name) => name !== LOST_AND_FOUND);
  }

  /** Where others can write, what is neither ours nor of who owns the directory may have been planted. */
  #requireKnownOwner(path: string, stats: Stats): void {
    const known = [ownUser(), 0, this.#top.uid];
    if ((this.#top.mode & SHARED) === 0 || ownUser() === undefined || known.includes(stats.uid)) return;
    throw new FileRefused(
      `${path} belongs to user ${stats.uid}, in a directory that others can write (mode ${modeText(this.#top)}), and Tailrace runs as user ${ownUser()}`,
      { code: 'EPERM', cure: `look at what it is; if it is Tailrace's own: ${ownershipCure(this.#dataDir)}` },
    );
  }

  #tighten(path: string, stats: Stats): void {
    if (makePrivate(path, stats)) this.#tightened++;
  }

  notes(): string[] {
    return this.#tightened === 0
      ? []
      : [
          `${this.#tightened} files and directories in ${this.#dataDir} were open to others: they are private now`,
        ];
  }
}

function requireAccess(path: string, wanted: number): void {
  try {
    accessSync(path, wanted);
  } catch (error) {
    throw refusalOf(path, error);
  }
}

const notADirectory = (path: string, stats: Stats): FileRefused =>
  stats.isSymbolicLink()
    ? new FileRefused(`${path} is a symbolic link, where a directory of Tailrace's belongs`, {
        code: 'ENOTDIR',
        cure: 'links are not followed: put the directory in its place, or mount it there',
      })
    : new FileRefused(`${path} is no directory`, { code: 'ENOTDIR', cure: `move ${quoted(path)} away` });

/** What else lies in it is nobody's business of ours, and neither is who may write there. */
const isOursAlone = (dataDir: string, top: Stats, store: string): boolean =>
  isOurs(top) &&
  (top.mode & STICKY) === 0 &&
  readdirSync(dataDir).every(
    (name) =>
      name === LOST_AND_FOUND ||
      name.startsWith(INSTANCE_FILE) ||
      ROOMS.includes(name) ||
      name.startsWith(LOCK_FILE) ||
      name.startsWith(store),
  );

function tighten(dataDir: string, top: Stats, store: string): string[] {
  if ((top.mode & SHARED) === 0) return [];
  if (isOursAlone(dataDir, top, store)) {
    try {
      chmodSync(dataDir, top.mode & 0o7777 & ~SHARED);
    } catch {
      // As where it is not ours.
    }
    const now = statSync(dataDir);
    if ((now.mode & SHARED) === 0) {
      return [
        `others could write the data directory ${dataDir} (mode ${modeText(top)}): it is ${modeText(now)} now`,
      ];
    }
  }
  return [
    `others can write the data directory ${dataDir} (mode ${modeText(top)}, user ${top.uid}, group ${top.gid}): they cannot read what is in it, and can take it away; name a directory below it, which is made for Tailrace's user alone: --data-dir ${quoted(join(dataDir, 'tailrace'))}`,
  ];
}

const refused = (dataDir: string, { message, cure, cause }: FileRefused): TailraceError =>
  new TailraceError(`the data directory ${dataDir} cannot be used: ${message}`, {
    code: 'DATA_DIRECTORY_REFUSED',
    kind: 'fatal',
    hint:
      cure === undefined ? 'choose another with --data-dir' : `${cure}; or choose another with --data-dir`,
    cause,
  });
