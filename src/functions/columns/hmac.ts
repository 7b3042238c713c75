// HMAC-SHA-256 of values, in hexadecimal digits. Pure; hot where a column is masked by its hash (bench/micro/render.ts).
// https://www.rfc-editor.org/rfc/rfc2104
import { createHash, createHmac, createSecretKey } from 'node:crypto';
import { BLOCK_BYTES, INITIAL_STATE, STATE_WORDS, takeBlock } from './sha256.ts';

const DIGEST_BYTES = 32;
export const HEX_DIGITS = 2 * DIGEST_BYTES;
/** From about here on a call of node:crypto costs less than the blocks do here. */
export const LONG_BYTES = 256;

const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
/** What stands behind the last byte of a text. */
const END_MARK = 0x80;
/** The last two words of the last block are the length in bits. */
const LENGTH_BYTES = 8;

/** Writes the digest of `bytes[start, start + length)` to `target[at, at + HEX_DIGITS)`. */
export type WriteHmac = (bytes: Buffer, start: number, length: number, target: Buffer, at: number) => void;

export function hmacWith(secret: string): WriteHmac {
  const key = createSecretKey(Buffer.from(secret));
  const inner = stateAfterPad(secret, INNER_PAD);
  const outer = stateAfterPad(secret, OUTER_PAD);
  return (bytes, start, length, target, at) => {
    if (length > LONG_BYTES) {
      const value = bytes.subarray(start, start + length);
      target.write(createHmac('sha256', key).update(value).digest('hex'), at, 'latin1');
      return;
    }
    for (let i = 0; i < STATE_WORDS; i++) STATE[i] = inner[i]!;
    takeText(bytes, start, length);
    for (let i = 0; i < STATE_WORDS; i++) {
      WORDS[i] = STATE[i]!;
      WORDS[STATE_WORDS + i] = END_OF_DIGEST[i]!;
      STATE[i] = outer[i]!;
    }
    takeBlock(STATE, WORDS);
    writeHex(target, at);
  };
}

/** One each is enough: a digest is made without a pause. */
const STATE = new Int32Array(STATE_WORDS);
const WORDS = new Int32Array(BLOCK_BYTES / 4);

/** Behind a digest in its block. */
const END_OF_DIGEST = Int32Array.of(END_MARK << 24, 0, 0, 0, 0, 0, 0, (BLOCK_BYTES + DIGEST_BYTES) * 8);

/** The state behind the block that is the key. */
function stateAfterPad(secret: string, pad: number): Int32Array {
  const written = Buffer.from(secret);
  const key = written.length > BLOCK_BYTES ? createHash('sha256').update(written).digest() : written;
  const block = Buffer.alloc(BLOCK_BYTES, pad);
  for (let i = 0; i < key.length; i++) block[i] = key[i]! ^ pad;
  const state = INITIAL_STATE.slice();
  readWords(block, 0);
  takeBlock(state, WORDS);
  return state;
}

/** Takes a text and its end into the state, behind the block of the key. */
function takeText(bytes: Buffer, start: number, length: number): void {
  let left = length;
  let at = start;
  for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES) {
    readWords(bytes, at);
    takeBlock(STATE, WORDS);
  }
  for (let i = 0; i < 16; i++) WORDS[i] = 0;
  for (let i = 0; i < left; i++) WORDS[i >> 2] = WORDS[i >> 2]! | (bytes[at + i]! << shiftOf(i));
  WORDS[left >> 2] = WORDS[left >> 2]! | (END_MARK << shiftOf(left));
  if (left + 1 > BLOCK_BYTES - LENGTH_BYTES) {
    takeBlock(STATE, WORDS);
    for (let i = 0; i < 16; i++) WORDS[i] = 0;
  }
  WORDS[15] = (BLOCK_BYTES + length) * 8;
  takeBlock(STATE, WORDS);
}

/** Of a byte in its word. */
const shiftOf = (index: number): number => 24 - 8 * (index & 3);

function readWords(bytes: Buffer, start: number): void {
  for (let i = 0, at = start; i < 16; i++, at += 4)
    WORDS[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

const HEX = Buffer.from('0123456789abcdef');

function writeHex(target: Buffer, start: number): void {
  let at = start;
  for (let i = 0; i < STATE_WORDS; i++) {
    const word = STATE[i]!;
    for (let shift = 28; shift >= 0; shift -= 4) target[at++] = HEX[(word >>> shift) & 15]!;
  }
}
