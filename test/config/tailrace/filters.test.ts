// `where` of sinks and tables as tailrace.yaml has it: what contradicts itself is said at its place.
import { expect, test } from 'vitest';
import { faultLines, loadText } from '../load-config.ts';

const sinkOf = (lines: string): string => `
databases:
  - name: shop
    hostname: localhost
    database: shop
    slot: { name: tailrace }
    publication: { name: tailrace }
sinks:
  - name: users
    database: shop
    source: { include_tables: [public.users, public.orders] }
    destination: { type: sqs, queue_name: users.fifo }
${lines}`;

test('what becomes of rows that leave is what the sink says, and check says what it asks of the tables', async () => {
  const { settings, notes } = await loadText(sinkOf('    where: size > 1\n'));
  expect(settings.sinks[0]!.whereMoves).toBe('ignore');
  expect(notes).toEqual([]);
  const converting = await loadText(sinkOf('    where: size > 1\n    where_moves: convert\n'));
  expect(converting.settings.sinks[0]!.whereMoves).toBe('convert');
  expect(converting.notes.join()).toMatch(/sink users: .*REPLICA IDENTITY FULL.*delete by key/);
});

test.each(['halt', 'dead_letter'] as const)(
  'a filter that tables do not fit any more: %s is what the sink says',
  async (policy) => {
    const { settings } = await loadText(sinkOf(`    where: size > 1\n    on_schema_break: ${policy}\n`));
    expect(settings.sinks[0]!.onSchemaBreak).toBe(policy);
    expect((await loadText(sinkOf(''))).settings.sinks[0]!.onSchemaBreak).toBe('halt');
  },
);

test.each([
  [
    'without a filter',
    '    where_moves: convert\n',
    '13:18 sinks[users].where_moves this goes with `where`: without a filter no row leaves or enters',
  ],
  [
    'an action that the sink does not take',
    '    where: size > 1\n    where_moves: convert\n    actions: [insert, update, truncate]\n',
    "14:18 sinks[users].where_moves convert sends inserts, updates and deletes; delete is not among the sink's actions",
  ],
  [
    'an action that a table does not take',
    '    where: size > 1\n    where_moves: convert\n    tables: [{ name: orders, actions: [insert, delete] }]\n',
    '15:39 sinks[users].tables[orders].actions where_moves: convert sends inserts, updates and deletes: update is missing',
  ],
  [
    'deletes that are dropped',
    '    where: size > 1\n    where_moves: convert\n    deletes_outside: drop\n',
    '15:22 sinks[users].deletes_outside `drop` keeps rows in a copy that are gone: this contradicts `where_moves: convert`',
  ],
  [
    'another image of the row',
    '    where_moves: convert\n    where: |\n      size > 1 and\n        old.size is null\n',
    '16:9 sinks[users].where with where_moves: convert a row is inside or outside by its own columns: old.size says more than they do',
  ],
  [
    'what happened to the row',
    `    where_moves: convert\n    tables: [{ name: orders, where: "size > 1 and meta.action <> 'delete'" }]\n`,
    '14:51 sinks[users].tables[orders].where with where_moves: convert a row is inside or outside by its own columns: meta.action says more than they do',
  ],
])('rows that move: %s', async (_, lines, fault) => {
  expect(await faultLines(loadText(sinkOf(lines)))).toEqual([fault]);
});

test('a table without a filter need not take what moving rows are sent as', async () => {
  const tables = `    where_moves: convert
    tables: [{ name: orders, where: "size > 1 and meta.table <> 'x'" }, { name: users, actions: [insert] }]
`;
  expect((await loadText(sinkOf(tables))).settings.sinks[0]!.tables).toHaveLength(2);
});
