import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { scaleOf, strippedScaleOf, writeUnscaled } from '../../../src/postgres/values/decimals.ts';

/** The digits of `value` at a scale, as Postgres prints them. */
function textOf(value: bigint, scale: number): string {
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
  const point = digits.length - scale;
  const fraction = scale === 0 ? '' : `.${digits.slice(point)}`;
  return `${value < 0n ? '-' : ''}${digits.slice(0, point)}${fraction}`;
}

function unscaled(text: string, scale: number): bigint {
  const bytes = Buffer.from(text);
  const writer = new ByteWriter(1);
  const textScale = scaleOf(bytes, 0, bytes.length);
  writeUnscaled(bytes, 0, bytes.length, { scale, textScale }, writer);
  const json = JSON.parse(writer.buffer.toString('utf8', 0, writer.length)) as string;
  const content = Buffer.from(json, 'base64');
  const value = BigInt.asIntN(content.length * 8, BigInt(`0x${content.toString('hex')}`));
  // As few bytes as can be: one less would be another number.
  const isShortest = content.length === 1 || BigInt.asIntN(content.length * 8 - 8, value) !== value;
  expect(isShortest).toBe(true);
  return value;
}

/** Small ones, those of a double's edge, and long ones. */
const values = fc.oneof(
  fc.bigInt({ min: -70_000n, max: 70_000n }),
  fc.bigInt({ min: -(2n ** 54n), max: 2n ** 54n }),
  fc.bigInt({ min: -(10n ** 60n), max: 10n ** 60n }),
);

test('the bytes of a decimal are its digits at the scale, with zeros where the text has fewer', () => {
  fc.assert(
    fc.property(values, fc.nat(20), fc.nat(5), (value, scale, more) => {
      expect(unscaled(textOf(value, scale), scale)).toBe(value);
      expect(unscaled(textOf(value, scale), scale + more)).toBe(value * 10n ** BigInt(more));
    }),
    { numRuns: 500 },
  );
});

test('a scale below 0 leaves out the zeros at the end', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 9 }), (value, zeros) => {
      expect(unscaled(String(value * 10n ** BigInt(zeros)), -zeros)).toBe(value);
    }),
    { numRuns: 200 },
  );
});

test('without zeros at the end a decimal is the same number at the least scale', () => {
  fc.assert(
    fc.property(values, fc.nat(20), (value, scale) => {
      const text = Buffer.from(textOf(value, scale));
      const stripped = strippedScaleOf(text, 0, text.length, scale);
      const digits = unscaled(text.toString(), stripped);
      expect(digits * 10n ** BigInt(scale - stripped)).toBe(value);
      expect(stripped === 0 || digits % 10n !== 0n).toBe(true);
    }),
    { numRuns: 300 },
  );
});
