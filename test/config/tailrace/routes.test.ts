// Templates over the row as tailrace.yaml has them: beside variables, and what is wrong with one at its place.
import { expect, test } from 'vitest';
import { faultLines, loadText } from '../load-config.ts';

const sinkOf = (destination: string, lines = ''): string => `
databases:
  - name: shop
    hostname: localhost
    database: shop
    slot: { name: tailrace }
    publication: { name: tailrace }
sinks:
  - name: orders
    database: shop
    source: { include_tables: [public.orders] }
    destination: ${destination}
${lines}`;

const queue = (name: string, more = ''): string => `{ type: sqs, queue_name: "${name}"${more} }`;

test('variables and values of the row stand in one template', async () => {
  const text = sinkOf(queue('orders-${ENV}-${row.region:-${OTHER}}.fifo', ', group_id: "${row.id}-${id}"'));
  const { settings } = await loadText(text, { ENV: 'prod', OTHER: 'eu', id: 'never' });
  expect(settings.sinks[0]!.destination.config).toMatchObject({
    queue_name: 'orders-prod-${row.region:-eu}.fifo',
    group_id: '${row.id}-${id}',
  });
});

test('an unset name that looks like a column is told how a column is written', async () => {
  expect(await faultLines(loadText(sinkOf(queue('orders-${region}.fifo'))))).toEqual([
    '12:43 sinks[orders].destination.queue_name the variable region is not set: did you mean the column, ${row.region}? Else set it, or give a default: ${region:-value}',
  ]);
  expect((await faultLines(loadText(sinkOf(queue('orders-${ENV}.fifo'))))).join()).toMatch(
    /variable ENV is not set; set it/,
  );
});

test.each([
  ['an image that there is not', queue('q-${roe.x}'), /there is no roe; did you mean "row"/],
  ['no end', queue('q-${row.x'), /is not closed/],
  ['text around it that no queue may have', queue('q ${row.x}'), /a queue name has at most 80/],
  ['a default that does not fit', queue('q-${row.x:-a/b}'), /its default does not fit: a name of at most 64/],
  ['a whole name from the row', queue('${row.x}.fifo'), /the row would name any queue: .*allowed/],
  ['a whole URL from the row', '{ type: sqs, queue_url: "${row.url}" }', /the row would name any queue/],
  [
    'an account from the row',
    '{ type: sns, topic_arn: "arn:aws:sns:eu-west-1:${row.a}:t" }',
    /a topic ARN looks like/,
  ],
  [
    'a name in allowed that is none',
    queue('q-${row.x}', ', allowed: ["a b"]'),
    /allowed\S* a queue name has at most 80/,
  ],
  [
    'a pattern in a list',
    queue('q-${row.x}', ', allowed: [q-1, "q-*.fifo"]'),
    /allowed\S* a list has whole names: a pattern stands alone, allowed: "q-\*\.fifo"/,
  ],
  ['a pattern that could take long', queue('q-${row.x}', ', allowed: "*a*b*"'), /at most 2 stars/],
  [
    'a name in allowed for the value alone',
    '{ type: sns, topic_arn: "arn:aws:sns:eu-west-1:123456789012:${row.t}", allowed: [orders] }',
    /allowed\S* no row can name "orders" by topic_arn.* such as "arn:aws:sns:eu-west-1:123456789012:orders"/,
  ],
  [
    'an ARN in allowed where a name stands',
    '{ type: sns, topic_name: "${row.t}", allowed: ["arn:aws:sns:eu-west-1:123456789012:orders"] }',
    /allowed\S* no row can name "arn:\S+ by topic_name/,
  ],
  [
    'a name in allowed that the template never gives',
    queue('orders-${row.t}', ', allowed: [users-eu]'),
    /allowed\S* no row can name "users-eu" by queue_name: "orders-\$\{row\.t\}"/,
  ],
  [
    'a pattern that no ARN matches',
    '{ type: sns, topic_arn: "${row.t}", allowed: "orders-*" }',
    /allowed no row can name what matches "orders-\*" by topic_arn/,
  ],
  [
    'a default that is not allowed',
    queue('${row.t:-nope}', ', allowed: [eu]'),
    /allowed the default of \$\{row\.t\} in queue_name gives none of allowed/,
  ],
  ['allowed without a template', queue('q', ', allowed: [q]'), /no row decides the queue here/],
  [
    'half a character',
    '{ type: webhook, url: "http://h", http_endpoint_path: "/${row.x:-\\ud800}" }',
    /its default does not fit: a segment is Unicode text/,
  ],
  [
    'a header of ours',
    '{ type: webhook, url: "http://h", headers: { Host: "${row.x}" } }',
    /the header host is Tailrace's own/,
  ],
  [
    'a coding',
    '{ type: webhook, url: "http://h", headers: { content-encoding: "${row.x}" } }',
    /gzip is the only/,
  ],
  [
    'a host from the row',
    '{ type: webhook, url: "http://${row.x}/" }',
    /no row chooses the host: .*http_endpoint_path/,
  ],
])('%s is a fault of the configuration', async (_, destination, fault) => {
  const lines = await faultLines(loadText(sinkOf(destination)));
  expect(lines.join('\n')).toMatch(fault);
  expect(lines.every((line) => line.startsWith('12:'))).toBe(true);
});

