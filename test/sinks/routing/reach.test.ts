// Which names a template and what is allowed have in common, if any.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { meet, piecesOf, unreachable } from '../../../src/sinks/routing/reach.ts';
import { snsRouting } from '../../../src/sinks/sns/config.ts';
import { sqsRouting } from '../../../src/sinks/sqs/config.ts';

const ARN = 'arn:aws:sns:eu-west-1:123456789012';
const URL = 'https://sqs.eu-west-1.amazonaws.com/123456789012';

test('two patterns meet if there is a text of both', () => {
  const all = Array.from({ length: 7 }, (_, length) => length).flatMap((length) =>
    Array.from({ length: 2 ** length }, (_, n) =>
      Array.from({ length }, (_, i) => ((n >> i) & 1 ? 'a' : 'b')).join(''),
    ),
  );
  const pattern = fc.stringMatching(/^[ab*]{0,4}$/);
  const matcher = (text: string) => new RegExp(`^${text.replaceAll('*', '[ab]*')}$`);
  fc.assert(
    fc.property(pattern, pattern, (one, other) => {
      const [a, b] = [matcher(one), matcher(other)];
      expect(meet(piecesOf(one), piecesOf(other))).toBe(all.some((text) => a.test(text) && b.test(text)));
    }),
  );
  expect(meet(piecesOf('a*'), piecesOf('a/b'))).toBe(false);
});

const faults = (
  routing: typeof snsRouting | typeof sqsRouting,
  allowed: string | readonly string[],
  ...templates: readonly (readonly [key: string, template: string])[]
): string[] =>
  [
    ...unreachable(
      allowed,
      templates.map(([key, template]) => ({ key, template })),
      routing,
    ),
  ].map(({ path, message }) => `${path.join('.')} ${message}`);

test('what a template can give may be allowed', () => {
  for (const [allowed, template] of [
    [[`${ARN}:orders`], `${ARN}:\${row.t}`],
    [[`${ARN}:orders`, `${ARN}:users.fifo`], '${row.t}'],
    ['arn:aws:sns:*:123456789012:o-*', '${row.t}'],
    ['arn:aws:sns:eu-west-1:*:orders', '${row.t}'],
    ['arn:aws:sns:eu-west-1:12345*:o*.fifo', '${row.t}'],
    ['arn:aws:s*:eu-west-1:*:orders', '${row.t}'],
    ['ar*:aws-*:sns:cn-north-1:123456789012:orders', '${row.t}'],
    [`${ARN}:orders-*`, `${ARN}:\${row.t}`],
    [`${ARN}:orders-*`, `${ARN}:\${row.t:-orders-x}`],
    [`${ARN}:orders-*`, 'arn:aws:sns:eu-west-1:${meta.schema}:${row.t}'],
  ] as const)
    expect(faults(snsRouting, allowed, ['topic_arn', template])).toEqual([]);
  for (const [allowed, template] of [
    [['orders', 'users.fifo'], '${row.t}'],
    [['orders-eu', 'orders-us'], 'orders-${row.t}'],
    ['*', '${row.t}'],
    ['*.fifo', '${row.t}.fifo'],
    ['orders.*', '${row.t}'],
    ['*-*', 'orders-${row.t}'],
    [['eu', 'us'], '${row.t:-eu}'],
    ['e*', '${row.t:-eu}'],
    [['orders_a_x', 'orders_b_none'], '${meta.table}_${row.a:-a}_${row.b:-none}'],
  ] as const)
    expect(faults(snsRouting, allowed, ['topic_name', template])).toEqual([]);
  expect(faults(sqsRouting, `${URL}/q-*`, ['queue_url', '${row.q}'])).toEqual([]);
  expect(faults(sqsRouting, 'http://localhost:4566/*/q', ['queue_url', '${row.q}'])).toEqual([]);
});

test('one that no template can give is a fault, which says what it would be', () => {
  expect(faults(snsRouting, [`${ARN}:eu`, 'orders'], ['topic_arn', `${ARN}:\${row.t}`])).toEqual([
    `allowed.1 no row can name "orders" by topic_arn: "${ARN}:\${row.t}": list the whole of what it gives, such as "${ARN}:orders", or leave it out`,
  ]);
  expect(faults(snsRouting, [`${ARN}:orders`], ['topic_name', '${row.t}'])).toEqual([
    `allowed.0 no row can name "${ARN}:orders" by topic_name: "\${row.t}": list the whole of what it gives, such as "orders", or leave it out`,
  ]);
  expect(faults(snsRouting, ['users-eu'], ['topic_name', 'orders-${row.t}'])).toEqual([
    'allowed.0 no row can name "users-eu" by topic_name: "orders-${row.t}": list the whole of what it gives, such as "orders-users-eu", or leave it out',
  ]);
  expect(faults(sqsRouting, ['orders'], ['queue_url', `${URL}/\${row.q}`])).toEqual([
    `allowed.0 no row can name "orders" by queue_url: "${URL}/\${row.q}": list the whole of what it gives, such as "${URL}/orders", or leave it out`,
  ]);
  expect(faults(sqsRouting, [`${URL}/orders`], ['queue_name', '${row.q}'])).toHaveLength(1);
  expect(faults(sqsRouting, ['orders-'], ['queue_name', 'orders-${row.q}'])).toHaveLength(1);
  expect(faults(snsRouting, ['orders'], ['topic_arn', '${row.arn}'])).toEqual([
    'allowed.0 no row can name "orders" by topic_arn: "${row.arn}": a topic ARN looks like arn:aws:sns:eu-west-1:123456789012:users.fifo: list the whole of what it gives, or leave it out',
  ]);
});

