// Finds a member of an object in JSON bytes without reading the rest. Pure; hot where a sink sends a part of its messages: plain loops on
// purpose (bench/micro/render.ts). The bytes are known to be JSON.
import { afterBlanks, afterString, afterValue, JSON_BYTES } from './json-steps.ts';

const { backslash: BACKSLASH, comma: COMMA, openBrace: OPEN_BRACE, closeBrace: CLOSE_BRACE } = JSON_BYTES;

/** `bytes[start, end)`: scratch, valid until it is filled again. */
export type JsonRange = { start: number; end: number };

/**
 * Narrows `range`, one JSON value, to that of its member `name`; false: it has none, or is no object. Of two members of one name the last
 * one counts, as for most readers: `isUnique` says that there is no second.
 */
export function narrowToMember(bytes: Buffer, range: JsonRange, name: Buffer, isUnique: boolean): boolean {
  let at = afterBlanks(bytes, range.start);
  if (bytes[at] !== OPEN_BRACE) return false;
  at = afterBlanks(bytes, at + 1);
  let isFound = false;
  while (bytes[at] !== CLOSE_BRACE) {
    const nameEnd = afterString(bytes, at);
    const isName = isString(bytes, at, nameEnd, name);
    // Behind the colon.
    const start = afterBlanks(bytes, afterBlanks(bytes, nameEnd) + 1);
    const end = afterValue(bytes, start);
    if (isName) {
      range.start = start;
      range.end = end;
      isFound = true;
      if (isUnique) return true;
    }
    at = afterBlanks(bytes, end);
    if (bytes[at] === COMMA) at = afterBlanks(bytes, at + 1);
  }
  return isFound;
}

/** Is the string `bytes[start, end)`, with its quotes, this text? */
function isString(bytes: Buffer, start: number, end: number, text: Buffer): boolean {
  for (let at = start + 1, i = 0; at < end - 1; at++, i++) {
    if (bytes[at] === text[i]) continue;
    // What escapes say is not what they look like; most names have none.
    for (; at < end - 1; at++) {
      if (bytes[at] === BACKSLASH) return JSON.parse(bytes.toString('utf8', start, end)) === text.toString();
    }
    return false;
  }
  return end - start - 2 === text.length && !text.includes(BACKSLASH);
}
