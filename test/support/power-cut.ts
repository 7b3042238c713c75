// A disk that forgets what was not synced: stands around `node:fs` and records, for the directories that are watched, which
// bytes and which names a power cut would leave.
//
// In a test: import it before what writes, `watchDisk(directory)`, and read what `writeSurvivors` leaves.
// In a process that is killed: `node --import …/power-cut.ts` with POWER_CUT_DIRECTORY; when it is dead,
// `new DiskRecord(directory, recordOf(directory)).cut(chance)` undoes what was not synced.
//
// A file's bytes are durable after fsync or fdatasync of it, its name after fsync of its directory, and nothing else is:
// stricter than most file systems, as POSIX allows. What writes in a way that is not known here is refused, by name,
// rather than overlooked. Each thread must load this (threads inherit --import).
import fs, { type PathLike } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DiskRecord, entryIdOf } from './power-cut-disk.ts';
import { bytesOf, takeRoom, writingOf } from './power-cut-room.ts';
import { refuseByDescriptor, refuseByPath, unknownHere, type Callable } from './power-cut-refusals.ts';
import { DIRECTORY, type EntryId } from './power-cut-survivors.ts';
import { UnsyncedBytes } from './power-cut-unsynced.ts';

/** The variable that names the directory to watch from the start on. */
export const POWER_CUT_DIRECTORY = 'POWER_CUT_DIRECTORY';
export const recordOf = (directory: string): string => `${directory}.power-cut`;

const real = { ...fs, promises: { ...fs.promises } };

type Disk = {
  readonly record: DiskRecord;
  readonly unsynced: UnsyncedBytes;
  failing: boolean;
  /** Bytes that it still takes. */
  room: number;
};

type OpenFile = {
  readonly disk: Disk;
  readonly id: EntryId;
  /** Relative; of a directory. */
  readonly directory: string;
  /** The file once more, for reading. */
  readonly reader: number;
};

const disks = new Set<Disk>();
const openFiles = new Map<number, OpenFile>();

export type WatchedDisk = {
  readonly record: DiskRecord;
  /**
   * From now on syncs of files fail, or work again. What a failed one should have covered is lost to later ones, as on
   * Linux. https://wiki.postgresql.org/wiki/Fsync_Errors
   */
  fail(failing: boolean): void;
  /** From now on it takes so many bytes more: of a write what fits, and of the next nothing. Infinity: as many as come. */
  leaveRoom(bytes: number): void;
  /** How many it still takes. */
  readonly room: number;
  /** From now on nothing is recorded. */
  unwatch(): void;
};

/** Takes what `directory` holds for durable (or goes on with the record that is there), and records what comes. */
export function watchDisk(directory: string): WatchedDisk {
  const path = fs.realpathSync(directory);
  const disk: Disk = {
    record: new DiskRecord(path, recordOf(path)),
    unsynced: new UnsyncedBytes(),
    failing: false,
    room: Infinity,
  };
  disks.add(disk);
  return {
    record: disk.record,
    fail: (failing) => void (disk.failing = failing),
    leaveRoom: (bytes) => void (disk.room = bytes),
    get room() {
      return disk.room;
    },
    unwatch: () => void disks.delete(disk),
  };
}

const absolute = (path: PathLike): string =>
  resolve(path instanceof URL ? fileURLToPath(path) : path.toString());

function diskOf(path: unknown): Disk | undefined {
  if (typeof path !== 'string' && !Buffer.isBuffer(path) && !(path instanceof URL)) return undefined;
  const full = absolute(path);
  return disks
    .values()
    .find(({ record: { directory } }) => full === directory || full.startsWith(directory + sep));
}

/** Where a path stands: the directory of its name, and the name. */
function placeOf({ record }: Disk, path: PathLike): { readonly directory: string; readonly name: string } {
  const inside = relative(record.directory, absolute(path));
  const directory = dirname(inside);
  return { directory: directory === '.' ? '' : directory, name: inside.slice(inside.lastIndexOf(sep) + 1) };
}

function changeName(disk: Disk, path: PathLike, id: EntryId | null): void {
  const { directory, name } = placeOf(disk, path);
  disk.record.change(directory, { [name]: id });
}

