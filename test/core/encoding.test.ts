import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { escapeFrom, literal, plainJson, plainJsonForNow } from '../../src/core/encoding.ts';

const jsonDocument = fc
  .json({ stringUnit: 'binary' })
  .chain((text) => fc.constantFrom(text, JSON.stringify(JSON.parse(text), undefined, '\t').toWellFormed()));

test('what is escaped in place reads back as the JSON that it was, wherever it lies', () => {
  fc.assert(
    fc.property(jsonDocument, fc.string({ unit: 'binary-ascii' }), (json, before) => {
      const writer = new ByteWriter(1);
      writer.text(before);
      const start = writer.length;
      writer.text(json);
      const plainBytes = writer.length - start;
      escapeFrom(start, writer);
      const escaped = writer.buffer.subarray(start, writer.length);
      expect(writer.buffer.toString('utf8', 0, start)).toBe(before);
      expect(JSON.parse(`"${escaped.toString()}"`)).toBe(json);
      expect(writer.escapes).toBe(escaped.length - plainBytes);
      expect(plainJson(escaped, 'json-string').toString()).toBe(json);
      expect(plainJsonForNow(writer.buffer, start, writer.length).toString()).toBe(json);
    }),
  );
});

test('control characters between tokens become escapes, and nothing else grows', () => {
  const writer = new ByteWriter(1);
  writer.text('[1,\n\t"a\\n"]');
  escapeFrom(0, writer);
  expect(writer.buffer.toString('utf8', 0, writer.length)).toBe(String.raw`[1,\u000a\u0009\"a\\n\"]`);
  writer.reset();
  writer.text('12345.67');
  escapeFrom(0, writer);
  expect(writer.buffer.toString('utf8', 0, writer.length)).toBe('12345.67');
  expect(writer.escapes).toBe(0);
});

test('a constant is escaped as a value is', () => {
  const json = '{"é":"\\u000a \\" 😀"}';
  const writer = new ByteWriter(1);
  writer.text(json);
  escapeFrom(0, writer);
  const { bytes, escapes } = literal(json, 'json-string');
  expect(bytes.toString()).toBe(writer.buffer.toString('utf8', 0, writer.length));
  expect(escapes).toBe(writer.escapes);
  expect(literal(json, 'json')).toEqual({ bytes: Buffer.from(json), escapes: 0 });
});

test.each([16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 40_000])(
  'of %i escaped bytes the JSON is the same, whether it is for now or kept',
  (length) => {
    const json = `"${'x'.repeat(length - 4)}"`;
    const writer = new ByteWriter(1);
    writer.text(json);
    escapeFrom(0, writer);
    expect(writer.length).toBe(length);
    expect(plainJsonForNow(writer.buffer, 0, writer.length).toString()).toBe(json);
  },
);
