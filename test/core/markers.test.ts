import { expect, test } from 'vitest';
import { parseMarker } from '../../src/core/markers.ts';

const parse = (prefix: string, content: string | Buffer) =>
  parseMarker(prefix, Buffer.from(content as string));
const annotationsOf = (content: string | Buffer): string | undefined => {
  const marker = parse('sequin:transaction_annotations.set', content);
  return marker?.kind === 'annotate' ? marker.annotations : marker?.kind;
};

test.each([
  [
    'an object keeps its own tokens',
    '{"n": 12345678901234567890.10, "n": 2}',
    '{"n": 12345678901234567890.10, "n": 2}',
  ],
  ['line breaks between tokens become blanks', '{\r\n  "a":\n1}', '{    "a": 1}'],
  ['any JSON value is taken', '"text"', '"text"'],
  ['null is JSON', 'null', 'null'],
  ['what sinks refuse is escaped', '["\uffff"]', '["\\uffff"]'],
  ['text that is no JSON is told', '{oops}', 'unreadable annotation'],
  ['nothing is no JSON', '', 'unreadable annotation'],
  ['bytes that are no UTF-8 are told', Buffer.from([0x22, 0xff, 0x22]), 'unreadable annotation'],
])('of an annotation: %s', (_, content, expected) => {
  expect(annotationsOf(content)).toBe(expected);
});

test('annotations are set and cleared under both prefixes', () => {
  for (const product of ['sequin', 'tailrace']) {
    const set = parse(`${product}:transaction_annotations.set`, '{}');
    expect(set).toEqual({ kind: 'annotate', annotations: '{}' });
    const clear = parse(`${product}:transaction_annotations.clear`, 'anything');
    expect(clear).toEqual({ kind: 'annotate', annotations: undefined });
  }
});

test.each([
  ['', undefined],
  ['  ', undefined],
  ['users', ['users']],
  ['users, orders', ['users', 'orders']],
  ['["users", "a,b"]', ['users', 'a,b']],
  ['[]', []],
])('a skip marker with %j is for the sinks %j', (content, sinks) => {
  expect(parse('tailrace:skip', content)).toEqual({ kind: 'skip', sinks });
});

test.each(['["users"', '[1]', '{"sinks": ["users"]}', '"users"'])(
  'a skip marker with %s cannot be read',
  (content) => {
    expect(parse('tailrace:skip', content)).toEqual({ kind: 'unreadable skip' });
  },
);

test.each([
  'tailrace:skipped',
  'other',
  'sequin:transaction_annotations.replace',
  'tailrace:transaction_annotations',
])('a message with the prefix %s is somebody else’s', (prefix) => {
  expect(parse(prefix, '{}')).toBeUndefined();
});