test.each([
  [
    'a truncate',
    '    actions: [insert, truncate]\n',
    '13:14 sinks[orders].actions a truncate has no row, and queue_name needs ${row.x}: give it a default, ${row.x:-other}',
  ],
  [
    'a changed schema',
    '    ddl: events\n',
    '13:10 sinks[orders].ddl a changed schema has no row, and queue_name needs ${row.x}: give it a default, ${row.x:-other}',
  ],
  [
    'a row that a backfill has read',
    '    actions: [update]\n    backfill: { reads: true }\n',
    '12:18 sinks[orders].destination a row that a backfill has read has no old row, and queue_name needs ${old.x}: give it a default, ${old.x:-other}',
    'q-${old.x}',
  ],
  [
    'moves without deletes',
    '    route_moves: convert\n    actions: [insert, update]\n',
    "13:18 sinks[orders].route_moves convert sends inserts, updates and deletes; delete is not among the sink's actions",
  ],
])('what has no row, and what is not told, is a fault: %s', async (_, lines, fault, name = 'q-${row.x}') => {
  expect(await faultLines(loadText(sinkOf(queue(name), lines)))).toEqual([fault]);
});

test('the cures that are printed cure', async () => {
  for (const lines of ['    actions: [insert, truncate]\n', '    ddl: events\n'])
    await loadText(sinkOf(queue('q-${row.x:-other}'), lines));
  await loadText(sinkOf(queue('q-${old.x:-other}')));
  const reading = '    actions: [update]\n    backfill: { reads: true }\n';
  await loadText(sinkOf(queue('q-${old.x:-other}'), reading));
  expect((await faultLines(loadText(sinkOf(queue('q-${old.x}'))))).join()).toMatch(
    /an insert has no old row/,
  );
  await loadText(sinkOf(queue('${row.x}.fifo', ', allowed: "orders-*.fifo"')));
  await loadText(
    sinkOf('{ type: sqs, queue_url: "${row.url}", allowed: ["https://sqs.eu-west-1.amazonaws.com/1/q"] }'),
  );
});

test('moves without a template are a fault, and a template without moves is named', async () => {
  expect((await faultLines(loadText(sinkOf(queue('q'), '    route_moves: convert\n')))).join()).toMatch(
    /here no row goes elsewhere/,
  );
  const { notes } = await loadText(sinkOf(queue('q-${row.x}')));
  expect(notes.join()).toMatch(
    /sink orders: an update that takes a row to another route .*route_moves: convert/,
  );
  const converting = await loadText(sinkOf(queue('q-${row.x}'), '    route_moves: convert\n'));
  expect(converting.notes).toEqual([]);
  expect(converting.settings.sinks[0]!.routeMoves).toBe('convert');
});

test('headers that rows decide are the destination’s own, beside those of its endpoint', async () => {
  const text = `http_endpoints:
  - { name: e, url: "https://example.com", headers: { x-tenant: fixed, a: "1" } }
${sinkOf('{ type: webhook, http_endpoint: e, headers: { X-Tenant: "${row.tenant}", b: "2" } }')}`;
  const { settings } = await loadText(text);
  expect(settings.sinks[0]!.destination.config).toMatchObject({
    headers: [{ key: 'X-Tenant', value: '${row.tenant}' }],
    encrypted_headers: [
      { key: 'a', value: '1' },
      { key: 'b', value: '2' },
    ],
  });
});
