// Reading a ledger that was left behind: what it says as a whole, record by record, in memory that does not follow its size.
import { closeSync, constants, fstatSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { SETTLED_PARTS, type SettledPart } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import { toLsn, type Lsn } from '../../core/lsn.ts';
import { comparePositions, ORIGIN, type Position } from '../../core/position.ts';
import { openFile } from '../../data-directory/files.ts';
import {
  CURSOR1_BYTES,
  CURSOR_BYTES,
  damaged,
  decodeHeader,
  HOLE_BYTES,
  MAX_HEADER_BYTES,
  POSITION_BYTES,
  RANGE_BYTES,
  readCursor,
  readPosition,
  RECORD,
  RECORD_HEADER_BYTES,
  unreadable,
  type Cursor,
  type LedgerIdentity,
} from './format.ts';
import { PositionRanges, type PositionRange } from './position-ranges.ts';
import { isBefore, Restored } from './restored.ts';

const READ_BYTES = 256 * 1024;
const SETTLED1_BYTES = 12;

/** Whose ledger is looked for. */
export type LedgerOwner = Pick<LedgerIdentity, 'database' | 'sink'>;

/** A ledger's file as it was found. Nothing of the file is changed by reading it. */
export type StoredLedger = {
  readonly file: string;
  readonly identity: LedgerIdentity;
  readonly restored: Restored;
  /** The records that may be believed: `[start, end)` of the file. */
  readonly start: number;
  readonly end: number;
  /** Bytes after that: a torn write, or damage. */
  readonly cutBytes: number;
};

/**
 * Reads a sink's ledger. Undefined: there is none, or none that was ever finished (an empty file after a power cut, a crash
 * while it was made). Throws LEDGER_DAMAGED, LEDGER_UNREADABLE, LEDGER_VERSION, LEDGER_IDENTITY.
 */
export function readLedger(file: string, owner: LedgerOwner): StoredLedger | undefined {
  const stored = readStored(file);
  if (stored === undefined) return undefined;
  const { database, sink } = stored.identity;
  if (database === owner.database && sink === owner.sink) return stored;
  stored.restored.close();
  throw new TailraceError(`${file} belongs to sink "${sink}" of database "${database}"`, {
    code: 'LEDGER_IDENTITY',
    kind: 'fatal',
    hint: 'every service needs a data directory of its own; where the file was copied here, put the ledger of this sink in its place, or move it away: the sink then delivers again all that the change log still holds',
  });
}

/** The highest epoch that a ledger in `directory` knows; -1: none knows any. */
export function highestEpochIn(directory: string): number {
  let highest = -1;
  for (const name of readdirSync(directory)) {
    if (!name.endsWith('.ledger')) continue;
    let stored: StoredLedger | undefined;
    try {
      stored = readStored(join(directory, name));
    } catch (error) {
      // Whoever takes it says what is wrong with it.
      if (error instanceof TailraceError) continue;
      throw error;
    }
    stored?.restored.close();
    highest = Math.max(highest, stored?.restored.end.epoch ?? -1);
  }
  return highest;
}

function readStored(file: string): StoredLedger | undefined {
  let fd: number;
  try {
    fd = openFile(file, constants.O_RDONLY);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, MAX_HEADER_BYTES));
    const header = decodeHeader(bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)), file);
    if (header === 'unfinished') return undefined;
    const { identity, byteLength: start } = header;
    const { restored, end, isTorn } = replay(file, { fd, start, size });
    if (restored !== undefined) return { file, identity, restored, start, end, cutBytes: size - end };
    // Version 1 made its files before it knew the first cursor.
    if (isTorn) return undefined;
    throw damaged(file);
  } catch (error) {
    throw error instanceof TailraceError ? error : unreadable(file, error);
  } finally {
    closeSync(fd);
  }
}

/** What the records say, up to the first that is not whole. */
class Replay {
  readonly #unsettled: PositionRanges;
  readonly #settled: PositionRanges;
  readonly #parts: Readonly<Record<SettledPart, PositionRanges>>;
  #cursor: Cursor | undefined;
  #head: Position = ORIGIN;
  #end: Position = ORIGIN;

