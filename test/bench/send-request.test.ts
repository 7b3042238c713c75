// What the bench's endpoint finds in a request without parsing it is what parsing finds.
import { describe, expect, test } from 'vitest';
import { readMessage, commitTimeOf, type ReadMessage } from '../../bench/endpoint/message.ts';
import { readSendRequest, unescaped } from '../../bench/endpoint/send-request.ts';

type Entry = Readonly<Record<string, unknown>>;

const entry = (id: string, body: string, more: Entry = {}): Entry => ({
  Id: id,
  MessageBody: body,
  MessageGroupId: `public.t:${id}`,
  MessageDeduplicationId: `key-${id}`,
  ...more,
});

const requestOf = (entries: readonly Entry[]): string =>
  JSON.stringify({ QueueUrl: 'http://127.0.0.1:1/0/bench.fifo', Entries: entries });

/** Id, group, deduplication id and body of each, as they are found. */
function foundIn(request: string): unknown[] {
  const { queueUrl, entries } = readSendRequest(request);
  expect(queueUrl).toBe('http://127.0.0.1:1/0/bench.fifo');
  return entries.map(({ id, group, dedup, escaped }) => [id, group, dedup, unescaped(escaped)]);
}

const told = (entries: readonly Entry[]): unknown[] =>
  entries.map((one) => [
    one['Id'],
    one['MessageGroupId'] ?? '',
    one['MessageDeduplicationId'] ?? '',
    one['MessageBody'],
  ]);

const BODIES = [
  '{"record":{"id":1}}',
  '',
  'ends with a backslash \\',
  '","MessageGroupId":"not","MessageDeduplicationId":"these"}',
  '{"Id":"x","MessageBody":"y"}]}',
  'ünïcödé ✓ \n\t',
];

describe('the entries of a request', () => {
  test('are found whatever their bodies say', () => {
    const entries = BODIES.map((body, i) => entry(String(i), body));
    expect(foundIn(requestOf(entries))).toEqual(told(entries));
  });

  test('are found where ids have something to escape', () => {
    const entries = [
      entry('a"b', 'x', { MessageGroupId: 'g"}]}\\', MessageDeduplicationId: 'd"}' }),
      entry('1', 'y'),
    ];
    expect(foundIn(requestOf(entries))).toEqual(told(entries));
  });

  test('are found where one lacks what the next has, or has more', () => {
    const entries = [
      { Id: '0', MessageBody: 'no group' },
      entry('1', 'y'),
      { Id: '2', MessageBody: 'no ids', MessageGroupId: 'g' },
      entry('3', 'z', { MessageAttributes: { a: { DataType: 'String', StringValue: 'b' } } }),
      { MessageBody: 'the body first', Id: '4' },
    ];
    for (let first = 0; first < entries.length; first++) {
      const some = entries.slice(first);
      expect(foundIn(requestOf(some))).toEqual(told(some));
    }
  });

  test('are none where the request is no JSON', () => {
    expect(() => readSendRequest(`${requestOf([entry('0', 'x')])}]`)).toThrow(SyntaxError);
    expect(() => readSendRequest('{"QueueUrl":"u","Entries":[{"Id":"0","MessageBody":"x"')).toThrow(
      SyntaxError,
    );
  });
});

test('a message is read as it stands in a request, too', () => {
  const metadata = {
    idempotency_key: 'stream-1-64-3',
    commit_timestamp: '2026-01-02T03:04:05.123456Z',
    commit_lsn: 100,
    commit_idx: 3,
  };
  const note = 'text with "commit_lsn":7 and \\"commit_lsn\\":8 in it';
  const body = JSON.stringify({ record: { id: 17, note }, changes: null, action: 'update', metadata });
  const read = (text: string): { message: ReadMessage; isOne: boolean; committedMs: number } => {
    const message = { id: 0, commitLsn: 0, index: 0, action: '', key: '' };
    return { isOne: readMessage(text, message), message, committedMs: commitTimeOf(text) };
  };
  const escaped = JSON.stringify(body).slice(1, -1);
  expect(read(body).message).toEqual({ id: 17, commitLsn: 100, index: 3, action: 'u', key: 'stream-1-64-3' });
  expect(read(escaped)).toEqual(read(body));
  expect(read(escaped).committedMs).toBeCloseTo(Date.parse('2026-01-02T03:04:05.123Z'), 0);
  expect(read(escaped.slice(3)).isOne).toBe(false);
});
