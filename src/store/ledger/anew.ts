// The bytes of a ledger's file when it is made anew: from the whole state, or from what was read of the old one.
import { closeSync, constants, readSync } from 'node:fs';
import type { SettledPart } from '../../core/change.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Position } from '../../core/position.ts';
import { openFile } from '../../data-directory/files.ts';
import {
  CURSOR_BYTES,
  encodeHeader,
  endRecord,
  HOLE_BYTES,
  PART_RECORD,
  POSITION_BYTES,
  RANGE_BYTES,
  RANGES_HEADER_BYTES,
  RECORD,
  RECORD_HEADER_BYTES,
  writeCursor,
  writePosition,
  type Cursor,
  type LedgerIdentity,
} from './format.ts';
import type { StoredLedger } from './replay.ts';

const COPY_BYTES = 1024 * 1024;
const HOLES_HEADER_BYTES = 1 + CURSOR_BYTES + POSITION_BYTES + 4;

/** One change, as whatever knows its transaction says it. */
export type SettledChange = {
  readonly transaction: { readonly epoch: number; readonly commitLsn: Lsn };
  readonly index: number;
  /** Of a change that is not settled: the parts of it that are. */
  readonly settledParts?: readonly SettledPart[] | undefined;
};

/** The whole state at one moment: everything before `head` is settled, except `unsettled`, in log order. */
export type LedgerSnapshot = {
  readonly cursor: Cursor;
  readonly head: Position;
  readonly unsettled: Iterable<SettledChange>;
};

export const startingAt = (cursor: Cursor): LedgerSnapshot => ({
  cursor,
  head: cursor.position,
  unsettled: [],
});

/** The records as they are, behind a header of now. */
export function* copyOf({ file, start, end }: StoredLedger, identity: LedgerIdentity): Generator<Buffer> {
  yield encodeHeader(identity);
  const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, end - start));
  const fd = openFile(file, constants.O_RDONLY);
  try {
    for (let at = start; at < end;) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, end - at), at);
      if (count === 0) throw new Error(`${file} became shorter while it was read`);
      yield buffer.subarray(0, count);
      at += count;
    }
  } finally {
    closeSync(fd);
  }
}

export function* encodeFile(identity: LedgerIdentity, snapshot: LedgerSnapshot): Generator<Buffer> {
  yield encodeHeader(identity);
  let record = Buffer.allocUnsafe(RECORD_HEADER_BYTES + HOLES_HEADER_BYTES + 64 * HOLE_BYTES);
  const payload = RECORD_HEADER_BYTES;
  const holes = payload + HOLES_HEADER_BYTES;
  let at = holes;
  let last: SettledChange | undefined;
  const parts: Buffer[] = [];
  for (const change of snapshot.unsettled) {
    const { transaction, index, settledParts = [] } = change;
    // Several messages may be one change.
    const isSame = last?.transaction === transaction && index === last.index;
    if (!isSame) for (const part of settledParts) parts.push(encodePart(part, change));
    const follows = isSame || (last?.transaction === transaction && index === last.index + 1);
    if (!follows) {
      if (at + HOLE_BYTES > record.length)
        record = Buffer.concat([record, Buffer.allocUnsafe(record.length)]);
      record.writeUInt32BE(transaction.epoch, at);
      record.writeBigUInt64BE(transaction.commitLsn, at + 4);
      record.writeUInt32BE(index, at + 12);
      at += HOLE_BYTES;
    }
    record.writeUInt32BE(index, at - 4);
    last = change;
  }
  record[payload] = RECORD.holes;
  writeCursor(record, snapshot.cursor, payload + 1);
  writePosition(record, snapshot.head, payload + 1 + CURSOR_BYTES);
  record.writeUInt32BE((at - holes) / HOLE_BYTES, holes - 4);
  endRecord(record, payload, at);
  yield record.subarray(0, at);
  yield* parts;
}

function encodePart(part: SettledPart, { transaction, index }: SettledChange): Buffer {
  const payload = RECORD_HEADER_BYTES;
  const range = payload + RANGES_HEADER_BYTES;
  const record = Buffer.allocUnsafe(range + RANGE_BYTES);
  record[payload] = PART_RECORD[part];
  record.writeUInt32BE(transaction.epoch, payload + 1);
  record.writeUInt32BE(1, payload + 5);
  record.writeBigUInt64BE(transaction.commitLsn, range);
  record.writeUInt32BE(index, range + 8);
  record.writeUInt32BE(index, range + 12);
  endRecord(record, payload, record.length);
  return record;
}
