// Reads pgoutput's messages (protocol 1) from bytes: everything but the row itself is cold, `decodeRow` is hot. An unchanged
// TOAST value is only marked here: what becomes of it is decided in formats/columns.ts and pipeline/intake/group-key.ts.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
import {
  MAX_COLUMNS,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type Column,
  type ReplicaIdentity,
  type RowAction,
  type RowEvent,
  type Tuple,
} from '../core/change.ts';
import type { Lsn } from '../core/lsn.ts';
import { COLUMN, PGOUTPUT, TUPLE } from './bytes.ts';
import { describeByte, malformed, MessageReader, unknownMessage } from './message-reader.ts';

/** `FRAME.read` (frames.ts), which is no message of the stream. */
const READ_ROW = 0x72;

/** The first byte of each message. */
export const MESSAGE = PGOUTPUT;

export type Begin = { readonly commitLsn: Lsn; readonly commitTimeUs: bigint; readonly xid: number };
export type Commit = { readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly commitTimeUs: bigint };
export type Origin = { readonly commitLsn: Lsn; readonly name: string };
export type Type = { readonly id: number; readonly schema: string; readonly name: string };
export type Truncate = {
  readonly relationIds: readonly number[];
  readonly cascade: boolean;
  readonly restartIdentity: boolean;
};
/** `content` is a view of the message's bytes. */
export type LogicalMessage = {
  readonly transactional: boolean;
  readonly lsn: Lsn;
  readonly prefix: string;
  readonly content: Buffer;
};
/** A Relation message as it came; `buildRelation` makes a `Relation` of it. */
export type RawRelation = {
  readonly id: number;
  readonly schema: string;
  readonly table: string;
  readonly replicaIdentity: ReplicaIdentity;
  readonly columns: readonly Column[];
};

const IDENTITIES: ReadonlyMap<number, ReplicaIdentity> = new Map([
  [0x64, 'default'], // d
  [0x6e, 'nothing'], // n
  [0x66, 'full'], // f
  [0x69, 'index'], // i
]);

const FLAG_IDENTITY = 1;
const FLAG_TRANSACTIONAL = 1;
const FLAG_CASCADE = 1;
const FLAG_RESTART_IDENTITY = 2;

// Every decoder takes the message as `bytes[start, end)`, `start` being the place of its first byte (its type),
// and throws PGOUTPUT_MALFORMED (fatal) where the message is shorter or longer than its own lengths say.

export function decodeBegin(bytes: Buffer, start: number, end: number = bytes.length): Begin {
  const reader = new MessageReader(bytes, start, end);
  const begin = { commitLsn: reader.lsn(), commitTimeUs: reader.timeUs(), xid: reader.uint32() };
  reader.finish();
  return begin;
}

export function decodeCommit(bytes: Buffer, start: number, end: number = bytes.length): Commit {
  const reader = new MessageReader(bytes, start, end);
  reader.uint8(); // flags, unused so far
  const commit = { commitLsn: reader.lsn(), endLsn: reader.lsn(), commitTimeUs: reader.timeUs() };
  reader.finish();
  return commit;
}

export function decodeOrigin(bytes: Buffer, start: number, end: number = bytes.length): Origin {
  const reader = new MessageReader(bytes, start, end);
  const origin = { commitLsn: reader.lsn(), name: reader.text() };
  reader.finish();
  return origin;
}

export function decodeType(bytes: Buffer, start: number, end: number = bytes.length): Type {
  const reader = new MessageReader(bytes, start, end);
  const type = { id: reader.uint32(), schema: reader.schema(), name: reader.text() };
  reader.finish();
  return type;
}

export function decodeRelation(bytes: Buffer, start: number, end: number = bytes.length): RawRelation {
  const reader = new MessageReader(bytes, start, end);
  const id = reader.uint32();
  const schema = reader.schema();
  const table = reader.text();
  const replicaIdentity = IDENTITIES.get(reader.uint8());
  if (replicaIdentity === undefined) throw malformed(bytes, start, 'has an unknown replica identity');
  const columns: Column[] = [];
  const columnCount = reader.uint16();
  for (let i = 0; i < columnCount; i++) {
    const flags = reader.uint8();
    columns.push({
      name: reader.text(),
      type: reader.uint32(),
      typeModifier: reader.int32(),
      identity: (flags & FLAG_IDENTITY) !== 0,
    });
  }
  reader.finish();
  return { id, schema, table, replicaIdentity, columns };
}

export function decodeTruncate(bytes: Buffer, start: number, end: number = bytes.length): Truncate {
  const reader = new MessageReader(bytes, start, end);
  const relationCount = reader.uint32();
  const flags = reader.uint8();
  const relationIds: number[] = [];
  for (let i = 0; i < relationCount; i++) relationIds.push(reader.uint32());
  reader.finish();
  return {
    relationIds,
    cascade: (flags & FLAG_CASCADE) !== 0,
    restartIdentity: (flags & FLAG_RESTART_IDENTITY) !== 0,
  };
}

