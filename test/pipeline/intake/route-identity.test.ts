// What a table's replica identity keeps from the templates of a sink for certain, and what cures it.
import { expect, test } from 'vitest';
import { firstOf, unsentFindings } from '../../../src/pipeline/intake/route-identity.ts';
import { asksOfOldRows } from '../../../src/pipeline/intake/route-needs.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { sinkDefinition } from '../../../src/sinks/registry.ts';

const NAME = { schema: 'public', table: 'orders' };

function settingsOf(
  destination: { readonly type: string } & Record<string, unknown>,
  more: Partial<SinkSettings> = {},
) {
  const { type } = destination;
  return {
    name: 'orders',
    selection: {},
    tables: [],
    actions: ['insert', 'update', 'delete'],
    messageGrouping: true,
    routeMoves: 'ignore',
    destination: { type, config: sinkDefinition(type)!.config.parse(destination) },
    ...more,
  } as unknown as SinkSettings;
}

const queue = (queue_name: string, more = {}) => ({ type: 'sqs', queue_name, ...more });
const ALL = ['id', 'region', 'account', 'tenant', 'a'];
const table = (columns: readonly string[], isFull = false) => ({ ...NAME, columns, all: ALL, isFull });
const details = (...of: Parameters<typeof unsentFindings>) =>
  unsentFindings(...of).map(({ detail, cure }) => `${detail} — ${cure}`);

test('a delete that comes without a column of its route is found, with what has it sent', () => {
  expect(details(settingsOf(queue('q-${row.region}')), NAME, table(['id']))).toEqual([
    'queue_name asks for region of public.orders, and a row that is deleted comes with its replica identity alone — ALTER TABLE "public"."orders" REPLICA IDENTITY FULL; or give it a default: ${row.region:-other}',
  ]);
});

test.each([
  ['the cure was run', settingsOf(queue('q-${row.region}')), table([], true)],
  ['it is of the identity', settingsOf(queue('q-${row.region}')), table(['id', 'region'])],
  [
    'deletes are not taken',
    settingsOf(queue('q-${row.region}'), { actions: ['insert', 'update'] }),
    table(['id']),
  ],
  [
    'deletes have a queue of their own',
    settingsOf(queue('q-${row.region}', { delete: { queue_name: 'd' } })),
    table(['id']),
  ],
])('nothing is found where %s', (_, settings, of) => {
  expect(details(settings, NAME, of)).toEqual([]);
});

test('rows that move have to be known as they were, and old values of updates too', () => {
  const moving = settingsOf(queue('q-${row.region:-x}'), { routeMoves: 'convert' });
  expect(details(moving, NAME, table(['id'])).join()).toMatch(
    /asks for region .* before an update .* or route_moves: ignore/,
  );
  const old = settingsOf(queue('q-${old.region}'), { actions: ['update'] });
  expect(details(old, NAME, table(['id'])).join()).toMatch(
    /asks for region .* before an update .*default: \$\{old\.region:-other\}$/,
  );
  const cured = settingsOf(queue('q-${old.region:-other}'), { actions: ['update'] });
  expect(details(cured, NAME, table(['id']))).toEqual([]);
});

test('where a default stands for what a deleted row comes without, its deletes go elsewhere: a warning, with what has the value sent', () => {
  const found = unsentFindings(settingsOf(queue('q-${row.id}-${row.region:-other}')), NAME, table(['id']));
  expect(found).toMatchObject([
    {
      severity: 'warning',
      detail:
        'a row of public.orders that is deleted comes without region of queue_name, so its delete goes to the route of the default, wherever the row was',
      cure: 'ALTER TABLE "public"."orders" REPLICA IDENTITY FULL;',
    },
  ]);
  const grouped = (group_id: string, more = {}) =>
    details(settingsOf(queue('q.fifo', { group_id }), more), NAME, table(['id']));
  for (const group of ['${row.account:-x}', '${account}'])
    expect(grouped(group)).toEqual([
      'a row of public.orders that is deleted comes without account of group_id, so its delete is in the group of the default, in no order with what the row did before — ALTER TABLE "public"."orders" REPLICA IDENTITY FULL;',
    ]);
  expect([grouped('${id}'), grouped('${account}', { actions: ['insert', 'update'] })]).toEqual([[], []]);
});

test('a group that needs a value of a deleted row is found as well, and headers of a webhook', () => {
  const grouped = settingsOf(queue('q', { group_id: '${row.account}' }));
  expect(details(grouped, NAME, table(['id'])).join()).toMatch(/^group_id asks for account/);
  const headers = { 'x-tenant': '${row.tenant}' };
  const hook = settingsOf({ type: 'webhook', url: 'http://h', http_endpoint_path: '/${row.a}', headers });
  expect(details(hook, NAME, table(['id'])).join()).toMatch(
    /^http_endpoint_path, headers\[x-tenant\] asks for a, tenant .*\$\{row\.a:-other\}, \$\{row\.tenant:-other\}$/,
  );
});

test('the server is asked only where a template may lack something', () => {
  const asks = (name: string, more = {}, settings = {}) =>
    asksOfOldRows(settingsOf(queue(name, more), settings));
  expect([asks('q'), asks('q', { group_id: '${id}' }), asks('q-${row.a:-b}')]).toEqual([false, false, false]);
  expect([asks('q-${row.a}'), asks('q', { group_id: '${row.id}' })]).toEqual([true, true]);
  expect(asks('q-${row.a:-b}', {}, { routeMoves: 'convert' })).toBe(true);
  expect(asks('q-${row.a}', {}, { actions: ['insert'] })).toBe(false);
});

test('of many tables ten are noted, and how many there are more', () => {
  const one = unsentFindings(settingsOf(queue('q-${row.a:-b}')), NAME, table(['id']));
  const many = (count: number) => firstOf(Array.from({ length: count }, () => one).flat());
  expect([many(10).length, many(10).at(-1), many(25).length]).toEqual([10, one[0], 10]);
  expect(many(25).at(-1)!.detail).toMatch(/wherever the row was; and so with 15 more$/);
});
