// What a ledger asks of the disk: a port, so that tests can have full and failing disks; and files that are whole or not there.
import {
  closeSync,
  constants,
  fdatasync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
  type PathLike,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { openFile } from '../../data-directory/files.ts';

export type LedgerFiles = {
  /** Returns the bytes written, which may be fewer than given. */
  write(fd: number, bytes: Buffer, position: number): number;
  /** Waits until the disk has what was written. */
  syncData(fd: number): Promise<void>;
  sync(fd: number): void;
  rename(from: PathLike, to: PathLike): void;
  /** Makes the names in a directory durable, which is open as `fd`. */
  syncNames(fd: number): void;
};

export const LEDGER_FILES: LedgerFiles = {
  write: (fd, bytes, position) => writeSync(fd, bytes, 0, bytes.length, position),
  syncData: promisify(fdatasync),
  sync: fsyncSync,
  rename: renameSync,
  syncNames: fsyncSync,
};

/** Writes all of `bytes` at `position`. */
export function writeFully(files: LedgerFiles, fd: number, bytes: Buffer, position: number): void {
  let done = 0;
  while (done < bytes.length) done += files.write(fd, bytes.subarray(done), position + done);
}

/**
 * Puts a file of these bytes in the place of `file`, durably: a crash or a power cut leaves the old one or the new one, whole.
 * The new one is open for reading and writing.
 */
export function replaceFile(
  file: string,
  chunks: Iterable<Buffer>,
  files: LedgerFiles,
): { fd: number; size: number } {
  const temporary = `${file}.new`;
  // Before anything is changed: once the new file has the name, nothing may be missing to make that durable.
  const names = openSync(dirname(file), 'r');
  let fd: number | undefined;
  try {
    // What was left of one that did not come to its end, or planted there, is nothing to write into.
    rmSync(temporary, { force: true });
    fd = openFile(temporary, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL);
    let size = 0;
    for (const chunk of chunks) {
      writeFully(files, fd, chunk, size);
      size += chunk.length;
    }
    files.sync(fd);
    files.rename(temporary, file);
    files.syncNames(names);
    return { fd, size };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(names);
  }
}
