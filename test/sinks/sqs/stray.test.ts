// Answers that are to something else than what was asked: none of them delivers, and what comes after them over the same
// connection is not listened to.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { bodiesOf, message, messages, patient } from '../../support/messages.ts';
import { createSink, emulator } from './fixture.ts';

type Accepted = { Id: string; MD5OfMessageBody: string; MD5OfMessageAttributes?: string };
type SentEntry = { Id: string; MessageBody: string };
/** What the endpoint answers to a batch: `request` counts from 1. */
type Answer = (accepted: Accepted[], request: number) => Accepted[];

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

async function endpoint(answer: Answer, queueUrlOf = (name: string) => name) {
  const seen = { connections: 0, requests: 0, bodies: [] as string[] };
  const server = createServer((request, response) => {
    void buffer(request).then((payload) => {
      const input = JSON.parse(payload.toString()) as { QueueName?: string; Entries?: SentEntry[] };
      const send = (reply: object) => response.end(JSON.stringify(reply));
      if (input.QueueName !== undefined) {
        return send({ QueueUrl: `${url}/000000000000/${queueUrlOf(input.QueueName)}` });
      }
      if (input.Entries === undefined) return send({ Attributes: { FifoQueue: 'true' } });
      seen.bodies.push(...input.Entries.map(({ MessageBody }) => MessageBody));
      const accepted = input.Entries.map(({ Id, MessageBody }) => ({
        Id,
        MD5OfMessageBody: md5(MessageBody),
      }));
      return send({ Successful: answer(accepted, ++seen.requests) });
    });
  });
  server.on('connection', () => seen.connections++);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(seen, { url });
}

const refused = (count: number) =>
  Array.from({ length: count }, () =>
    expect.objectContaining({ kind: 'retryable', scope: 'route', code: 'MALFORMED_REPLY' }),
  );
const delivered = (count: number) => Array.from({ length: count }, () => 'delivered');

/** Everything over the second connection, which begins after the fault, is as it should be. */
async function expectFaultOf(answer: Answer, destination: object = {}) {
  const server = await endpoint((accepted, request) =>
    request === 2 ? answer(accepted, request) : accepted,
  );
  const sink = await createSink({
    queue_name: 'users.fifo',
    emulator_base_url: server.url,
    lanes: 1,
    ...destination,
  });
  const batch = messages(3);
  expect(await sink.deliver(batch, patient)).toEqual(delivered(3));
  expect(server.connections).toBe(1);
  expect(await sink.deliver(batch, patient)).toEqual(refused(3));
  expect(await sink.deliver(batch, patient)).toEqual(delivered(3));
  expect(server.connections).toBe(2);
}

test('the answer to the batch before does not deliver this one, though it is as long', async () => {
  let before: Accepted[] = [];
  const server = await endpoint((accepted) => {
    const answered = before.length === 0 ? accepted : before;
    before = accepted;
    return answered;
  });
  const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: server.url });
  expect(await sink.deliver(messages(10), patient)).toEqual(delivered(10));
  expect(await sink.deliver(messages(10), patient)).toEqual(refused(10));
  expect(server.connections).toBe(1);
  await sink.deliver(messages(10), patient);
  expect(server.connections).toBe(2);
});

test('an answer that names an entry of its own beside ours delivers nothing', async () => {
  await expectFaultOf((accepted) => [...accepted, { Id: '0', MD5OfMessageBody: '' }]);
});

test('the digest of another body delivers nothing', async () => {
  await expectFaultOf((accepted) =>
    accepted.map((entry) => ({ ...entry, MD5OfMessageBody: md5('{"record":{"id":7}}') })),
  );
});

test('the digest of other attributes delivers nothing', async () => {
  await expectFaultOf(
    (accepted) => accepted.map((entry) => ({ ...entry, MD5OfMessageAttributes: md5('others') })),
    { message_attributes: true },
  );
});

test('an answer without digests, or with them in capitals, is an answer', async () => {
  const server = await endpoint((accepted, request) =>
    accepted.map(({ Id, MD5OfMessageBody }) =>
      request === 1 ? ({ Id } as Accepted) : { Id, MD5OfMessageBody: MD5OfMessageBody.toUpperCase() },
    ),
  );
  const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: server.url });
  for (let i = 0; i < 2; i++) expect(await sink.deliver(messages(2), patient)).toEqual(delivered(2));
});

test('digests of bodies and attributes with any characters are SQS’ own', async () => {
  const queues = await emulator();
  queues.createQueue('users.fifo');
  const destination = {
    queue_name: 'users.fifo',
    emulator_base_url: queues.url,
    message_attributes: true,
  };
  const bodies = ['{"a":"é漢\\"\\\\"}', '{"a":\n\t"x"}', '{}'];
  const sink = await createSink(destination);
  for (const [index, body] of bodies.entries()) {
    const sent = message({ index, body, table: 'ü"\u0001', schema: '漢' });
    expect(await sink.deliver([sent], patient)).toEqual(['delivered']);
  }
  expect(bodiesOf(queues.messagesOf('users.fifo'))).toEqual(bodies);
});

test('the URL of another queue is not taken for the one that was asked for: nothing is sent there', async () => {
  const server = await endpoint(
    (accepted) => accepted,
    () => 'others.fifo',
  );
  const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: server.url });
  expect(await sink.deliver(messages(2), patient)).toEqual(refused(2));
  expect(server.bodies).toEqual([]);
});
