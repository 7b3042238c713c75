import { expect, test } from 'vitest';
import { parseNamePattern, parseTablePattern, type TableName } from '../../../src/core/selection.ts';
import type { SinkNames } from '../../../src/core/wanted-names.ts';
import {
  columnFaults,
  inspectColumns,
  inspectUnmatched,
  unmatchedNames,
} from '../../../src/postgres/preflight/names.ts';

const pattern = (text: string) => parseTablePattern(text)!;
const existing: readonly TableName[] = [
  { schema: 'public', table: 'users' },
  { schema: 'tenant_1', table: 'orders' },
  { schema: 'tenant_2', table: 'orders' },
];
const SINK = { name: 'all', tables: [], destinationTables: [], groups: [], actions: ['insert'] } as const;
const unmatched = (names: SinkNames) =>
  inspectUnmatched(unmatchedNames([{ sink: SINK, ...names }], existing)).map(({ detail }) => detail);

test('patterns and names that match no table are told with the nearest name that there is', () => {
  expect(unmatched({ includeTables: [pattern('tenant_*.ordrs'), pattern('tenant_*.orders')] })).toEqual([
    'include_tables names tenant_*.ordrs, which no table matches; did you mean "tenant_1.orders"?',
  ]);
  expect(unmatched({ includeSchemas: [parseNamePattern('pubilc')!, parseNamePattern('tenant_*')!] })).toEqual(
    ['include_schemas names pubilc, which no schema with a table matches; did you mean "public"?'],
  );
  const sink = { ...SINK, tables: [{ pattern: pattern('userz') }], destinationTables: ['public.Users'] };
  expect(unmatched({ sink })).toEqual([
    'tables names public.userz, which no table matches; did you mean "public.users"?',
    'destination.tables names public.Users, which no table matches; did you mean "public.users"?',
  ]);
});

test('what keeps tables out may be a pattern of what is to come, but a name that nothing has is told', () => {
  expect(unmatched({ excludeTables: [pattern('tmp_*'), pattern('usres')] })).toEqual([
    'exclude_tables names public.usres, which no table matches; did you mean "public.users"?',
  ]);
});

test('a table that is named to be read is not told twice where it has options', () => {
  const sink = { ...SINK, tables: [{ pattern: pattern('nosuch') }], destinationTables: ['public.nosuch'] };
  expect(unmatched({ includeTables: [pattern('nosuch')], sink })).toEqual([]);
});

const table = (name: TableName, columns: readonly string[], sent: readonly string[] | null = null) => ({
  ...name,
  columns,
  sent,
});
const [users, first, second] = existing as [TableName, TableName, TableName];

test('a column that a table lacks is told by sink, key, table and the nearest name', () => {
  const names: SinkNames = {
    sink: {
      ...SINK,
      tables: [{ pattern: pattern('users'), columns: ['id', 'emial'], groupColumns: ['Id'] }],
      groups: [{ key: 'group_id', columns: ['nothing'] }],
    },
  };
  const faults = columnFaults([names], [table(users, ['id', 'email'])]);
  const findings = inspectColumns(faults);
  expect(findings.map(({ code, detail }) => [code, detail])).toEqual([
    [
      'COLUMN_MISSING',
      'columns names the column "emial", which table "public.users" does not have; did you mean "email"?',
    ],
    [
      'GROUP_COLUMN_MISSING',
      'group_column_names names the column "Id", which table "public.users" does not have; did you mean "id"?',
    ],
    ['GROUP_COLUMN_MISSING', 'group_id names the column "nothing", which table "public.users" does not have'],
  ]);
  expect(findings[2]!.cure).toContain('name one of id, email');
});

test('of a list of columns that a pattern shares, one that any of its tables has is none too many; a group needs it in each', () => {
  const options = { pattern: pattern('tenant_*.orders'), columns: ['a', 'b', 'c'], groupColumns: ['a'] };
  const names: SinkNames = { sink: { ...SINK, tables: [options] } };
  const faults = columnFaults([names], [table(first, ['a', 'b']), table(second, ['b'])]);
  expect(faults.map(({ key, column, table: { schema } }) => `${schema} ${key} ${column}`)).toEqual([
    'tenant_1 columns c',
    'tenant_2 columns c',
    'tenant_2 group_column_names a',
  ]);
});

test('only the tables that a sink reads are held against it, and a name that many lack is told a few times', () => {
  const groups = [{ key: 'group_id', columns: ['tenant'] }];
  const names: SinkNames = { includeTables: [pattern('t_*')], sink: { ...SINK, groups } };
  const many = Array.from({ length: 50 }, (_, i) => table({ schema: 'public', table: `t_${i}` }, ['id']));
  const faults = columnFaults([names], [...many, table(users, ['id'])]);
  expect(faults).toHaveLength(50);
  expect(inspectColumns(faults)).toHaveLength(10);
});

test('a column that the publication does not send is told as such', () => {
  const names: SinkNames = {
    sink: { ...SINK, tables: [{ pattern: pattern('users'), columns: ['secret'] }] },
  };
  const [finding] = inspectColumns(columnFaults([names], [table(users, ['id', 'secret'], ['id'])]));
  expect(finding!.detail).toContain('which the publication does not send');
});
