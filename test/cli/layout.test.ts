import { expect, test } from 'vitest';
import { table, visibleLength, wrap } from '../../src/cli/layout.ts';
import { fitting } from '../../src/cli/screen.ts';
import { renderStatus } from '../../src/cli/status-table.ts';
import { healthDocument } from '../../src/pipeline/service/health.ts';
import { wantsColor } from '../../src/telemetry/color.ts';
import { databaseStatus, gap, serviceStatus, sinkStatus } from '../support/status.ts';

const plain = (_style: unknown, text: string): string => text;

const document = healthDocument(
  serviceStatus({
    databases: [
      databaseStatus({
        warnings: ['table "public.a": it has no key'],
        gaps: [gap()],
        notes: ['TLS: mode require'],
        standbys: [
          { host: 'db-2:5432', ready: true, detail: 'slot "tailrace" is synchronized' },
          { host: 'db-3:5432', ready: false, detail: 'it is not there yet' },
        ],
      }),
    ],
    sinks: [sinkStatus({ deadLetters: 3, gaps: [{ from: '0/1', to: '0/2', reason: 'it was disabled' }] })],
  }),
);

test('a table that does not fit the terminal is a block for each row, and no cell is lost', () => {
  const rows = [
    ['NAME', 'STATUS', 'STATE', 'LAG', 'REASON'],
    ['users', 'healthy', 'running', '300 B', 'a sentence that is longer than all that is left of the line'],
    ['orders', 'degraded', 'paused', '1 GB', '-'],
  ];
  expect(table(plain, rows)).toHaveLength(3);
  const narrow = table(plain, rows, 40);
  expect(narrow.filter((line) => line.length > 40)).toEqual([]);
  expect(narrow.slice(0, 2)).toEqual(['users  healthy', '  STATE running  LAG 300 B']);
  const text = narrow.join(' ').replaceAll(/\s+/g, ' ');
  for (const cell of rows.slice(1).flat()) expect(text).toContain(cell);
});

test('the status keeps to 60 columns, but for words that are longer', () => {
  const lines = renderStatus(document, {
    stdout: { write: () => undefined, isTTY: true, columns: 60 },
    env: {},
  });
  expect(lines.filter((line) => visibleLength(line) > 60 && !/\S{50}/.test(line))).toEqual([]);
  expect(lines.join('\n')).toContain('degraded');
});

test('without a terminal nothing is wrapped or coloured: a trouble and its cure are a line each', () => {
  const lines = renderStatus(document, { stdout: { write: () => undefined, columns: 60 }, env: {} });
  expect(lines).toContain('✗ database shop: table "public.a": it has no key');
  expect(lines.find((line) => line.includes('cure: compare'))).toMatch(/accepted_gaps and start again$/);
  expect(lines).toContain('! database shop: TLS: mode require');
  expect(lines).toContain('! sink shop/users: on record: gap 0/1–0/2: it was disabled');
  // Of a standby that is not ready a trouble says so.
  expect(lines.filter((line) => line.includes('standby'))).toEqual([
    '✓ database shop: standby db-2:5432: slot "tailrace" is synchronized',
  ]);
  // Of a row with a mark beside it, none is healthy.
  expect(lines.join('\n')).not.toContain('healthy');
});

test('a word longer than the line stays whole, so that it can be copied', () => {
  const sql = 'select-pg_drop_replication_slot-tailrace';
  expect(wrap(`cure: ${sql} now`, 20, '  ')).toEqual(['cure:', `  ${sql}`, '  now']);
});

test('a frame is no higher than the terminal, counting what the terminal breaks', () => {
  expect(fitting(['a', 'b', 'c'], 10, 4)).toEqual(['a', 'b', 'c']);
  expect(fitting(['a', 'b', 'c', 'd'], 10, 4)).toEqual(['a', 'b', '… 2 more lines']);
  expect(fitting(['a', 'x'.repeat(25), 'c', 'd'], 10, 5)).toEqual(['a', '… 3 more lines']);
});

test('FORCE_COLOR decides about colours, then NO_COLOR, then the terminal', () => {
  const cases: readonly [boolean, Record<string, string>, boolean][] = [
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
    [true, { TERM: 'xterm-256color' }, true],
    [false, { FORCE_COLOR: '1' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [true, { FORCE_COLOR: 'false' }, false],
    [false, { FORCE_COLOR: 'true', NO_COLOR: '1', TERM: 'dumb' }, true],
    [true, { FORCE_COLOR: '', NO_COLOR: '1' }, false],
  ];
  for (const [isTTY, env, colours] of cases)
    expect([isTTY, env, wantsColor({ isTTY }, env)]).toEqual([isTTY, env, colours]);
});
