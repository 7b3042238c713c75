// From the parser's places, bytes of UTF-8 or characters, to those of a JavaScript text, UTF-16 units. Pure.

/** Answers the UTF-16 offset for each byte offset of the text; a place inside a character is the character's. */
export function bytePlaces(text: string): (byteOffset: number) => number {
  // The usual case needs no table.
  if (/^[\0-\x7f]*$/.test(text)) return (offset) => clamp(offset, text.length);
  const places: number[] = [];
  let unit = 0;
  for (const character of text) {
    for (let i = Buffer.byteLength(character); i > 0; i--) places.push(unit);
    unit += character.length;
  }
  return (offset) => places[Math.max(0, offset)] ?? text.length;
}

/** The UTF-16 offset of the nth character (code point). */
export function characterPlace(text: string, index: number): number {
  let unit = 0;
  let left = index;
  for (const character of text) {
    if (left-- <= 0) break;
    unit += character.length;
  }
  return unit;
}

const clamp = (offset: number, length: number): number => Math.min(Math.max(0, offset), length);