/** Before the file at `path`, if there is one, loses its name. */
function holdFile(disk: Disk, path: PathLike): void {
  if (!real.existsSync(path)) return;
  const id = entryIdOf(absolute(path));
  if (id !== DIRECTORY) disk.record.hold(id, absolute(path));
}

function changed(fd: number): void {
  const file = openFiles.get(fd);
  file?.disk.unsynced.changed(file.id);
}

/** What is to be recorded once the disk has answered a sync that begins now; throws where it fails. */
function syncing(fd: number): () => void {
  const file = openFiles.get(fd);
  if (file === undefined) return () => undefined;
  const { disk, id, directory, reader } = file;
  if (id === DIRECTORY) {
    const token = disk.record.syncing(directory);
    return () => disk.record.synced(token);
  }
  const { size, pieces } = disk.unsynced.take(id, reader);
  if (disk.failing) throw Object.assign(new Error('the disk is failing'), { code: 'EIO' });
  return () => disk.record.keep(id, size, pieces);
}

function openSync(path: PathLike, flags: string | number = 'r', mode?: fs.Mode | null): number {
  const disk = diskOf(path);
  if (disk === undefined) return real.openSync(path, flags, mode);
  const isNew = !real.existsSync(path);
  const fd = real.openSync(path, flags, mode);
  const id = entryIdOf(absolute(path));
  if (isNew) {
    disk.record.made(id);
    changeName(disk, path, id);
  } else if (truncates(flags)) disk.unsynced.changed(id);
  const directory = id === DIRECTORY ? relative(disk.record.directory, absolute(path)) : '';
  const reader = id === DIRECTORY ? fd : real.openSync(path, 'r');
  openFiles.set(fd, { disk, id, directory, reader });
  return fd;
}

const truncates = (flags: string | number): boolean =>
  typeof flags === 'number' ? (flags & fs.constants.O_TRUNC) !== 0 : flags.startsWith('w');

function forget(fd: number): void {
  const file = openFiles.get(fd);
  openFiles.delete(fd);
  if (file !== undefined && file.reader !== fd) real.closeSync(file.reader);
}

function closeSync(fd: number): void {
  forget(fd);
  real.closeSync(fd);
}

function writeSync(fd: number, data: NodeJS.ArrayBufferView | string, ...rest: unknown[]): number {
  const file = openFiles.get(fd);
  if (file === undefined) return (real.writeSync as (...all: unknown[]) => number)(fd, data, ...rest);
  const { bytes, position } = writingOf(data, rest);
  return writeWhatFits(fd, file, bytes, position);
}

function writevSync(
  fd: number,
  buffers: readonly NodeJS.ArrayBufferView[],
  position?: number | null,
): number {
  const file = openFiles.get(fd);
  if (file === undefined) return real.writevSync(fd, buffers, position ?? undefined);
  return writeWhatFits(fd, file, Buffer.concat(buffers.map(bytesOf)), position);
}

function writeWhatFits(fd: number, { disk, id }: OpenFile, bytes: Buffer, position: unknown): number {
  const length = takeRoom(disk, bytes.length);
  const count = real.writeSync(fd, bytes, 0, length, position as number | null | undefined);
  disk.unsynced.wrote(id, position, count);
  return count;
}

type WriteOptions = fs.WriteFileOptions;

function writeFileSync(
  path: fs.PathOrFileDescriptor,
  data: string | NodeJS.ArrayBufferView,
  options?: WriteOptions,
): void {
  if (typeof path === 'number') {
    real.writeFileSync(path, data, options);
    changed(path);
    return;
  }
  const disk = diskOf(path);
  if (disk === undefined) return real.writeFileSync(path, data, options);
  const { flag = 'w', mode = 0o666 } = typeof options === 'object' && options !== null ? options : {};
  const fd = openSync(path, flag, mode);
  try {
    if (disk.room < Infinity) throw unknownHere('writeFile on a disk that is nearly full', path);
    real.writeFileSync(fd, data, options);
    changed(fd);
  } finally {
    closeSync(fd);
  }
}

function ftruncateSync(fd: number, length?: number): void {
  real.ftruncateSync(fd, length);
  changed(fd);
}

