// What a filter's text may be: one expression; and where its faults are said to be.
import { beforeAll, expect, test } from 'vitest';
import { lineAndColumn, WhereRefusal } from '../../../src/functions/where/fault.ts';
import { MAX_FILTER_DEPTH } from '../../../src/functions/where/grammar.ts';
import {
  loadFilterParser,
  MAX_FILTER_BYTES,
  type FilterParser,
} from '../../../src/functions/where/parser.ts';
import { parseFilters } from '../../../src/functions/where/parsing.ts';

let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
});

/** `place message`, the place being where the fault's text begins. */
function refusalOf(text: string): { readonly message: string; readonly from: string } {
  try {
    parse(text);
  } catch (error) {
    if (!(error instanceof WhereRefusal)) throw error;
    return { message: error.message, from: text.slice(error.fault.at) };
  }
  throw new Error(`it was taken: ${text}`);
}

test.each([
  ['true); drop table users; select (1', '; drop table users; select (1'],
  ['1), (2', '(2'],
  ['true) from pg_class where (true', ''],
  ['true) union select (true', ''],
  ['true) as x, (1', ''],
])('whoever closes our parenthesis is refused: %s', (text) => {
  expect(() => parse(text)).toThrow(WhereRefusal);
});

test.each([
  ['a = (select 1)', 'a subquery', '(select 1)'],
  ['exists (select 1)', 'a subquery', 'exists (select 1)'],
  ['a = $1', 'a parameter', '$1'],
  ['count(*) > 1', 'aggregate', 'count(*) > 1'],
  ['sum(distinct a) > 1', 'aggregate', 'sum(distinct a) > 1'],
  ['row_number() over () = 1', 'window function', 'row_number() over () = 1'],
  ['(a, b) is null', 'a row of several values', '(a, b) is null'],
  ['(a, b) = (1, 2, 3)', 'not as many values', '= (1, 2, 3)'],
  ['(a, b) in ((1, 2), 3)', 'a row of values is expected', 'in ((1, 2), 3)'],
  ['(a, b) ~~ (1, 2)', '~~ of two rows', '~~ (1, 2)'],
  ['d = current_date', 'meta.commit_timestamp', 'current_date'],
  ['a[1:2] = b', 'a slice', '= b'],
  ['(a).b = 2', 'a field', '= 2'],
  ['public.lower(a) = b', 'pg_catalog', 'public.lower(a) = b'],
  ['t.a = 1', 'behind new., old. or meta.', 't.a = 1'],
])('what a filter cannot have is refused by its name, where it stands: %s', (text, what, from) => {
  const refusal = refusalOf(text);
  expect(refusal.message).toContain(what);
  expect(refusal.from).toBe(from);
});

test.each(['a = /* 1', "a = 'x", 'a = $$x', 'a = "b', '--', '', '  \n '])(
  'a comment or quotation that swallows the rest, or says nothing, is a fault: %j',
  (text) => {
    expect(() => parse(text)).toThrow(WhereRefusal);
  },
);

test('a comment at the end takes nothing of ours with it', () => {
  expect(parse('a = 1 --').syntax.kind).toBe('operator');
});

test('a fault stands where it is, behind letters of any length and on any line', () => {
  const text = "name = 'Zoë 😀'\n  and size = = 1";
  const { from } = refusalOf(text);
  expect(from).toBe('= 1');
  expect(lineAndColumn(text, text.length - from.length)).toEqual({ line: 2, column: 14 });
  expect(refusalOf("note <> 'é😀' and a = $1").from).toBe('$1');
});

test('a filter has at most so many bytes, and levels', () => {
  expect(refusalOf(`a = '${'x'.repeat(MAX_FILTER_BYTES)}'`).message).toContain(`${MAX_FILTER_BYTES}`);
  const nested = (depth: number): string => `${'not ('.repeat(depth)}true${')'.repeat(depth)}`;
  expect(parse(nested(100)).syntax.kind).toBe('not');
  expect(refusalOf(nested(MAX_FILTER_DEPTH + 2)).message).toContain('levels');
  // Deeper than the parser itself goes.
  expect(() => parse(nested(1500))).toThrow(WhereRefusal);
});

test('filters are parsed in a thread, each by itself, and cross it as plain values', async () => {
  const parsed = await parseFilters(['a = 1', 'a = ', 'b is null']);
  expect(parsed.map(({ kind }) => kind)).toEqual(['filter', 'fault', 'filter']);
  expect(parsed[0]).toEqual({ kind: 'filter', filter: parse('a = 1') });
  expect(await parseFilters([])).toEqual([]);
});
