import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  describeSelection,
  exactTable,
  formatTablePattern,
  isOpen,
  matchesName,
  namedTables,
  parseNamePattern,
  parseTablePattern,
  selects,
  type Selection,
} from '../../src/core/selection.ts';

const pattern = (text: string) => parseTablePattern(text)!;
const name = (text: string) => {
  const [schema = '', table = ''] = text.split('.');
  return { schema, table };
};

describe('a pattern of tables', () => {
  test.each([
    ['users', 'public.users', true],
    ['users', 'shop.users', false],
    ['shop.users', 'shop.users', true],
    ['shop.users', 'shop.Users', false],
    ['tenant_*.orders', 'tenant_a.orders', true],
    ['tenant_*.orders', 'tenant_.orders', true],
    ['tenant_*.orders', 'tenants.orders', false],
    ['tenant_*.orders', 'tenant_a.orders_old', false],
    ['public.*', 'public.anything', true],
    ['*.*', 'a.b', true],
    ['*.log_*_2026', 's.log_x_2026', true],
    ['*.log_*_2026', 's.log_2026', false],
    ['event*', 'public.events', true],
    ['a*a.t', 'a.t', false],
    ['a*a.t', 'aa.t', true],
    ['*b*c*.t', 'xbxxcx.t', true],
    ['*b*c*.t', 'xcxb.t', false],
    ['"we*rd".t', 'we*rd.t', true],
    ['"we*rd".t', 'weird.t', false],
    ['"My "*."a ""b"""', 'My Schema.a "b"', true],
  ])('%s on %s: %s', (text, table, expected) => {
    expect(selects({ includeTables: [pattern(text)] }, name(table))).toBe(expected);
  });

  test.each([
    ['order items', 'public', 'order items'],
    ['Order Archive.Order Items 2024', 'Order Archive', 'Order Items 2024'],
    ['public.orders.archive.2024', 'public', 'orders.archive.2024'],
    ['public.orders.', 'public', 'orders.'],
    ['"a.b".c.d', 'a.b', 'c.d'],
    ['s."a.b"', 's', 'a.b'],
    ['s."a.b".c', 's', 'a.b.c'],
    ['  s.t  ', 's', 't'],
  ])('%j needs no quotes: the schema ends at the first dot', (text, schema, table) => {
    expect(exactTable(pattern(text))).toEqual({ schema, table });
  });

  test.each(['', '*', '**', '.t', 's.', 'a?', 's.a?', '"open', 's."open'])('"%s" is none', (text) => {
    expect(parseTablePattern(text)).toBeUndefined();
  });

  test('means what a regular expression with the same pieces means (property)', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', '_', '*'), maxLength: 6 });
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '_'), maxLength: 8 });
    fc.assert(
      fc.property(piece, text, (written, subject) => {
        fc.pre(written !== '');
        const expected = new RegExp(`^${written.replaceAll('*', '.*')}$`).test(subject);
        expect(matchesName(parseNamePattern(written)!, subject)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a selection', () => {
  const of = (
    lists: Readonly<Record<Exclude<keyof Selection, 'partitionsHaveIdentity'>, string[] | undefined>>,
  ): Selection => ({
    includeSchemas: lists.includeSchemas?.map((text) => parseNamePattern(text)!),
    excludeSchemas: lists.excludeSchemas?.map((text) => parseNamePattern(text)!),
    includeTables: lists.includeTables?.map(pattern),
    excludeTables: lists.excludeTables?.map(pattern),
  });
  const none = {
    includeSchemas: undefined,
    excludeSchemas: undefined,
    includeTables: undefined,
    excludeTables: undefined,
  };

  test.each([
    ['nothing at all', none, 'any.table', true],
    ['an included schema', { ...none, includeSchemas: ['shop'] }, 'shop.t', true],
    ['another schema', { ...none, includeSchemas: ['shop'] }, 'other.t', false],
    ['a schema by pattern', { ...none, includeSchemas: ['tenant_*'] }, 'tenant_a.t', true],
    ['an excluded schema', { ...none, excludeSchemas: ['audit_*'] }, 'audit_x.t', false],
    ['an excluded table', { ...none, excludeTables: ['*.jobs'] }, 'shop.jobs', false],
    ['a table beside an excluded one', { ...none, excludeTables: ['*.jobs'] }, 'shop.users', true],
    [
      'a table in both lists: what is excluded wins',
      { ...none, includeTables: ['shop.*'], excludeTables: ['shop.jobs'] },
      'shop.jobs',
      false,
    ],
    [
      'a table of an included schema that is not an included table',
      { ...none, includeSchemas: ['shop'], includeTables: ['shop.users'] },
      'shop.orders',
      false,
    ],
  ])('with %s', (_, lists, table, expected) => {
    expect(selects(of(lists), name(table))).toBe(expected);
  });

  test('names its exact tables, and is open when it takes more than these', () => {
    const closed = of({ ...none, includeTables: ['users', 'shop.jobs'], excludeTables: ['*.jobs'] });
    expect(namedTables(closed)).toEqual([{ schema: 'public', table: 'users' }]);
    expect(isOpen(closed)).toBe(false);
    expect(isOpen(of({ ...none, includeTables: ['users', 'shop.*'] }))).toBe(true);
    expect(isOpen({})).toBe(true);
  });

  test('is described in words', () => {
    expect(describeSelection({})).toBe('every table');
    const lists = {
      includeSchemas: ['a*'],
      excludeSchemas: ['ab'],
      includeTables: ['*.users', '"x*".t'],
      excludeTables: ['jobs'],
    };
    expect(describeSelection(of(lists))).toBe('*.users, "x*".t in a* except ab.*, public.jobs');
    expect(formatTablePattern(pattern('"x*"*.t'))).toBe('"x*"*.t');
  });
});
