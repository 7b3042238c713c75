// Our HMAC-SHA-256 beside node:crypto's.
import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { HEX_DIGITS } from '../../../src/core/sha256.ts';
import { hmacWith, LONG_BYTES } from '../../../src/functions/columns/hmac.ts';

/** Of a value amid others, written amid others. */
function digestOf(secret: string, value: Uint8Array): string {
  const bytes = Buffer.concat([Buffer.from('<<'), value, Buffer.from('>>')]);
  const target = Buffer.alloc(HEX_DIGITS + 2, '.');
  hmacWith(secret)(bytes, 2, value.length, target, 1);
  const written = target.toString('latin1');
  expect([written[0], written.at(-1)]).toEqual(['.', '.']);
  return written.slice(1, -1);
}

const expectedOf = (secret: string, value: Uint8Array): string =>
  createHmac('sha256', secret).update(value).digest('hex');

test('it is that of node:crypto for every length around the ends of blocks, and beyond the length that is left to it', () => {
  for (let length = 0; length <= LONG_BYTES + 2; length++) {
    const value = Buffer.from(Array.from({ length }, (_, i) => (i * 37 + length) & 0xff));
    expect(digestOf('a key of sixteen characters', value)).toBe(
      expectedOf('a key of sixteen characters', value),
    );
  }
});

test('it is that of node:crypto for any key, shorter than a block or longer, and any bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 400 });
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 150 }), bytes, (secret, value) => {
      expect(digestOf(secret, value)).toBe(expectedOf(secret, value));
    }),
    { numRuns: 500 },
  );
});

test('a digest does not depend on those before it', () => {
  const write = hmacWith('a key of sixteen characters');
  const target = Buffer.alloc(HEX_DIGITS);
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (values) => {
      for (const value of values) {
        write(Buffer.from(value), 0, value.length, target, 0);
        expect(target.toString('latin1')).toBe(expectedOf('a key of sixteen characters', value));
      }
    }),
  );
});
