import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, test } from 'vitest';
import { endpointLike, findEndpoint, regionOfHost } from '../../../src/sinks/aws/region.ts';
import { parseTopicArn } from '../../../src/sinks/sns/arn.ts';
import { snsConfigSchema } from '../../../src/sinks/sns/config.ts';

/** `path: message` of every fault. */
function faultsOf(destination: object): string[] {
  const result = snsConfigSchema.safeParse({ type: 'sns', ...destination });
  return (result.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

const OF_ROWS = 'arn:aws:sns:eu-west-1:123456789012:orders-';
const ARN = 'arn:aws:sns:eu-west-1:123456789012:users.fifo';

test('a topic is enough; the rest has defaults', () => {
  expect(snsConfigSchema.parse({ type: 'sns', topic_arn: ARN })).toEqual({
    type: 'sns',
    topic_arn: ARN,
    create_if_not_exists: false,
    message_attributes: false,
    use_task_role: false,
    lanes: 640,
    lanes_min: 8,
    timeout: 10_000,
  });
});

describe('faults', () => {
  test.each([
    [{}, 'topic_arn: no topic'],
    [{ topic_arn: ARN, topic_name: 'users.fifo' }, 'topic_name: write topic_arn or topic_name, not both'],
    [{ topic_name: 'with blank' }, 'topic_name: a topic name has'],
    [{ topic_name: `${'x'.repeat(252)}.fifo` }, 'topic_name: a topic name has'],
    [{ topic_arn: 'arn:aws:sqs:eu-west-1:123456789012:users' }, 'topic_arn: a topic ARN looks like'],
    [{ topic_arn: 'arn:aws:sns:eu-west-1:12:users' }, 'topic_arn: a topic ARN looks like'],
    [{ topic_arn: ARN, region: 'us-east-1' }, 'topic_arn: this topic is in eu-west-1'],
    [{ topic_arn: ARN, is_fifo: false }, 'is_fifo: is_fifo is false'],
    [{ topic_arn: `${OF_ROWS}\${row.r}`, region: 'us-east-1' }, 'topic_arn: this topic is in eu-west-1'],
    [{ topic_arn: 'arn:aws:sns:eu-wset-1:123456789012:users' }, 'topic_arn: AWS has no region eu-wset-1'],
    [
      { topic_arn: 'arn:aws:sns:eu-wset-1:123456789012:orders-${row.r}' },
      'topic_arn: AWS has no region eu-wset-1',
    ],
    [{ topic_arn: `${OF_ROWS}\${row.r}.fifo`, is_fifo: false }, 'is_fifo: is_fifo is false'],
    [{ topic_arn: `${OF_ROWS}\${row.r:-x}`, is_fifo: true }, 'is_fifo: is_fifo is true'],
    [{ topic_name: 'orders-${row.r}.fifo', is_fifo: false }, 'is_fifo: is_fifo is false'],
    [{ topic_name: 'orders-${row.r}', is_fifo: true }, 'is_fifo: is_fifo is true'],
    [
      { topic_name: '${row.t}.fifo', allowed: ['a.fifo'], is_fifo: false },
      'is_fifo: is_fifo is false, but the topic is called ${row.t}.fifo',
    ],
    [{ topic_name: '${row.t}' }, 'topic_name: the row would name any topic'],
    [{ topic_arn: 'arn:aws:sns:eu-west-1:123456789012:${row.t}' }, 'topic_arn: the row would name any topic'],
    [{ topic_name: '${row.t}', allowed: ['a', 'b c'] }, 'allowed.1: a topic ARN looks like'],
    [{ topic_name: '${row.t}', allowed: ['a*'] }, 'allowed.0: a list has whole names'],
    [{ topic_name: 'users', allowed: ['users'] }, 'allowed: this goes with a template'],
    [{ topic_arn: ARN, allowed: 'users*' }, 'allowed: this goes with a template'],
    [{ topic_name: 'a', access_key_id: 'x' }, 'secret_access_key: access_key_id and'],
    [{ topic_name: 'a', use_emulator: true }, 'emulator_base_url: use_emulator needs'],
    [{ topic_name: 'a', topic_url: 'x' }, ': Unrecognized key'],
  ])('%j: %s', (destination, fault) => {
    expect(faultsOf(destination)).toEqual([expect.stringContaining(fault)]);
  });

  test.each([
    { topic_arn: `${OF_ROWS}\${row.r}`, region: 'eu-west-1' },
    { topic_arn: `${OF_ROWS}\${row.r}.fifo`, is_fifo: true },
    { topic_name: 'orders-${row.r}', is_fifo: false },
    { topic_name: 'orders-${row.r}.fifo', is_fifo: true },
    // Of these the row may name either.
    { topic_name: '${row.t}', allowed: ['a', 'b.fifo'], is_fifo: true },
    { topic_arn: '${row.t}', allowed: [ARN], is_fifo: true, region: 'us-east-1' },
    { topic_arn: 'arn:aws:sns:${row.r}:123456789012:users', allowed: 'arn:*', region: 'eu-west-1' },
    // An emulator has the regions that it likes.
    {
      topic_arn: 'arn:aws:sns:eu-wset-1:123456789012:users',
      emulator_base_url: 'http://localhost:4566',
    },
  ])('%j is no fault', (destination) => {
    expect(faultsOf(destination)).toEqual([]);
  });

  test('a mistyped region in an ARN is told with the one that it may be', () => {
    const result = snsConfigSchema.safeParse({
      type: 'sns',
      topic_arn: 'arn:aws:sns:eu-wset-1:123456789012:orders-${row.r}',
    });
    expect(result.error?.issues).toMatchObject([{ params: { nearest: 'eu-west-1' } }]);
  });

  test('as in sequin.yaml is no fault', () => {
    expect(
      faultsOf({
        topic_arn: ARN,
        region: 'eu-west-1',
        access_key_id: 'test',
        secret_access_key: 'test',
        is_fifo: true,
      }),
    ).toEqual([]);
  });
});

test('an ARN tells name and region', () => {
  expect(parseTopicArn(ARN)).toEqual({ region: 'eu-west-1', name: 'users.fifo' });
  expect(parseTopicArn('arn:aws-cn:sns:cn-north-1:123456789012:a')?.region).toBe('cn-north-1');
  expect(parseTopicArn('users')).toBeUndefined();
});

const REGIONS = [
  'eu-west-1',
  'us-east-1',
  'ca-central-1',
  'cn-north-1',
  'us-gov-west-1',
  'us-gov-east-1',
  'us-iso-east-1',
  'us-isob-east-1',
  'eu-isoe-west-1',
  'eusc-de-east-1',
];

test.each(REGIONS)('the endpoints of SNS in %s are the SDK’s, FIPS and dual-stack too', (Region) => {
  const options = { credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, region: Region };
  const [sns, sqs] = [new SNSClient(options), new SQSClient(options)];
  for (const [UseFIPS, UseDualStack] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    const endpoint = (ask: () => { url: URL }): URL | undefined => {
      try {
        return ask().url;
      } catch {
        return undefined; // no such endpoint in this partition
      }
    };
    const wanted = endpoint(() => sns.config.endpointProvider({ Region, UseFIPS, UseDualStack }));
    const found = endpoint(() => sqs.config.endpointProvider({ Region, UseFIPS, UseDualStack }));
    expect(found && endpointLike(found, 'sns').href).toBe(wanted?.href);
  }
});

test('a region’s endpoint is found, and an endpoint’s region', async () => {
  expect((await findEndpoint('sns', { region: 'eu-west-1' })).href).toBe(
    'https://sns.eu-west-1.amazonaws.com/',
  );
  expect(regionOfHost('sns', 'vpce-0a-1b.sns.us-east-2.vpce.amazonaws.com')).toBe('us-east-2');
  expect(regionOfHost('sns', 'sqs.eu-west-1.amazonaws.com')).toBeUndefined();
});