function truncateSync(path: PathLike, length?: number): void {
  real.truncateSync(path, length);
  const disk = diskOf(path);
  disk?.unsynced.changed(entryIdOf(absolute(path)));
}

const syncSync =
  (sync: (fd: number) => void) =>
  (fd: number): void => {
    const done = syncing(fd);
    sync(fd);
    done();
  };

const syncLater =
  (sync: typeof fs.fsync) =>
  (fd: number, callback: fs.NoParamCallback): void => {
    let done: () => void;
    try {
      done = syncing(fd);
    } catch (error) {
      setImmediate(() => callback(error as NodeJS.ErrnoException));
      return;
    }
    sync(fd, (error) => {
      if (error === null) done();
      callback(error);
    });
  };

function renameSync(from: PathLike, to: PathLike): void {
  const disk = diskOf(from) ?? diskOf(to);
  if (disk === undefined) return real.renameSync(from, to);
  const [old, now] = [placeOf(disk, from), placeOf(disk, to)];
  const id = entryIdOf(absolute(from));
  if (diskOf(from) !== diskOf(to) || old.directory !== now.directory || id === DIRECTORY) {
    throw unknownHere('rename of a directory, or to another', from);
  }
  holdFile(disk, to);
  real.renameSync(from, to);
  disk.record.change(now.directory, { [old.name]: null, [now.name]: id });
}

function unlinkSync(path: PathLike): void {
  const disk = diskOf(path);
  if (disk !== undefined) holdFile(disk, path);
  real.unlinkSync(path);
  if (disk !== undefined) changeName(disk, path, null);
}

function rmdirSync(path: PathLike): void {
  real.rmdirSync(path);
  const disk = diskOf(path);
  if (disk !== undefined) changeName(disk, path, null);
}

function rmSync(path: PathLike, options: fs.RmOptions = {}): void {
  const stats = diskOf(path) && real.lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return real.rmSync(path, options);
  if (!stats.isDirectory()) return unlinkSync(path);
  for (const name of real.readdirSync(path)) rmSync(join(absolute(path), name), options);
  rmdirSync(path);
}

/** The directories that making `path` will make, outermost first. */
function missing(path: PathLike): string[] {
  const full = absolute(path);
  return real.existsSync(full) ? [] : [...missing(dirname(full)), full];
}

function mkdirSync(
  path: PathLike,
  options?: fs.MakeDirectoryOptions & { recursive?: boolean },
): string | undefined {
  const made = diskOf(path) === undefined ? [] : missing(path);
  const first = real.mkdirSync(path, options);
  for (const directory of made) changeName(diskOf(directory)!, directory, DIRECTORY);
  return first;
}

const isWatched = (path: unknown): boolean => diskOf(path) !== undefined;

async function mkdir(
  path: PathLike,
  options?: fs.MakeDirectoryOptions & { recursive?: boolean },
): Promise<string | undefined> {
  return isWatched(path) ? mkdirSync(path, options) : real.promises.mkdir(path, options);
}

function install(): void {
  Object.assign(
    fs,
    refuseByPath({ ...real }, isWatched),
    refuseByDescriptor({ ...real }, (fd) => openFiles.has(fd)),
    {
      openSync,
      closeSync,
      close: (fd: number, callback?: fs.NoParamCallback) => {
        forget(fd);
        real.close(fd, callback);
      },
      writeSync,
      writevSync,
      writeFileSync,
      ftruncateSync,
      truncateSync,
      fsyncSync: syncSync(real.fsyncSync),
      fdatasyncSync: syncSync(real.fdatasyncSync),
      fsync: syncLater(real.fsync),
      fdatasync: syncLater(real.fdatasync),
      renameSync,
      unlinkSync,
      rmdirSync,
      rmSync,
      mkdirSync,
      mkdir: (path: PathLike, ...rest: unknown[]) => {
        if (isWatched(path)) throw unknownHere('mkdir', path);
        (real.mkdir as Callable)(path, ...rest);
      },
    },
  );
  Object.assign(fs.promises, refuseByPath({ ...real.promises }, isWatched), { mkdir });
  syncBuiltinESMExports();
}

install();
const watched = process.env[POWER_CUT_DIRECTORY];
if (watched !== undefined) watchDisk(watched);
