// The answer to a SendMessageBatch, read from its JSON.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import { MALFORMED_REPLY, RequestError } from '../aws/errors.ts';
import type { BatchReply } from '../aws/reply.ts';
import type { Digests } from './digests.ts';

/** Throws RequestError when it is no answer at all. */
export function readSendReply(reply: unknown): BatchReply<{ readonly digests: Digests }> {
  if (!isObject(reply)) throw malformed();
  return {
    successful: entriesOf(reply['Successful']).map((entry) => ({
      id: entry['Id'],
      digests: { body: entry['MD5OfMessageBody'], attributes: entry['MD5OfMessageAttributes'] },
    })),
    failed: entriesOf(reply['Failed']).map((entry) => ({
      id: entry['Id'],
      code: entry['Code'],
      senderFault: entry['SenderFault'] === true,
    })),
  };
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const malformed = (): RequestError =>
  new RequestError({ code: MALFORMED_REPLY, status: 200, message: 'no answer to SendMessageBatch' });

/** SQS leaves out a list that would be empty. */
function entriesOf(list: unknown): readonly Fields[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list) || !list.every(isObject)) throw malformed();
  return list;
}
