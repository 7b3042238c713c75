import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { narrowToMember } from '../../src/core/json-member.ts';

/** Undefined: there is nothing. */
function at(json: string, ...names: readonly string[]): string | undefined {
  const bytes = Buffer.from(json);
  const range = { start: 0, end: bytes.length };
  for (const name of names) if (!narrowToMember(bytes, range, Buffer.from(name), false)) return undefined;
  return bytes.toString('utf8', range.start, range.end);
}

test('a member of any document is found as a parser finds it, wherever it is nested and however it is laid out', () => {
  const name = fc.oneof(fc.constantFrom('a', 'b', '', 'ä', '"', '\\', 'a.b', '__proto__'), fc.string());
  const document = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie('value')),
      fc.dictionary(name, tie('value')),
    ),
  })).value;
  fc.assert(
    fc.property(
      document,
      fc.array(name, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', ' ', '\n\t'),
      (value, names, indent) => {
        const json = JSON.stringify(value, null, indent);
        let expected: unknown = JSON.parse(json);
        for (const step of names) {
          const isObject = typeof expected === 'object' && expected !== null && !Array.isArray(expected);
          expected =
            isObject && Object.hasOwn(expected as object, step)
              ? (expected as Record<string, unknown>)[step]
              : undefined;
        }
        const found = at(json, ...names);
        expect(found === undefined ? undefined : JSON.parse(found)).toEqual(expected);
      },
    ),
    { numRuns: 200 },
  );
});

test('of two members of one name the last one counts, and a name is what its escapes say', () => {
  expect(at('{"a":1,"b":{"a":2},"a":[3, 4]}', 'a')).toBe('[3, 4]');
  expect(at(String.raw`{"\u0061b":"x\"}"}`, 'ab')).toBe(String.raw`"x\"}"`);
  expect(at('{"a":1.0e5}', 'a')).toBe('1.0e5');
});