test('one place of several that can give it is enough, and so is one that is it', () => {
  const places = [
    ['queue_name', 'orders-${row.q}'],
    ['delete.queue_name', 'gone-${row.q}'],
    ['tables[public.a.b].queue_url', '${row.q}'],
    ['update.queue_name', 'updated'],
  ] as const;
  const allowed = ['orders-1', 'gone-1', `${URL}/q`, 'updated', 'other'];
  expect(faults(sqsRouting, allowed, ...places)).toEqual([
    'allowed.4 no row can name "other" by queue_name: "orders-${row.q}": list the whole of what it gives, such as "orders-other", or leave it out',
  ]);
});

test('a pattern that nothing can match is a fault', () => {
  expect(faults(snsRouting, 'orders-*', ['topic_arn', '${row.t}'])).toEqual([
    'allowed no row can name what matches "orders-*" by topic_arn: "${row.t}": a topic ARN looks like arn:aws:sns:eu-west-1:123456789012:users.fifo: write a pattern of the whole of what it gives',
  ]);
  expect(faults(snsRouting, 'users-*', ['topic_name', 'orders-${row.t}'])).toEqual([
    'allowed no row can name what matches "users-*" by topic_name: "orders-${row.t}": write a pattern of the whole of what it gives',
  ]);
  expect(faults(snsRouting, 'orders-*', ['topic_arn', `${ARN}:\${row.t}`])).toHaveLength(1);
  expect(faults(snsRouting, `${ARN}:*`, ['topic_name', '${row.t}'])).toHaveLength(1);
  expect(faults(sqsRouting, 'orders-*', ['queue_url', '${row.q}'])).toHaveLength(1);
  expect(faults(sqsRouting, 'https://*', ['queue_name', '${row.q}'])).toHaveLength(1);
});

test('a default that gives no name that is allowed is a fault', () => {
  expect(faults(snsRouting, ['eu'], ['topic_name', '${row.t:-nope}'])).toEqual([
    'allowed the default of ${row.t} in topic_name gives none of allowed: list what it gives, or write another default than "nope"',
  ]);
  expect(faults(sqsRouting, 'q-*', ['queue_name', '${row.t:-nope}'])).toHaveLength(1);
  // Where nothing of it is allowed that is said once; of what is no name nothing is.
  expect(faults(sqsRouting, ['b'], ['queue_name', 'a-${row.t:-b}']).join()).not.toMatch(/the default/);
  expect(faults(sqsRouting, 'b-*', ['queue_name', 'a-${row.t:-b}'])).toHaveLength(1);
  expect(faults(sqsRouting, ['a-x', 'b-y'], ['queue_name', '${row.a:-a}-${row.b:-z}'])).toEqual([
    'allowed the default of ${row.b} in queue_name gives none of allowed: list what it gives, or write another default than "z"',
  ]);
  // Both stand where both are NULL.
  expect(faults(sqsRouting, ['a-x', 'b-y'], ['queue_name', '${row.a:-a}-${row.b:-y}'])).toEqual([]);
  expect(faults(sqsRouting, ['a-b'], ['queue_name', '${row.a:-a}-${row.a:-b}'])).toEqual([]);
});

test('a template that cannot be read, and a name that is none, are told elsewhere', () => {
  expect(faults(snsRouting, ['a b'], ['topic_name', 'orders-${row.t}'])).toEqual([]);
  expect(faults(sqsRouting, [`${URL}/q-*`], ['queue_name', 'orders-${row.q}'])).toEqual([]);
  expect(faults(snsRouting, ['a-*'], ['topic_name', 'orders-${row.t}'])).toEqual([]);
  expect(faults(snsRouting, ['eu'], ['topic_name', 'orders-${row.}'])).toEqual([]);
  expect(faults(snsRouting, ['eu'], ['topic_name', 'orders'])).toEqual([]);
});
