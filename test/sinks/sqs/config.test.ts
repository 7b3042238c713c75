import { describe, expect, test } from 'vitest';
import { sqsConfigSchema } from '../../../src/sinks/sqs/config.ts';
import { queueNameOfUrl, regionOfQueueUrl } from '../../../src/sinks/sqs/queue-url.ts';
import { awsNotesOf } from '../../../src/sinks/aws/config.ts';
import { findEndpoint } from '../../../src/sinks/aws/region.ts';

/** `path: message` of every fault. */
function faultsOf(destination: object): string[] {
  const result = sqsConfigSchema.safeParse({ type: 'sqs', ...destination });
  return (result.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

const URL_IN_IRELAND = 'https://sqs.eu-west-1.amazonaws.com/123456789012/users.fifo';

test('a queue is enough; the rest has defaults', () => {
  expect(sqsConfigSchema.parse({ type: 'sqs', queue_name: 'users.fifo' })).toEqual({
    type: 'sqs',
    queue_name: 'users.fifo',
    tables: {},
    create_if_not_exists: false,
    message_attributes: false,
    use_task_role: false,
    lanes: 640,
    lanes_min: 8,
    timeout: 10_000,
  });
});

test('the timeout takes a unit, or milliseconds', () => {
  const timeoutOf = (timeout: unknown) =>
    sqsConfigSchema.parse({ type: 'sqs', queue_name: 'q', timeout }).timeout;
  expect([timeoutOf('2s'), timeoutOf('1.5s'), timeoutOf('1m'), timeoutOf(250)]).toEqual([
    2000, 1500, 60_000, 250,
  ]);
});

const KEYS = { access_key_id: 'AKID', secret_access_key: 's3cret' };

describe('faults', () => {
  test.each([
    [{}, 'queue_name: no queue'],
    [{ tables: { 'public.users': { group_id: 'x' } } }, 'queue_name: no queue'],
    [{ queue_name: 'a', tables: { orders: { queue_name: 'b' } } }, 'tables.orders: this names no table'],
    [{ queue_name: 'a', queue_url: URL_IN_IRELAND }, 'queue_url: write queue_name or queue_url, not both'],
    [{ delete: { queue_name: 'a', queue_url: URL_IN_IRELAND } }, 'delete.queue_url: write queue_name or'],
    [{ queue_name: 'with blank' }, 'queue_name: a queue name has'],
    [{ queue_name: `${'x'.repeat(76)}.fifo` }, 'queue_name: a queue name has'],
    [{ queue_url: 'users' }, 'queue_url: a URL with its scheme is expected: http://users'],
    [{ queue_url: '/users' }, 'queue_url: a URL with its scheme is expected, such as https://sqs.'],
    [{ queue_url: 'https://me:s3cret@sqs.eu-west-1.amazonaws.com/1/q' }, 'queue_url: credentials do not'],
    [{ queue_url: 'https://s3cret@sqs.eu-west-1.amazonaws.com/1/q' }, 'queue_url: credentials do not'],
    [{ queue_url: `${URL_IN_IRELAND}\n` }, 'queue_url: a URL has no blanks, line breaks'],
    [{ queue_url: `${URL_IN_IRELAND}?a=b` }, 'queue_url: the URL of a queue has no query'],
    [{ queue_url: `${URL_IN_IRELAND}#a` }, 'queue_url: a URL with a fragment'],
    [{ queue_name: 'users\n' }, 'queue_name: a queue name has'],
    [{ queue_name: 'u\u010dsers' }, 'queue_name: a queue name has'],
    [
      { queue_name: 'a', emulator_base_url: 'localhost:4566' },
      'emulator_base_url: a URL with its scheme is expected: http://localhost:4566',
    ],
    [
      { queue_name: 'a', emulator_base_url: 'http://me:s3cret@localhost' },
      'emulator_base_url: credentials do not',
    ],
    [
      { queue_name: 'a', emulator_base_url: 'me:s3cret@localhost:4566' },
      'emulator_base_url: a URL with its scheme is expected, such as',
    ],
    [{ queue_name: 'a', region: 'eu-west-1\n' }, 'region: a region has letters'],
    [{ queue_name: 'a', region: 'eu\u010awest-1' }, 'region: a region has letters'],
    [{ queue_name: 'a', region: 'eu-wst-1' }, 'region: AWS has no region eu-wst-1'],
    [
      { queue_name: 'a', ...KEYS, access_key_id: 'AKID\r\nX-A: b' },
      'access_key_id: it has a line break inside',
    ],
    [{ queue_name: 'a', ...KEYS, access_key_id: ' AKID' }, 'access_key_id: it has blanks around it'],
    [{ queue_name: 'a', ...KEYS, access_key_id: 'AK ID' }, 'access_key_id: it has blanks inside'],
    [
      { queue_name: 'a', ...KEYS, secret_access_key: 's3cret\n' },
      'secret_access_key: it ends with a line break',
    ],
    [{ queue_name: 'a', ...KEYS, session_token: 's3cret\r\n' }, 'session_token: it ends with a line break'],
    [
      { queue_name: 'a', ...KEYS, session_token: 's3cret\u010a' },
      'session_token: it has a character that is no printable ASCII (U+010A)',
    ],
    [{ queue_name: 'a', role_arn: 'arn:aws:iam::1:role/a\n' }, 'role_arn: it ends with a line break'],
    [{ queue_name: 'a', role_arn: 'r', external_id: 'é' }, 'external_id: it has a character'],
    [{ queue_name: 'a', profile: 'shop\n' }, 'profile: it ends with a line break'],
    [{ queue_url: 'https://sqs.eu-west-1.amazonaws.com/' }, 'queue_url: this URL names no queue'],
    [{ queue_url: URL_IN_IRELAND, region: 'us-east-1' }, 'queue_url: this queue is in eu-west-1'],
    [{ queue_name: 'users', is_fifo: true }, 'is_fifo: is_fifo is true'],
    [{ queue_name: 'orders-${row.r}', is_fifo: true }, 'is_fifo: is_fifo is true'],
    [{ queue_name: 'orders-${row.r}.fifo', is_fifo: false }, 'is_fifo: is_fifo is false'],
    [{ queue_name: 'a', access_key_id: 'x' }, 'secret_access_key: access_key_id and'],
    [{ queue_name: 'a', secret_access_key: 'x' }, 'access_key_id: access_key_id and'],
    [{ queue_name: 'a', session_token: 'x' }, 'session_token: session_token needs'],
    [{ queue_name: 'a', use_task_role: true, profile: 'x' }, 'profile: use_task_role and profile'],
    [{ queue_name: 'a', external_id: 'x' }, 'external_id: external_id is for role_arn'],
    [{ queue_name: 'a', use_emulator: true }, 'emulator_base_url: use_emulator needs'],
    [{ queue_name: 'a', timeout: '10 parsecs' }, 'timeout: '],
    [{ queue_name: 'a', quue_url: 'x' }, ': Unrecognized key'],
  ])('%j: %s', (destination, fault) => {
    const faults = faultsOf(destination);
    expect(faults).toEqual([expect.stringContaining(fault)]);
    expect(faults[0]).not.toContain('s3cret');
  });

  test('as in sequin.yaml is no fault', () => {
    expect(
      faultsOf({
        queue_url: 'http://localhost:4566/000000000000/users.fifo',
        region: 'us-east-1',
        access_key_id: 'test',
        secret_access_key: 'test',
        is_fifo: true,
        use_emulator: true,
        emulator_base_url: 'http://localhost:4566',
        use_task_role: false,
      }),
    ).toEqual([]);
  });
});

test('a queue URL tells its name and region', () => {
  for (const [url, name] of [
    [URL_IN_IRELAND, 'users.fifo'],
    ['https://sqs.eu-west-1.amazonaws.com/1/q/', 'q'],
    ['http://localhost:4566/000000000000/q?x=/y#/z', 'q'],
    ['https://sqs.eu-west-1.amazonaws.com/', ''],
    ['https://sqs.eu-west-1.amazonaws.com', ''],
    ['q', ''],
    // What emulators answer: the region before whatever they listen on, also where that makes no URL.
    ['http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/q', 'q'],
    ['http://sqs.us-east-1.127.0.0.1:4566/000000000000/q.fifo', 'q.fifo'],
    ['http://us-east-1.[::1]:4100/100010001000/q', 'q'],
  ] as const) {
    expect([url, queueNameOfUrl(url)]).toEqual([url, name]);
  }
  for (const [url, region] of [
    [URL_IN_IRELAND, 'eu-west-1'],
    ['https://sqs.cn-north-1.amazonaws.com.cn/1/q', 'cn-north-1'],
    ['https://sqs-fips.us-gov-west-1.amazonaws.com/1/q', 'us-gov-west-1'],
    ['https://sqs.eu-central-1.api.aws/1/q', 'eu-central-1'],
    ['https://vpce-0a-1b.sqs.us-east-2.vpce.amazonaws.com/1/q', 'us-east-2'],
    ['https://eu-west-3.queue.amazonaws.com/1/q', 'eu-west-3'],
    ['https://queue.amazonaws.com/1/q', 'us-east-1'],
    ['http://localhost:4566/1/q', undefined],
    ['https://sqs.eu-west-1.amazonaws.com.example.com/1/q', undefined],
  ] as const) {
    expect(regionOfQueueUrl(url)).toBe(region);
  }
});

test('a region’s endpoint is the SDK’s', async () => {
  expect((await findEndpoint('sqs', { region: 'eu-west-1' })).href).toBe(
    'https://sqs.eu-west-1.amazonaws.com/',
  );
  expect((await findEndpoint('sqs', { region: 'cn-north-1' })).href).toBe(
    'https://sqs.cn-north-1.amazonaws.com.cn/',
  );
});

test('a region that is merely not known is worth a note, a known one and an emulator’s none', () => {
  const notesOf = (destination: object) =>
    awsNotesOf(sqsConfigSchema.parse({ type: 'sqs', queue_name: 'q', ...destination }));
  expect(notesOf({ region: 'eu-west-7' })).toEqual([
    expect.stringMatching(/eu-west-7 .*nearest .*eu-west-\d/),
  ]);
  expect(notesOf({ region: 'nowhere' })).toEqual([expect.stringContaining('region nowhere is not known')]);
  const emulated = { emulator_base_url: 'http://localhost:4566' };
  for (const none of [
    {},
    { region: 'eu-west-1' },
    { ...emulated, region: 'eu-west-7' },
    { ...emulated, region: 'eu-wst-1' },
  ]) {
    expect(notesOf(none)).toEqual([]);
  }
  expect(notesOf({ ...emulated, use_emulator: false, region: 'eu-west-7' })).toHaveLength(1);
});
