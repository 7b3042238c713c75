// Ids of the entries of a batch call: no two requests share one, so that an answer to another request names none of ours.
import { randomInt } from 'node:crypto';

const DIGITS = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz');
const LAST_DIGIT = DIGITS.at(-1)!;
const TAG_LENGTH = 12;

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
  if (typeof id !== 'string' || id.length !== TAG_LENGTH + 1 || !id.startsWith(tag)) return undefined;
  const index = id.charCodeAt(TAG_LENGTH) - DIGITS[0]!;
  return index >= 0 && index < count ? index : undefined;
}