  constructor(file: string) {
    this.#unsettled = new PositionRanges(`${file}.unsettled`);
    this.#settled = new PositionRanges(`${file}.settled`);
    this.#parts = {
      delete: new PositionRanges(`${file}.deletes`),
      insert: new PositionRanges(`${file}.inserts`),
      schema: new PositionRanges(`${file}.schemas`),
      begin: new PositionRanges(`${file}.begins`),
      row: new PositionRanges(`${file}.rows`),
    };
  }

  /** The record's payload is `bytes[payload, end)`. */
  take(bytes: Buffer, payload: number, end: number): void {
    const body = payload + 1;
    switch (bytes[payload]!) {
      case RECORD.ranges:
        this.#takeRanges(this.#settled, bytes, body, end);
        break;
      case RECORD.deletes:
        this.#takeRanges(this.#parts.delete, bytes, body, end);
        break;
      case RECORD.inserts:
        this.#takeRanges(this.#parts.insert, bytes, body, end);
        break;
      case RECORD.schemas:
        this.#takeRanges(this.#parts.schema, bytes, body, end);
        break;
      case RECORD.begins:
        this.#takeRanges(this.#parts.begin, bytes, body, end);
        break;
      case RECORD.rows:
        this.#takeRanges(this.#parts.row, bytes, body, end);
        break;
      case RECORD.settled1:
        this.#takeSettled1(bytes, body, end);
        break;
      case RECORD.prefix:
        this.#moveTo(readCursor(bytes, body, 2));
        break;
      case RECORD.cursor1:
        this.#moveTo(readCursor(bytes, body, 1));
        break;
      case RECORD.holes:
        this.#takeHead(readCursor(bytes, body, 2), readPosition(bytes, body + CURSOR_BYTES));
        for (let at = body + CURSOR_BYTES + POSITION_BYTES + 4; at < end; at += HOLE_BYTES) {
          this.#unsettled.add({ epoch: bytes.readUInt32BE(at), ...rangeAt(bytes, at + 4) });
        }
        break;
      case RECORD.base1:
        this.#takeHead(readCursor(bytes, body, 1), readPosition(bytes, body + CURSOR1_BYTES));
        for (let at = body + CURSOR1_BYTES + POSITION_BYTES + 4; at < end; at += POSITION_BYTES) {
          const { epoch, commitLsn, index } = readPosition(bytes, at);
          this.#unsettled.add({ epoch, commitLsn, first: index, last: index });
        }
        break;
      default:
      // A checksum that fits over something that nobody wrote: it says nothing.
    }
  }

  result(): Restored | undefined {
    if (this.#cursor === undefined) {
      this.#unsettled.close();
      this.#settled.close();
      for (const part of SETTLED_PARTS) this.#parts[part].close();
      return undefined;
    }
    return new Restored({
      cursor: this.#cursor,
      head: this.#head,
      unsettled: this.#unsettled,
      settled: this.#settled,
      parts: this.#parts,
      end: this.#end,
    });
  }

  #takeRanges(set: PositionRanges, bytes: Buffer, body: number, end: number): void {
    const epoch = bytes.readUInt32BE(body);
    for (let at = body + 8; at < end; at += RANGE_BYTES) this.#settle(set, { epoch, ...rangeAt(bytes, at) });
  }

  #takeSettled1(bytes: Buffer, body: number, end: number): void {
    const epoch = bytes.readUInt32BE(body);
    for (let at = body + 8; at < end; at += SETTLED1_BYTES) {
      const index = bytes.readUInt32BE(at + 8);
      const commitLsn = toLsn(bytes.readBigUInt64BE(at));
      this.#settle(this.#settled, { epoch, commitLsn, first: index, last: index });
    }
  }

  #settle(set: PositionRanges, range: PositionRange): void {
    const { epoch, commitLsn, last } = range;
    // What the cursor has passed is settled anyway.
    const { position } = this.#cursor ?? { position: ORIGIN };
    if (isBefore(epoch, commitLsn, last, position)) return;
    set.add(range);
    if (!isBefore(epoch, commitLsn, last, this.#end)) this.#end = { epoch, commitLsn, index: last };
  }

  #takeHead(cursor: Cursor, head: Position): void {
    this.#moveTo(cursor);
    this.#head = head;
    this.#reach(head);
  }

  #moveTo(cursor: Cursor): void {
    this.#cursor = cursor;
    if (comparePositions(cursor.position, this.#head) > 0) this.#head = cursor.position;
    this.#reach(cursor.position);
  }

  #reach(position: Position): void {
    if (comparePositions(position, this.#end) > 0) this.#end = position;
  }
}

const rangeAt = (bytes: Buffer, at: number): { commitLsn: Lsn; first: number; last: number } => ({
  commitLsn: toLsn(bytes.readBigUInt64BE(at)),
  first: bytes.readUInt32BE(at + 8),
  last: bytes.readUInt32BE(at + 12),
});

type Replayed = {
  /** Undefined: no record says where the sink stood. */
  readonly restored: Restored | undefined;
  /** End of the last record that is whole. */
  readonly end: number;
  /** What follows was never written in full, as far as can be seen. Else it is damaged. */
  readonly isTorn: boolean;
};

function replay(
  file: string,
  { fd, start, size }: { readonly fd: number; readonly start: number; readonly size: number },
): Replayed {
  const found = new Replay(file);
  let buffer = Buffer.allocUnsafe(READ_BYTES);
  /** `buffer[0, length)` is the file from `offset` on. */
  let offset = start;
  let length = 0;
  const fill = (from: number, wanted: number): boolean => {
    if (from + wanted > size) return false;
    if (from + wanted <= offset + length) return true;
    if (wanted > buffer.length) buffer = Buffer.allocUnsafe(wanted);
    length = readSync(fd, buffer, 0, Math.min(buffer.length, size - from), from);
    offset = from;
    return length >= wanted;
  };
  let at = start;
  let isTorn = true;
  while (fill(at, RECORD_HEADER_BYTES)) {
    const payloadBytes = buffer.readUInt32BE(at - offset);
    if (payloadBytes === 0 || !fill(at, RECORD_HEADER_BYTES + payloadBytes)) break;
    const payload = at - offset + RECORD_HEADER_BYTES;
    const end = payload + payloadBytes;
    isTorn = crc32(buffer.subarray(payload, end)) === buffer.readUInt32BE(payload - 4);
    if (!isTorn) break;
    found.take(buffer, payload, end);
    at += RECORD_HEADER_BYTES + payloadBytes;
  }
  return { restored: found.result(), end: at, isTorn };
}
