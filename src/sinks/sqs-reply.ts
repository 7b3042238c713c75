// What the answer to a SendMessageBatch says of each message.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import type { Outcome } from '../core/errors.ts';
import { bareCode, MALFORMED_REPLY, RequestError } from './aws-errors.ts';
import { entryFailure, missingResult } from './sqs-errors.ts';

/**
 * One outcome per message, by entry id, which is the message's index. A message that the answer does not name, or
 * names as both, is not delivered. Throws RequestError when it is no answer at all.
 */
export function outcomesOf(reply: unknown, count: number): Outcome[] {
  if (!isObject(reply)) throw malformed();
  const outcomes = Array.from<Outcome>({ length: count }).fill(missingResult);
  for (const entry of entriesOf(reply['Successful'])) {
    const index = indexOf(entry, count);
    if (index !== undefined) outcomes[index] = 'delivered';
  }
  for (const entry of entriesOf(reply['Failed'])) {
    const index = indexOf(entry, count);
    if (index === undefined) continue;
    const { Code: code, SenderFault: senderFault } = entry;
    outcomes[index] = entryFailure(
      typeof code === 'string' ? bareCode(code) : 'UNNAMED',
      senderFault === true,
    );
  }
  return outcomes;
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

function indexOf(entry: Fields, count: number): number | undefined {
  const id = entry['Id'];
  if (typeof id !== 'string') return undefined;
  const index = Number(id);
  return String(index) === id && index >= 0 && index < count && Number.isInteger(index) ? index : undefined;
}
