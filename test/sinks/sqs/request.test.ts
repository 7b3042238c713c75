import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../../../src/core/message.ts';
import { fifoId } from '../../../src/sinks/aws/ids.ts';
import { requestStart, RequestWriter } from '../../../src/sinks/sqs/request.ts';
import { bodyOf, encoded, message } from '../../support/messages.ts';

const QUEUE_URL = 'https://sqs.eu-west-1.amazonaws.com/123456789012/users.fifo';
const SUFFIX = '-suffix';

/** What the SDK's client would send. */
async function sdkRequest(batch: readonly Message[], tag: string): Promise<unknown> {
  let sent = '';
  const client = new SQSClient({
    region: 'eu-west-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
    requestHandler: {
      handle(request: { body: Uint8Array }) {
        sent = new TextDecoder().decode(request.body);
        return Promise.reject(new Error('not sent'));
      },
    },
  });
  const attribute = (StringValue: string) => ({ DataType: 'String', StringValue });
  const Entries = batch.map((message, index) => ({
    Id: `${tag}${index}`,
    MessageBody: bodyOf(message),
    MessageGroupId: fifoId(message.groupId ?? message.group),
    MessageDeduplicationId: fifoId(message.idempotencyKey + SUFFIX),
    MessageAttributes: {
      table: attribute(message.table),
      schema: attribute(message.schema),
      action: attribute(message.action),
      idempotency_key: attribute(message.idempotencyKey),
    },
  }));
  await client.send(new SendMessageBatchCommand({ QueueUrl: QUEUE_URL, Entries })).catch(() => undefined);
  return JSON.parse(sent);
}

const anyMessage = fc
  .record({
    body: fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text.toWellFormed(), null, '\t')),
    ),
    group: fc.string(),
    groupId: fc.option(fc.string(), { nil: undefined }),
    table: fc.stringMatching(/^[a-z"é]{1,5}$/),
  })
  .map(message);

const asSent = (message: Message): Message => encoded(message, 'json-string');

test('a request says what the SDK’s would say, and one buffer serves request after request', async () => {
  const writer = new RequestWriter({ deduplicationSuffix: SUFFIX, messageAttributes: true });
  const queue = { requestStart: requestStart(QUEUE_URL), isFifo: true };
  await fc.assert(
    fc.asyncProperty(fc.array(anyMessage, { minLength: 1, maxLength: 10 }), async (batch) => {
      const { buffer, bodyStart, end, tag, release } = writer.write(queue, batch.map(asSent));
      const text = buffer.toString('utf8', bodyStart, end);
      release();
      expect(JSON.parse(text)).toEqual(await sdkRequest(batch, tag));
    }),
    { numRuns: 60 },
  );
});

test('control characters of embedded documents are escaped, however many there are (C219)', () => {
  const writer = new RequestWriter({ deduplicationSuffix: SUFFIX, messageAttributes: false });
  const body = `{"a":\n${'\t'.repeat(200_000)}"\u0001"}`;
  const queue = { requestStart: requestStart(QUEUE_URL), isFifo: false };
  const { buffer, bodyStart, end } = writer.write(queue, [asSent(message({ body }))]);
  const request = JSON.parse(buffer.toString('utf8', bodyStart, end)) as {
    Entries: { MessageBody: string }[];
  };
  expect(request.Entries[0]?.MessageBody).toBe(body);
});

test('a message’s size is its UTF-8 bytes, with attributes when they are sent (C219)', () => {
  const body = '{"a":"é😀"}';
  const bodyBytes = Buffer.byteLength(body);
  const plain = new RequestWriter({ deduplicationSuffix: SUFFIX, messageAttributes: false });
  const withAttributes = new RequestWriter({ deduplicationSuffix: SUFFIX, messageAttributes: true });
  const sent = message({ body, table: 'größen', action: 'update', idempotencyKey: 'k-1' });
  expect(plain.sizeOf(sent)).toBe(bodyBytes);
  const attributes = [
    ['table', 'größen'],
    ['schema', 'public'],
    ['action', 'update'],
    ['idempotency_key', 'k-1'],
  ];
  const attributeBytes = Buffer.byteLength(
    attributes.map(([name, value]) => `${name}String${value}`).join(''),
  );
  expect(withAttributes.sizeOf(sent)).toBe(bodyBytes + attributeBytes);
});
