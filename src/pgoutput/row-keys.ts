// The keys of rows as texts, so that two rows can be told apart, or be known to be one: one character a byte, whatever the encoding.
import {
  isDamaged,
  NOT_SENT,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type RowEvent,
  type Tuple,
} from '../core/change.ts';

/** A key as it is asked for. */
export const asRead = (key: readonly string[]): readonly string[] =>
  key.map((text) => Buffer.from(text, 'latin1').toString());

/** A key that somebody asks for, as rows have it. */
export const asStored = (key: readonly string[]): readonly string[] =>
  key.map((text) => Buffer.from(text).toString('latin1'));

/** Different keys never give the same text. */
export const joined = (texts: readonly string[]): string =>
  texts.map((text) => `${text.length}:${text}`).join('');

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
