import { PublishBatchCommand, SNSClient } from '@aws-sdk/client-sns';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../../../src/core/message.ts';
import { fifoId } from '../../../src/sinks/aws/ids.ts';
import { PublishWriter, requestStart } from '../../../src/sinks/sns/request.ts';
import { bodyOf, message } from '../../support/messages.ts';

const TOPIC_ARN = 'arn:aws:sns:eu-west-1:123456789012:users.fifo';
const SUFFIX = '-suffix:r1';

/** The body that the SDK's client would send. */
async function sdkBody(batch: readonly Message[], tag: string): Promise<string> {
  let sent = '';
  const client = new SNSClient({
    region: 'eu-west-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
    requestHandler: {
      handle(request: { body: string | Uint8Array }) {
        sent = Buffer.from(request.body).toString();
        return Promise.reject(new Error('not sent'));
      },
    },
  });
  const attribute = (StringValue: string) => ({ DataType: 'String', StringValue });
  const PublishBatchRequestEntries = batch.map((message, index) => ({
    Id: `${tag}${index}`,
    Message: bodyOf(message),
    MessageGroupId: fifoId(message.groupId ?? message.group),
    MessageDeduplicationId: fifoId(message.idempotencyKey + SUFFIX),
    MessageAttributes: {
      table: attribute(message.table),
      schema: attribute(message.schema),
      action: attribute(message.action),
      idempotency_key: attribute(message.idempotencyKey),
    },
  }));
  const command = new PublishBatchCommand({ TopicArn: TOPIC_ARN, PublishBatchRequestEntries });
  await client.send(command).catch(() => undefined);
  return sent;
}

const anyMessage = fc
  .record({
    body: fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text.toWellFormed(), null, '\t')),
    ),
    group: fc.string(),
    groupId: fc.option(fc.string(), { nil: undefined }),
    table: fc.stringMatching(/^[a-z"é&=+%*'()!~ ]{1,5}$/),
  })
  .map(message);

const writer = new PublishWriter({ deduplicationSuffix: SUFFIX, messageAttributes: true });

function written(batch: readonly Message[], isFifo = true): string {
  const body = writer.write({ requestStart: requestStart(TOPIC_ARN), isFifo }, batch);
  const text = body.buffer.toString('utf8', body.bodyStart, body.end);
  body.release();
  return text;
}

test('a request holds the SDK’s parameters, each in the same bytes; one buffer serves request after request', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyMessage, { minLength: 1, maxLength: 10 }), async (batch) => {
      const sorted = (text: string): string[] => text.split('&').sort();
      const text = written(batch);
      const tag = new URLSearchParams(text).get('PublishBatchRequestEntries.member.1.Id')!.slice(0, -1);
      expect(sorted(text)).toEqual(sorted(await sdkBody(batch, tag)));
    }),
    { numRuns: 60 },
  );
});

test('a standard topic gets no deduplication id, and a group id only from a template', () => {
  const names = (text: string): string[] =>
    [...new URLSearchParams(text).keys()].filter((name) => /Group|Dedup/.test(name));
  expect(names(written([message()], false))).toEqual([]);
  expect(names(written([message({ groupId: 'tenant-7' })], false))).toEqual([
    'PublishBatchRequestEntries.member.1.MessageGroupId',
  ]);
});

test('a body of control characters and multi-byte text is read back as it was', () => {
  const body = `{"a":\n${'\t'.repeat(100_000)}"é😀%&=+"}`;
  expect(
    new URLSearchParams(written([message({ body })])).get('PublishBatchRequestEntries.member.1.Message'),
  ).toBe(body);
});

test('a message’s size is its UTF-8 bytes, with attributes when they are sent', () => {
  const body = '{"a":"é😀"}';
  const plain = new PublishWriter({ deduplicationSuffix: SUFFIX, messageAttributes: false });
  const sent = message({ body, table: 'größen', action: 'update', idempotencyKey: 'k-1' });
  expect(plain.sizeOf(sent)).toBe(Buffer.byteLength(body));
  const attributes = 'tableStringgrößenschemaStringpublicactionStringupdateidempotency_keyStringk-1';
  expect(writer.sizeOf(sent)).toBe(Buffer.byteLength(body + attributes));
});
