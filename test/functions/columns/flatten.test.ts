// Flattened values: nothing of a document is lost, no name stands twice, and what cannot be flattened stays whole.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { writeJsonDocument } from '../../../src/core/json.ts';
import type { ValueRenderer } from '../../../src/core/render.ts';
import { spreadWith } from '../../../src/functions/columns/flatten.ts';
import type { FlattenRule } from '../../../src/functions/columns/rules.ts';

type Options = Partial<FlattenRule> & {
  readonly taken?: readonly string[];
  /** As that of a column of jsonb, or of a type whose values are made into JSON first. */
  readonly render?: ValueRenderer;
};

/** Values of one column, one after the other: the text of the members; undefined: the value stays whole, and nothing was written. */
function spreading({ separator = '_', depth = 16, taken = [], render = writeJsonDocument }: Options = {}) {
  const write = spreadWith(render, {
    name: 'c',
    rule: { separator, depth },
    taken: new Set(taken),
    encoding: 'json',
  });
  return (text: string): string | undefined => {
    const bytes = Buffer.from(`<<${text}>>`);
    const writer = new ByteWriter(1);
    const isSpread = write(bytes, 2, Buffer.byteLength(text), true, writer);
    const written = writer.buffer.toString('utf8', 0, writer.length);
    expect(isSpread || written === '').toBe(true);
    return isSpread ? written : undefined;
  };
}

const spread = (text: string, options?: Options): string | undefined => spreading(options)(text);

/** Written anew: the members of a value by their names, doubles included. */
function* flat(
  value: unknown,
  name: string,
  { separator, depth }: FlattenRule,
): Generator<[string, unknown]> {
  const isFilled =
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
  if (depth === 0 || !isFilled) {
    yield [name, value];
    return;
  }
  for (const [key, child] of Object.entries(value))
    yield* flat(child, `${name}${separator}${key}`, { separator, depth: depth - 1 });
}

const key = fc.oneof(fc.constantFrom('a', 'b', 'a_b', '', '__proto__', '"', '\\', 'é'), fc.string());
const anyDocument = fc.letrec<{ value: unknown; object: Record<string, unknown> }>((tie) => ({
  object: fc.dictionary(key, tie('value'), { maxKeys: 5 }),
  value: fc.oneof(
    { depthSize: 'small' },
    fc.oneof(
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object'),
  ),
})).value;

test('a document is its members, down to the depth, or whole where it is none or a name would stand twice', () => {
  fc.assert(
    fc.property(
      anyDocument,
      fc.constantFrom('_', '.', '"', '—'),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      (value, separator, depth, isSpaced) => {
        const document: unknown = JSON.parse(JSON.stringify(value));
        const text = JSON.stringify(document, undefined, isSpaced ? 2 : undefined);
        const expected = [...flat(document, 'c', { separator, depth })];
        const names = new Set(expected.map(([name]) => name));
        const isWhole = names.has('c') || names.size < expected.length;
        const written = spread(text, { separator, depth });
        // Texts, because an object of JavaScript has members in an order of its own.
        const members = expected.map(([name, child]) => `${JSON.stringify(name)}:${JSON.stringify(child)}`);
        const withoutBlanks = (json: string): string => json.replaceAll(/\s/g, '');
        expect(written === undefined ? undefined : withoutBlanks(written)).toBe(
          isWhole ? undefined : withoutBlanks(members.join(',')),
        );
      },
    ),
    { numRuns: 500 },
  );
});

test('a value is spread the same whatever came before it, and whether its text is JSON by its type or was made so', () => {
  const made: ValueRenderer = (...all) => writeJsonDocument(...all);
  const documents = fc.array(anyDocument, { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(documents, fc.integer({ min: 1, max: 4 }), fc.boolean(), (values, depth, isMade) => {
      const next = spreading({ depth, ...(isMade && { render: made }) });
      for (const value of [...values, ...values.toReversed()]) {
        const text = JSON.stringify(value);
        expect(next(text)).toBe(spread(text, { depth }));
      }
    }),
  );
  // More names than are kept.
  const next = spreading();
  for (let i = 0; i < 20_000; i++) expect(next(`{"k${i}": {"a": ${i}}}`)).toBe(`"c_k${i}_a":${i}`);
});

test.each(['{"a": 1', '{"a" 1}', '{"a": 1 "b": 2}', '{"a": {"b": 1}', '{a: 1}', '{"a": 1,, "b": 2}', '{'])(
  'what is not the JSON that its type says stays whole: %s',
  (text) => {
    expect(spread(text)).toBeUndefined();
  },
);

test('numbers keep their own digits', () => {
  expect(spread('{"a": 1.50, "b": 12345678901234567890}')).toBe('"c_a":1.50,"c_b":12345678901234567890');
});

test.each(['[1]', '"x"', '1', 'null', '{}', '{"a": 1, "a": 2}', '{"a_b": 1, "a": {"b": 2}}', 'no JSON'])(
  'what has no members of its own stays whole: %s',
  (text) => {
    expect(spread(text)).toBeUndefined();
  },
);

test('a value stays whole where a member has a name that is taken', () => {
  expect(spread('{"a": {"b": 1}}', { taken: ['c_a'] })).toBe('"c_a_b":1');
  expect(spread('{"a": {"b": 1}}', { taken: ['c_a_b'] })).toBeUndefined();
});

test('depth and members are bounded: deeper objects stay whole, and so does a value with too many, or with a name that is too long', () => {
  const deep = (levels: number): string => (levels === 0 ? '1' : `{"a":${deep(levels - 1)}}`);
  expect(spread(deep(100))).toBe(`"c${'_a'.repeat(16)}":${deep(84)}`);
  expect(spread('[['.repeat(50_000) + ']]'.repeat(50_000))).toBeUndefined();
  const wide = (count: number): string =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i])));
  expect(spread(wide(1000))).toContain('"c_k999":999');
  expect(spread(wide(1001))).toBeUndefined();
  const named = (length: number): string => JSON.stringify({ a: 1, ['é'.repeat(length)]: 2 });
  expect(spread(named(1022))).toContain('é":2');
  expect(spread(named(1023))).toBeUndefined();
});
