// Steps over the bytes of JSON without making values of them. Pure; hot, plain loops on purpose (bench/micro/render.ts). The bytes are
// known to be JSON.

export const JSON_BYTES = {
  quote: 0x22,
  backslash: 0x5c,
  comma: 0x2c,
  openBracket: 0x5b,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const;

const SPACE = 0x20;
const { quote: QUOTE, backslash: BACKSLASH, comma: COMMA } = JSON_BYTES;
const { openBracket: OPEN_BRACKET, closeBracket: CLOSE_BRACKET } = JSON_BYTES;
const { openBrace: OPEN_BRACE, closeBrace: CLOSE_BRACE } = JSON_BYTES;

/** `start`: where a value begins. Answers what is behind it. */
export function afterValue(bytes: Buffer, start: number): number {
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

/** `start`: at its quote. */
export function afterString(bytes: Buffer, start: number): number {
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

export function afterBlanks(bytes: Buffer, start: number, end: number = bytes.length): number {
  let at = start;
  while (at < end && bytes[at]! <= SPACE) at++;
  return at;
}
