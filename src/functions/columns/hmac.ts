// HMAC-SHA-256 of values, in hexadecimal digits. Pure; hot where a column is masked by its hash (bench/micro/render.ts).
import { createHash, createHmac, createSecretKey } from 'node:crypto';
import { BLOCK_BYTES, HmacKey, STATE_WORDS, takeEnd, writeHex } from '../../core/sha256.ts';

/** From about here on a call of node:crypto costs less than the blocks do here. */
export const LONG_BYTES = 256;

/** Writes the digest of `bytes[start, start + length)` to `target[at, at + HEX_DIGITS)`. */
export type WriteHmac = (bytes: Buffer, start: number, length: number, target: Buffer, at: number) => void;

export function hmacWith(secret: string): WriteHmac {
  const secretKey = createSecretKey(Buffer.from(secret));
  const written = Buffer.from(secret);
  const key = new HmacKey(
    written.length > BLOCK_BYTES ? createHash('sha256').update(written).digest() : written,
  );
  return (bytes, start, length, target, at) => {
    if (length > LONG_BYTES) {
      const value = bytes.subarray(start, start + length);
      target.write(createHmac('sha256', secretKey).update(value).digest('hex'), at, 'latin1');
      return;
    }
    STATE.set(key.inner);
    takeEnd(STATE, BLOCK_BYTES, bytes, start, length);
    key.finish(STATE);
    writeHex(STATE, target, at);
  };
}

/** One is enough: a digest is made without a pause. */
const STATE = new Int32Array(STATE_WORDS);
