import { describe, expect, test } from 'vitest';
import { faultLines, loadText } from '../load-config.ts';

const file = (lines: string): string => `
databases:
  - { name: shop, hostname: localhost, database: d, slot_name: s, publication_name: p }
sinks:
  - name: users
    source: { include_tables: [users, orders] }
${lines.replaceAll(/^/gm, '    ')}
    destination: { type: sequin_stream }
`;
const backfillOf = async (lines: string) => (await loadText(file(lines))).settings.sinks[0]!.backfill;
const LIMITS = { queryTimeoutMs: 5000, workers: 4 };

describe('initial_backfill, as sequin.yaml has it', () => {
  test.each(['initial_backfill: true', 'initial_backfill: "true"', 'initial_backfill: { all: true }'])(
    '%s is of all tables',
    async (line) => {
      expect(await backfillOf(line)).toEqual({ initial: 'all', limits: LIMITS });
    },
  );

  test.each([
    '',
    'initial_backfill: false',
    'initial_backfill:',
    'initial_backfill: []',
    'initial_backfill: { all: false }',
  ])('"%s" asks for nothing', async (line) => {
    expect(await backfillOf(line)).toEqual({ limits: LIMITS });
  });

  test('is of single tables, whole or from a value of a column on', async () => {
    const initial = `initial_backfill:
  - table: users
  - { table: sales.orders, type: partial, sort_column: updated_at, start_position: 2025-01-01T00:00:00Z }
  - { table: lines, type: partial, sort_column: id, start_position: 4711 }`;
    expect(await backfillOf(initial)).toEqual({
      initial: [
        { schema: 'public', table: 'users' },
        { schema: 'sales', table: 'orders', sort: { column: 'updated_at', from: '2025-01-01T00:00:00Z' } },
        { schema: 'public', table: 'lines', sort: { column: 'id', from: '4711' } },
      ],
      limits: LIMITS,
    });
  });

  test.each([
    ['initial_backfill: [{ table: users, type: partly }]', '"partly" is not known here'],
    ['initial_backfill: [{ tabel: users }]', 'unknown key'],
    ['initial_backfill: [users]', 'a mapping is expected here, not a text'],
    ['initial_backfill: yes please', 'true, false or a list of tables is expected'],
    ['initial_backfill: [{ table: users }, { table: public.users }]', 'public.users is named twice'],
    [
      'initial_backfill: [{ table: users, type: partial, start_position: 1 }]',
      'a partial backfill needs this',
    ],
    ['initial_backfill: [{ table: users, type: partial, sort_column: id }]', 'a partial backfill needs this'],
    ['initial_backfill: [{ table: users, sort_column: id }]', 'this needs `type: partial`'],
    [
      'initial_backfill: [{ table: users, type: partial, sort_column: id, start_position: 90071992547409931 }]',
      'write it in quotes',
    ],
    ['initial_backfill: true\nbackfill: { reads: false }', 'this contradicts `backfill.reads: false`'],
  ])('%s is refused at its place', async (lines, message) => {
    const faults = await faultLines(loadText(file(lines)));
    expect(faults.filter((fault) => fault.includes(message))).toHaveLength(1);
    expect(faults.every((fault) => fault.startsWith('7:'))).toBe(true);
  });
});

describe('which rows of backfills a sink gets', () => {
  test.each([
    ['', undefined],
    ['backfill: { reads: false }', false],
    ['backfill: { reads: true }', true],
    ['actions: [delete]', undefined],
    // As in Sequin, where reads are always among the actions.
    ['actions: [delete]\ninitial_backfill: true', true],
    ['actions: [insert]\ninitial_backfill: true', undefined],
  ])('%s: %s', async (lines, reads) => {
    expect((await backfillOf(lines)).reads).toBe(reads);
  });
});

test('limits are those of the sink', async () => {
  expect((await backfillOf('backfill: { query_timeout: 800ms, max_rows_per_second: 50 }')).limits).toEqual({
    queryTimeoutMs: 800,
    workers: 4,
    maxRowsPerSecond: 50,
  });
  expect((await backfillOf('backfill: { workers: 16 }')).limits).toMatchObject({ workers: 16 });
  expect((await backfillOf('backfill: { gives_way: false }')).limits).toMatchObject({ givesWay: false });
  expect((await backfillOf('backfill: { gives_way: true }')).limits).not.toHaveProperty('givesWay');
  expect(await faultLines(loadText(file('backfill: { workers: 17 }')))).toEqual([
    expect.stringContaining('sinks[users].backfill.workers'),
  ]);
  expect(await faultLines(loadText(file('backfill: { query_timeout: 0s }')))).toEqual([
    '7:32 sinks[users].backfill.query_timeout a duration above 0 and below 24 days is expected, with its unit: 500ms, 35s, 2m',
  ]);
});
