// Which bytes of a disk's files were written since they were synced, as far as one thread knows.
import fs from 'node:fs';
import type { Piece } from './power-cut-disk.ts';
import type { EntryId } from './power-cut-survivors.ts';

type Range = { readonly start: number; readonly end: number };
type Unsynced = { whole: boolean; readonly ranges: Range[] };

// As they are before anybody stands around them.
const { fstatSync, readSync } = fs;

/** The first sync of a file takes all of it: what others wrote is synced with it. */
export class UnsyncedBytes {
  readonly #files = new Map<EntryId, Unsynced>();

  #of(id: EntryId): Unsynced {
    const known = this.#files.get(id);
    if (known !== undefined) return known;
    const unknown: Unsynced = { whole: true, ranges: [] };
    this.#files.set(id, unknown);
    return unknown;
  }

  /** `position`: as it was given; where there is none, only the system knows it. */
  wrote(id: EntryId, position: unknown, byteCount: number): void {
    const unsynced = this.#of(id);
    if (typeof position !== 'number' || position < 0) unsynced.whole = true;
    else unsynced.ranges.push({ start: position, end: position + byteCount });
  }

  /** Bytes anywhere in it, or its size. */
  changed(id: EntryId): void {
    this.#of(id).whole = true;
  }

  /** A sync begins, of the file that `reader` reads: what it covers. */
  take(id: EntryId, reader: number): { readonly size: number; readonly pieces: readonly Piece[] } {
    const { whole, ranges } = this.#of(id);
    this.#files.set(id, { whole: false, ranges: [] });
    const { size } = fstatSync(reader);
    const wanted = whole ? [{ start: 0, end: size }] : ranges;
    return { size, pieces: wanted.map((range) => readPiece(reader, range, size)) };
  }
}

function readPiece(fd: number, { start, end }: Range, size: number): Piece {
  const bytes = Buffer.alloc(Math.max(0, Math.min(end, size) - start));
  let read = 0;
  while (read < bytes.length) read += readSync(fd, bytes, read, bytes.length - read, start + read);
  return { start, bytes };
}
