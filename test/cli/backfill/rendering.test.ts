import { expect, test } from 'vitest';
import { renderBackfill, renderBackfills, shareText } from '../../../src/cli/backfill/rendering.ts';
import type { FoundBackfill } from '../../../src/cli/backfill/ports.ts';
import type { Output } from '../../../src/cli/ports.ts';

const backfill = (overrides: Partial<FoundBackfill> = {}): FoundBackfill => ({
  database: 'shop',
  id: 'k7x2m9p4qa',
  sinks: ['users', 'audit'],
  state: 'running',
  reason: null,
  held_by: null,
  initial: true,
  rows: 1200,
  rows_appended: 1100,
  rows_dropped: 90,
  rows_read_again: 10,
  bytes: 54_321,
  estimated_rows: 4800,
  rows_per_second: 300.4,
  seconds_left: 12,
  query_timeout_ms: 5000,
  workers: 4,
  max_rows_per_second: null,
  gives_way: true,
  pace_rows_per_second: null,
  created_at: '2026-01-02T03:04:05.000Z',
  ended_at: null,
  tables: [
    {
      table: 'public.users',
      where: 'id > 3',
      sort_column: 'at',
      start_position: '2026-01-01',
      keys: 7,
      looked_for: null,
      rows: 1200,
      rows_appended: 1100,
      rows_dropped: 90,
      rows_read_again: 10,
      bytes: 54_321,
      estimated_rows: 4800,
      restarts: 0,
      started_at: '2026-01-02T03:04:05.000Z',
      ended_at: null,
      failure: null,
      notes: ['no index leads with at'],
    },
  ],
  ...overrides,
});

const screen = (terminal: Partial<Output> = {}) => ({
  stdout: { write: () => undefined, ...terminal },
  env: { NO_COLOR: '1' },
});

test('a backfill is a row with its share, rate and time left', () => {
  const [heading, row] = renderBackfills([backfill()], screen());
  expect(heading).toMatch(/^ID +DATABASE +SINKS +TABLES +STATE +ROWS +DONE +RATE +LEFT/);
  expect(row).toMatch(
    /^k7x2m9p4qa +shop +users, audit +public\.users +running +1,200 +25 % +300\/s +12\.0 s +2026/,
  );
});

test('on a terminal the share is a bar too, and only what is complete is all of it', () => {
  const terminal = screen({ isTTY: true });
  expect(shareText(backfill(), terminal)).toBe('█████░░░░░░░░░░░░░░░ 25 %');
  // More rows came than were estimated.
  expect(shareText(backfill({ rows: 9999 }), terminal)).toMatch(/ 99 %$/);
  expect(shareText(backfill({ rows: 9999, state: 'completed' }), terminal)).toBe(`${'█'.repeat(20)} 100 %`);
  expect(shareText(backfill(), { ...terminal, env: { TERM: 'dumb' } })).toBe('25 %');
  expect(shareText(backfill({ estimated_rows: null }), terminal)).toBe('-');
  expect(shareText(backfill({ estimated_rows: 0 }), terminal)).toBe('-');
});

test('one is shown whole, with what its tables are asked for and what is worth knowing', () => {
  const shown = renderBackfill(backfill({ held_by: 'the log is full' }), screen()).join('\n');
  expect(shown).toContain('1,200 read, of about 4,800, 1,100 into the log (53.0 kB)');
  expect(shown).toContain('because the sink was new');
  expect(shown).toMatch(/waits: +the log is full/);
  expect(shown).toMatch(
    /public\.users +being read +1,200 +4,800 +1,100 +id > 3 and at >= 2026-01-01 and 7 keys/,
  );
  expect(shown).toContain('! no index leads with at');
  expect(shown).not.toContain('gives way');
  const slow = renderBackfill(backfill({ pace_rows_per_second: 4321 }), screen()).join('\n');
  expect(slow).toMatch(/gives way: +to live changes: 4,321 rows\/s/);
  expect(renderBackfill(backfill({ tables: null }), screen()).join('\n')).toContain(
    'all tables of its sinks',
  );
});
