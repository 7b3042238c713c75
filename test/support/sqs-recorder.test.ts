import { SendMessageBatchCommand, SQSClient, type SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test } from 'vitest';
import { startSqsRecorder, type SqsRecorder } from './sqs-recorder.ts';

async function setup(): Promise<{
  recorder: SqsRecorder;
  send: (queue: string, ...entries: Entry[]) => ReturnType<typeof sendWith>;
}> {
  const recorder = await startSqsRecorder();
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  const client = new SQSClient({ endpoint: recorder.url, region: 'us-east-1', credentials, maxAttempts: 1 });
  onTestFinished(async () => {
    client.destroy();
    await recorder.stop();
  });
  return { recorder, send: (queue, ...entries) => sendWith(client, recorder.queueUrl(queue), entries) };
}

type Entry = Partial<SendMessageBatchRequestEntry>;

/** The SDK checks the MD5 of each accepted body. */
const sendWith = (client: SQSClient, QueueUrl: string, entries: readonly Entry[]) =>
  client.send(
    new SendMessageBatchCommand({
      QueueUrl,
      Entries: entries.map((entry, index) => ({ Id: String(index), MessageBody: 'body', ...entry })),
    }),
  );

test('a FIFO queue takes a deduplication id once, and answers the repeat as delivered', async () => {
  const { recorder, send } = await setup();
  recorder.createQueue('q.fifo');
  const entry = { MessageGroupId: 'g', MessageDeduplicationId: 'd' };
  const first = await send('q.fifo', entry);
  const again = await send('q.fifo', entry, { ...entry, MessageDeduplicationId: 'e' });
  expect(again.Successful?.map(({ MessageId }) => MessageId)).toEqual([
    first.Successful?.[0]?.MessageId,
    expect.not.stringMatching(first.Successful![0]!.MessageId!),
  ]);
  expect(recorder.messagesOf('q.fifo').map(({ dedup }) => dedup)).toEqual(['d', 'e']);
  expect(recorder.counts).toMatchObject({ requests: 2, entries: 3, accepted: 2, duplicates: 1 });
});

test('a queue that deduplicates by group takes one id in two groups', async () => {
  const { recorder, send } = await setup();
  recorder.createQueue('q.fifo', { FifoQueue: 'true', DeduplicationScope: 'messageGroup' });
  for (const MessageGroupId of ['a', 'b', 'a'])
    await send('q.fifo', { MessageGroupId, MessageDeduplicationId: 'd' });
  expect(recorder.messagesOf('q.fifo').map(({ group }) => group)).toEqual(['a', 'b']);
});

test.each<[string, string, Entry]>([
  ['no group', 'q.fifo', { MessageDeduplicationId: 'd' }],
  ['no deduplication id', 'q.fifo', { MessageGroupId: 'g' }],
  ['a group of 129 characters', 'q.fifo', { MessageGroupId: 'g'.repeat(129), MessageDeduplicationId: 'd' }],
  ['a group with a blank', 'q', { MessageGroupId: 'a b' }],
  ['a deduplication id on a standard queue', 'q', { MessageDeduplicationId: 'd' }],
  ['a control character', 'q', { MessageBody: '\u0001' }],
  ['U+FFFE', 'q', { MessageBody: '\ufffe' }],
  ['a body over the queue’s limit', 'q', { MessageBody: 'x'.repeat(1025) }],
])('an entry with %s fails alone', async (_, queue, entry) => {
  const { recorder, send } = await setup();
  recorder.createQueue('q', { MaximumMessageSize: '1024' });
  recorder.createQueue('q.fifo');
  const good = queue === 'q' ? {} : { MessageGroupId: 'g', MessageDeduplicationId: 'good' };
  const reply = await send(queue, good, entry);
  expect(reply.Successful?.map(({ Id }) => Id)).toEqual(['0']);
  expect(reply.Failed).toEqual([expect.objectContaining({ Id: '1', SenderFault: true })]);
});

test('a request is refused whole where SQS does so', async () => {
  const { recorder, send } = await setup();
  recorder.createQueue('q');
  await expect(send('gone', {})).rejects.toMatchObject({ name: 'QueueDoesNotExist' });
  await expect(send('q', { Id: 'a' }, { Id: 'a' })).rejects.toMatchObject({
    name: 'BatchEntryIdsNotDistinct',
  });
  await expect(send('q', ...Array.from({ length: 11 }, () => ({})))).rejects.toMatchObject({
    name: 'TooManyEntriesInBatchRequest',
  });
  const half = { MessageBody: 'x'.repeat(600_000) };
  await expect(send('q', half, half)).rejects.toMatchObject({ name: 'BatchRequestTooLong' });
  recorder.answer = () => ({ status: 403, code: 'AccessDenied' });
  await expect(send('q', {})).rejects.toMatchObject({ name: 'AccessDenied' });
  expect(recorder.messages).toEqual([]);
});
