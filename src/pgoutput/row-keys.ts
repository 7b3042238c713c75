// The keys of rows as texts, so that two rows can be told apart, or be known to be one: one character a byte, whatever the encoding.
import {
  isDamaged,
  MAX_COLUMNS,
  NOT_SENT,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type RowEvent,
  type Tuple,
} from '../core/change.ts';
import { COLUMN } from './bytes.ts';

/** A key as it is asked for. */
export const asRead = (key: readonly string[]): readonly string[] =>
  key.map((text) => Buffer.from(text, 'latin1').toString());

/** A key that somebody asks for, as rows have it. */
export const asStored = (key: readonly string[]): readonly string[] =>
  key.map((text) => Buffer.from(text).toString('latin1'));

/** Different keys never give the same text: no value of Postgres has a zero byte. */
export const joined = (texts: readonly string[]): string => texts.join('\0');

/**
 * A row's key as texts, one character a byte. Undefined: a part of it is not known. A value that did not change may stand in the old
 * row alone.
 */
export function keyTexts(
  { bytes }: RowEvent,
  tuple: Tuple,
  old: Tuple | undefined,
  indexes: readonly number[],
): readonly string[] | undefined {
  const texts: string[] = [];
  for (const index of indexes) {
    const from = tuple.lengths[index] === UNCHANGED_TOAST ? old : tuple;
    const length = from?.lengths[index] ?? NOT_SENT;
    if (from === undefined || length <= NULL_VALUE || isDamaged(from, index)) return undefined;
    const start = from.starts[index]!;
    texts.push(bytes.toString('latin1', start, start + length));
  }
  return texts;
}

/** FNV-1a. http://www.isthe.com/chongo/tech/comp/fnv/ */
const FNV_BASIS = 0x811c9dc5 | 0;
const FNV_PRIME = 0x01000193;

/** Of a key as `joined` gives it. */
export function hashOfKey(key: string): number {
  let hash = FNV_BASIS;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), FNV_PRIME);
  return hash;
}

/** In front of a row's columns, each of which is a text or NULL in a chunk: type, relation, the tuple's letter, their number. */
const ROW_HEADER_BYTES = 8;

/** Scratch: where the columns of the row lie that is looked at. */
const STARTS = new Int32Array(MAX_COLUMNS);
const LENGTHS = new Int32Array(MAX_COLUMNS);

/**
 * The same of the row of a chunk at `start`, without a text being made. Undefined: a part of its key is not there. Hot: once a row, while the
 * table is changed.
 */
export function hashInRow(bytes: Uint8Array, start: number, indexes: readonly number[]): number | undefined {
  let last = 0;
  for (const index of indexes) if (index > last) last = index;
  let at = start + ROW_HEADER_BYTES;
  for (let column = 0; column <= last; column++) {
    if (bytes[at] !== COLUMN.text) {
      LENGTHS[column] = NOT_SENT;
      at++;
      continue;
    }
    const length = (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!;
    STARTS[column] = at + 5;
    LENGTHS[column] = length;
    at += 5 + length;
  }
  let hash = FNV_BASIS;
  for (let i = 0; i < indexes.length; i++) {
    const length = LENGTHS[indexes[i]!]!;
    if (length < 0) return undefined;
    if (i > 0) hash = Math.imul(hash, FNV_PRIME);
    const from = STARTS[indexes[i]!]!;
    for (let j = from; j < from + length; j++) hash = Math.imul(hash ^ bytes[j]!, FNV_PRIME);
  }
  return hash;
}
