// Texts of a key as cursors have them, also where their bytes are no text. Pure.
import { escapeLiteral } from 'pg';

/** Where bytes that are no text stand in a cursor: in no text, and so in no other key, there is half of a surrogate pair. */
const HALF_PAIRS = 0xdc00;
const HIGH = 0x80;

export const unreadable = (bytes: Buffer): string =>
  Array.from(bytes, (byte) => String.fromCharCode(byte < HIGH ? byte : HALF_PAIRS + byte)).join('');

/** A text of a cursor in SQL. */
export const keyLiteral = (text: string): string =>
  text.isWellFormed()
    ? escapeLiteral(text)
    : `E'${Array.from(text, (character) => `\\x${(character.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`).join('')}'`;
