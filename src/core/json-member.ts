// Finds a member of an object in JSON bytes without reading the rest. Pure; hot where a sink sends a part of its messages: plain loops on
// purpose (bench/micro/render.ts). The bytes are known to be JSON.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;

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

function afterValue(bytes: Buffer, start: number): number {
  const first = bytes[start]!;
  if (first === QUOTE) return afterString(bytes, start);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return afterScalar(bytes, start);
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) at = afterString(bytes, at) - 1;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at + 1;
  }
  return bytes.length;
}

function afterString(bytes: Buffer, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    if (bytes[at] === BACKSLASH) at++;
    else if (bytes[at] === QUOTE) return at + 1;
  }
  return bytes.length;
}

/** Up to a comma, a bracket or a blank. */
function afterScalar(bytes: Buffer, start: number): number {
  let at = start;
  for (; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte <= SPACE) break;
  }
  return at;
}

function afterBlanks(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at]! <= SPACE) at++;
  return at;
}
