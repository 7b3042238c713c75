import { expect, test } from 'vitest';
import { nameFor } from '../../src/core/partitions.ts';
import { parseNamePattern, parseTablePattern, type Selection } from '../../src/core/selection.ts';

const patterns = (names: readonly string[]) => names.map((name) => parseTablePattern(name)!);
const leaf = (published: boolean) => ({
  schema: 'parts',
  table: 'ev1',
  ancestors: [
    { schema: 'public', table: 'ev', published },
    { schema: 'public', table: 'mid', published },
  ],
});

const nameOf = (selection: Selection, published = true): string | undefined => {
  const name = nameFor(selection, leaf(published));
  return name && `${name.schema}.${name.table}`;
};

test.each<[string, Selection, string | undefined]>([
  ['of everything', {}, 'public.ev'],
  ['of the root', { includeTables: patterns(['ev']) }, 'public.ev'],
  ['of a table in between', { includeTables: patterns(['mid']) }, 'public.mid'],
  ['of the partition', { includeTables: patterns(['parts.ev1']) }, 'parts.ev1'],
  ['of root and partition', { includeTables: patterns(['ev', 'parts.ev1']) }, 'public.ev'],
  ['of a pattern that the partition fits', { includeTables: patterns(['parts.*']) }, 'parts.ev1'],
  ['of its schema', { includeSchemas: [parseNamePattern('parts')!] }, 'parts.ev1'],
  ['of others', { includeTables: patterns(['other']) }, undefined],
  ['of everything but the root', { excludeTables: patterns(['ev']) }, 'public.mid'],
  ['of everything but the tables above', { excludeTables: patterns(['ev', 'mid']) }, undefined],
  [
    'of the partition by name, but of nothing above',
    { includeTables: patterns(['parts.ev1', 'x.*']), excludeTables: patterns(['ev', 'mid']) },
    'parts.ev1',
  ],
  ['of everything but the partition', { excludeTables: patterns(['parts.ev1']) }, 'public.ev'],
])('a sink %s reads the rows of a partition under the highest name that it takes', (_, selection, name) => {
  expect(nameOf(selection)).toBe(name);
});

test('a partition that is published alone is not its root’s, unless the root is asked for by name', () => {
  expect(nameOf({}, false)).toBe('parts.ev1');
  expect(nameOf({ includeTables: patterns(['*.*']) }, false)).toBe('parts.ev1');
  expect(nameOf({ includeTables: patterns(['ev']) }, false)).toBe('public.ev');
});
