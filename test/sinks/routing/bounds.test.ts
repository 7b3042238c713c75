// What a value of the row may be in a route, and how it is written there.
import { expect, test } from 'vitest';
import { ANYTHING, BOUNDS, escapePattern, type Bounds } from '../../../src/sinks/routing/bounds.ts';

const fitting = ({ faultOf }: Bounds, values: readonly string[]): readonly string[] =>
  values.filter((value) => faultOf(value) === undefined);

test('a name has letters, digits, hyphens and underscores, 64 of them at most', () => {
  const names = ['a', 'A-b_9', 'x'.repeat(64)];
  expect(fitting(BOUNDS.name, names)).toEqual(names);
  expect(fitting(BOUNDS.name, ['', 'x'.repeat(65), 'a.b', 'a/b', 'a\n', 'ä', ' ', 'a*'])).toEqual([]);
});

test('a segment is not empty, goes nowhere, has characters that are whole, and 256 of them at most', () => {
  const segments = ['a', '...', '.a', 'a/b?c#d%', '😀', ' ', '\n', 'x'.repeat(256)];
  expect(fitting(BOUNDS.segment, segments)).toEqual(segments);
  for (const value of segments) {
    const written = BOUNDS.segment.write(value);
    expect(written).toMatch(new RegExp(`^${BOUNDS.segment.pattern}$`));
    expect(decodeURIComponent(written)).toBe(value);
  }
  expect(fitting(BOUNDS.segment, ['', '.', '..', '\ud800', 'a\udc00', 'x'.repeat(257)])).toEqual([]);
});

test('a header takes printable ASCII, 1024 characters of it', () => {
  const values = ['', ' ~', 'x'.repeat(1024)];
  expect(fitting(BOUNDS.header, values)).toEqual(values);
  expect(fitting(BOUNDS.header, ['\t', '\r\n', '\0', '\x7f', 'ä', 'x'.repeat(1025)])).toEqual([]);
});

test('a whole name is not empty, no longer than any, and has no mark of what is hidden', () => {
  const names = ['https://sqs.eu-west-1.amazonaws.com/1/a', 'x'.repeat(512)];
  expect(fitting(ANYTHING, names)).toEqual(names);
  expect(fitting(ANYTHING, ['', 'x'.repeat(513), 'a#b'])).toEqual([]);
});

test('a text in a pattern is that text', () => {
  const text = String.raw`a.b*c+d?e(f)g[h]i{j}k|l/m\n^o$p-q`;
  expect(new RegExp(`^${escapePattern(text)}$`).test(text)).toBe(true);
  expect(new RegExp(`^${escapePattern('a.c')}$`).test('abc')).toBe(false);
});
