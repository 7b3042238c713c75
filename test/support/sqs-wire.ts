// How SQS' batch requests and answers look on the wire (AWS JSON), for the fault proxy.
import type { BatchEntry, BatchReply, Wire } from './fault-proxy.ts';

type Body = { QueueUrl?: string; QueueName?: string; Entries?: BatchEntry[] };

const parse = (payload: Buffer): Body => (payload.length === 0 ? {} : JSON.parse(payload.toString())) as Body;

export const sqsWire: Wire = {
  contentType: 'application/x-amz-json-1.0',
  batchAction: 'SendMessageBatch',
  read(headers, payload) {
    const { QueueUrl, QueueName, Entries = [] } = parse(payload);
    const url = QueueUrl ?? QueueName ?? '';
    return {
      action: String(headers['x-amz-target'] ?? '').replace('AmazonSQS.', ''),
      queue: url.slice(url.lastIndexOf('/') + 1),
      entries: Entries,
    };
  },
  withEntries: (payload, entries) => Buffer.from(JSON.stringify({ ...parse(payload), Entries: entries })),
  readReply: (payload) => JSON.parse(payload.toString()) as BatchReply,
  writeReply: (reply) => JSON.stringify(reply),
  writeError: ({ code, message = code }) => JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message }),
};
