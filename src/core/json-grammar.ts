// Is a run of bytes one JSON value? Asked of what is about to stand unquoted in a message because of what its type should be.
// Hot where columns are arrays or composites: a plain loop on purpose (bench/micro/render.ts). https://www.rfc-editor.org/rfc/rfc8259

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const FIRST_PRINTABLE = 0x20;
const LOWER_E = 0x65;
const UPPER_E = 0x45;
const LOWER_U = 0x75;

const NOT_JSON = -1;
const WORDS = [Buffer.from('true'), Buffer.from('false'), Buffer.from('null')];

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= NINE;

/** Is `bytes[start, end)` one JSON value, blanks around it or not? What bytes above 0x7f a string holds is not asked. */
export function isJson(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return false;
  const first = bytes[start]!;
  // A number or a string, most likely.
  if (first === MINUS || first === QUOTE || isDigit(first)) {
    return afterBlanks(bytes, afterScalar(bytes, start, end), end) === end;
  }
  return isDocument(bytes, start, end);
}

function isDocument(bytes: Uint8Array, start: number, end: number): boolean {
  // The closing bytes of what is open; a document may nest as deep as it is long, so no recursion.
  const open: number[] = [];
  let at = start;
  for (;;) {
    at = afterValueStart(bytes, at, end, open);
    if (at === NOT_JSON) return false;
    at = afterClosings(bytes, at, end, open);
    if (at === NOT_JSON) return false;
    if (open.length === 0) return afterBlanks(bytes, at, end) === end;
  }
}

/** Reads a scalar, or opens arrays and objects up to their first scalar or end; answers where it ends. */
function afterValueStart(bytes: Uint8Array, start: number, end: number, open: number[]): number {
  let at = start;
  for (;;) {
    at = afterBlanks(bytes, at, end);
    if (at >= end) return NOT_JSON;
    const byte = bytes[at]!;
    if (byte === OPEN_BRACKET) {
      open.push(CLOSE_BRACKET);
      at = afterBlanks(bytes, at + 1, end);
      if (bytes[at] === CLOSE_BRACKET && at < end) return at;
    } else if (byte === OPEN_BRACE) {
      open.push(CLOSE_BRACE);
      at = afterBlanks(bytes, at + 1, end);
      if (bytes[at] === CLOSE_BRACE && at < end) return at;
      at = afterName(bytes, at, end);
      if (at === NOT_JSON) return NOT_JSON;
    } else {
      return afterScalar(bytes, at, end);
    }
  }
}

/** Behind a value: closes what ends here, and goes to where the next value begins, if there is one. */
function afterClosings(bytes: Uint8Array, start: number, end: number, open: number[]): number {
  let at = start;
  for (;;) {
    if (open.length === 0) return at;
    at = afterBlanks(bytes, at, end);
    if (at >= end) return NOT_JSON;
    const byte = bytes[at]!;
    const closing = open[open.length - 1]!;
    if (byte === closing) {
      open.pop();
      at++;
    } else if (byte !== COMMA) {
      return NOT_JSON;
    } else if (closing === CLOSE_BRACKET) {
      return at + 1;
    } else {
      return afterName(bytes, afterBlanks(bytes, at + 1, end), end);
    }
  }
}

/** `"name":` */
function afterName(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end || bytes[start] !== QUOTE) return NOT_JSON;
  const after = afterString(bytes, start, end);
  if (after === NOT_JSON) return NOT_JSON;
  const at = afterBlanks(bytes, after, end);
  return at < end && bytes[at] === COLON ? at + 1 : NOT_JSON;
}

function afterScalar(bytes: Uint8Array, start: number, end: number): number {
  const byte = bytes[start]!;
  if (byte === QUOTE) return afterString(bytes, start, end);
  if (byte === MINUS || isDigit(byte)) return afterNumber(bytes, start, end);
  for (const word of WORDS) if (hasWord(bytes, start, end, word)) return start + word.length;
  return NOT_JSON;
}

function hasWord(bytes: Uint8Array, start: number, end: number, word: Buffer): boolean {
  if (start + word.length > end) return false;
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}

function afterString(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start + 1; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at + 1;
    if (byte < FIRST_PRINTABLE) return NOT_JSON;
    if (byte !== BACKSLASH) continue;
    at++;
    if (at >= end) return NOT_JSON;
    if (bytes[at] === LOWER_U) {
      for (let i = 0; i < HEX_DIGITS; i++) if (++at >= end || !isHexDigit(bytes[at]!)) return NOT_JSON;
    } else if (ESCAPED[bytes[at]!] === 0) {
      return NOT_JSON;
    }
  }
  return NOT_JSON;
}

/** Digits of `\u0000`. */
const HEX_DIGITS = 4;
/** 1 for what may follow a backslash, `u` apart. */
const ESCAPED = new Uint8Array(256);
for (const character of '"\\/bfnrt') ESCAPED[character.charCodeAt(0)] = 1;

const isHexDigit = (byte: number): boolean =>
  isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);

function afterNumber(bytes: Uint8Array, start: number, end: number): number {
  let at = bytes[start] === MINUS ? start + 1 : start;
  if (at >= end) return NOT_JSON;
  if (bytes[at] === ZERO) at++;
  else if ((at = afterDigits(bytes, at, end)) === NOT_JSON) return NOT_JSON;
  if (at < end && bytes[at] === POINT && (at = afterDigits(bytes, at + 1, end)) === NOT_JSON) return NOT_JSON;
  if (at < end && (bytes[at] === LOWER_E || bytes[at] === UPPER_E)) {
    at++;
    if (at < end && (bytes[at] === PLUS || bytes[at] === MINUS)) at++;
    at = afterDigits(bytes, at, end);
  }
  return at;
}

/** Behind one digit and those that follow it. */
function afterDigits(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isDigit(bytes[at])) at++;
  return at === start ? NOT_JSON : at;
}

/** `start` may be NOT_JSON, and then is the answer. */
function afterBlanks(bytes: Uint8Array, start: number, end: number): number {
  if (start === NOT_JSON) return NOT_JSON;
  let at = start;
  while (at < end && (bytes[at] === 0x20 || bytes[at] === 0x09 || bytes[at] === 0x0a || bytes[at] === 0x0d))
    at++;
  return at;
}
