// Ids of the entries of a batch call: no two requests share one, so that an answer to another request names none of ours.
import { randomInt } from 'node:crypto';

const DIGITS = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz');
const LAST_DIGIT = DIGITS.at(-1)!;
const ZERO = DIGITS[0]!;
const TAG_LENGTH = 12;
export const ENTRY_ID_LENGTH = TAG_LENGTH + 1;

/** What the ids of one request begin with; the index of the message follows, one digit. */
export type EntryTag = string;

/** Counts from a place that chance finds. Hot: a request costs one step. */
export class EntryTags {
  /** Of the tag that `next` gave last. */
  readonly bytes = Buffer.from(Array.from({ length: TAG_LENGTH }, () => DIGITS[randomInt(DIGITS.length)]!));

  next(): EntryTag {
    const { bytes } = this;
    let at = TAG_LENGTH - 1;
    while (at >= 0 && bytes[at] === LAST_DIGIT) bytes[at--] = DIGITS[0]!;
    if (at >= 0) bytes[at] = DIGITS[DIGITS.indexOf(bytes[at]!) + 1]!;
    return bytes.toString('latin1');
  }
}

/** The message that an id stands for in the request with this tag; undefined: none of it. */
export function indexOfEntry(id: unknown, tag: EntryTag, count: number): number | undefined {
  if (typeof id !== 'string' || id.length !== ENTRY_ID_LENGTH || !id.startsWith(tag)) return undefined;
  return entryIndexAt(id, 0, count);
}

/** The same of an id with the request's tag that begins at a place of a text. */
export function entryIndexAt(text: string, start: number, count: number): number | undefined {
  const index = text.charCodeAt(start + TAG_LENGTH) - ZERO;
  return index >= 0 && index < count ? index : undefined;
}