export function decodeLogicalMessage(
  bytes: Buffer,
  start: number,
  end: number = bytes.length,
): LogicalMessage {
  const reader = new MessageReader(bytes, start, end);
  const flags = reader.uint8();
  const lsn = reader.lsn();
  const prefix = reader.text();
  const content = reader.slice(reader.uint32());
  reader.finish();
  return { transactional: (flags & FLAG_TRANSACTIONAL) !== 0, lsn, prefix, content };
}

/** The relation of the Insert, Update or Delete message at `start`, without decoding it. */
export const relationIdOfRow = (bytes: Buffer, start: number): number => uint32At(bytes, start + 1);

/** Does the Update message at `start` have an old row? Without one no column of the identity changed. */
export const hasOldRow = (bytes: Buffer, start: number): boolean => bytes[start + 5] !== TUPLE_NEW;

/** Of a row of a backfill: does it say that the table does not have it? */
export const isGoneRow = (bytes: Buffer, start: number): boolean => bytes[start + 5] === TUPLE_KEY;

const { new: TUPLE_NEW, key: TUPLE_KEY, old: TUPLE_OLD } = TUPLE;

/**
 * Decodes the Insert, Update or Delete message `bytes[start, end)` into `event`. Hot: no allocation, no closure.
 * In an old tuple of kind `key` the columns outside of the identity are NULL_VALUE: not known, whatever they hold.
 */
export function decodeRow(bytes: Buffer, start: number, end: number, event: RowEvent): void {
  const action = rowAction(bytes, start, end);
  if (end - start < 6) throw malformed(bytes, start, 'is cut short');
  event.action = action;
  event.relationId = uint32At(bytes, start + 1);
  event.bytes = bytes;
  event.hasNew = false;
  event.newTuple.columnCount = 0;
  event.newTuple.damagedCount = 0;
  event.oldKind = 'none';
  event.oldTuple.columnCount = 0;
  event.oldTuple.damagedCount = 0;

  let at = start + 5;
  let marker = bytes[at]!;
  if (action !== 'insert' && (marker === TUPLE_KEY || marker === TUPLE_OLD)) {
    event.oldKind = marker === TUPLE_KEY ? 'key' : 'full';
    at = decodeTuple(bytes, start, at + 1, end, event.oldTuple);
    marker = at < end ? bytes[at]! : 0;
  }
  if (action === 'delete') {
    if (event.oldKind === 'none') throw malformed(bytes, start, 'has no old row');
  } else {
    if (marker !== TUPLE_NEW) throw malformed(bytes, start, 'has no new row');
    event.hasNew = true;
    at = decodeTuple(bytes, start, at + 1, end, event.newTuple);
  }
  if (at !== end) throw malformed(bytes, start, 'is longer than its columns');
}

function rowAction(bytes: Buffer, start: number, end: number): RowAction {
  const type = start < end ? bytes[start] : undefined;
  if (type === MESSAGE.insert) return 'insert';
  if (type === MESSAGE.update) return 'update';
  if (type === MESSAGE.delete) return 'delete';
  // Of a backfill: to who reads its columns it is as if it came new, or went.
  if (type === READ_ROW) return isGoneRow(bytes, start) ? 'delete' : 'insert';
  throw unknownMessage(type);
}

const { null: COLUMN_NULL, unchanged: COLUMN_UNCHANGED, text: COLUMN_TEXT, damaged: COLUMN_DAMAGED } = COLUMN;

/** Reads one TupleData at `at` and answers where it ends. Binary columns ('b') are an error: we never ask for them. */
function decodeTuple(bytes: Buffer, message: number, at: number, end: number, tuple: Tuple): number {
  if (end - at < 2) throw malformed(bytes, message, 'is cut short');
  const columnCount = (bytes[at]! << 8) | bytes[at + 1]!;
  if (columnCount > MAX_COLUMNS) throw malformed(bytes, message, 'has more columns than Postgres allows');
  tuple.columnCount = columnCount;
  const { lengths } = tuple;
  let position = at + 2;
  for (let i = 0; i < columnCount; i++) {
    if (position >= end) throw malformed(bytes, message, 'is cut short');
    const kind = bytes[position++]!;
    if (kind === COLUMN_TEXT) {
      position = textAt(bytes, message, position, end, tuple, i);
    } else if (kind === COLUMN_NULL) {
      lengths[i] = NULL_VALUE;
    } else if (kind === COLUMN_UNCHANGED) {
      lengths[i] = UNCHANGED_TOAST;
    } else if (kind === COLUMN_DAMAGED) {
      tuple.damaged[tuple.damagedCount++] = i;
      position = textAt(bytes, message, position, end, tuple, i);
    } else {
      throw malformed(bytes, message, `has a column of the unknown kind ${describeByte(kind)}`);
    }
  }
  return position;
}

/** The length at `at` and the text behind it are column i; answers where it ends. */
function textAt(bytes: Buffer, message: number, at: number, end: number, tuple: Tuple, i: number): number {
  if (end - at < 4) throw malformed(bytes, message, 'is cut short');
  const length = uint32At(bytes, at);
  const start = at + 4;
  if (length > end - start) throw malformed(bytes, message, 'is cut short');
  tuple.starts[i] = start;
  tuple.lengths[i] = length;
  return start + length;
}

const uint32At = (bytes: Buffer, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
