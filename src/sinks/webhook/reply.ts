// Partial acknowledgement: which messages of a batch the body of a 2xx answer calls failed, in the shape that AWS Lambda made known.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
import type { DeliveryError, Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import type { HttpReply } from '../http/reply.ts';

type Fields = Readonly<Record<string, unknown>>;

/** `retry: false` in an item: it will never be taken. */
const itemFailure = (retry: boolean): DeliveryError => ({
  kind: retry ? 'retryable' : 'rejected',
  scope: 'message',
  code: retry ? 'ITEM_FAILED' : 'ITEM_REJECTED',
  hint: 'the endpoint lists this message in batchItemFailures: look into its log',
});

const malformed: DeliveryError = {
  kind: 'retryable',
  scope: 'route',
  code: 'MALFORMED_ACKNOWLEDGEMENT',
  hint: 'with partial_acknowledgement an answer is empty (and says so: Content-Length: 0), or {"batchItemFailures":[{"itemIdentifier":"<idempotency key>"}]} with keys of this batch only; the whole batch is sent again',
};

/** One outcome per message. What the answer does not name is delivered; an answer that cannot be read delivers nothing. */
export function acknowledgedOutcomes(
  { body, isDelimited }: Pick<HttpReply, 'body' | 'isDelimited'>,
  batch: readonly Message[],
): readonly Outcome[] {
  // Cut off before its first byte, a list of failures would look like "all is well".
  const failures = body.length === 0 && !isDelimited ? undefined : failuresIn(body.toString());
  if (failures === undefined) return batch.map(() => malformed);
  const outcomes: Outcome[] = batch.map(() => 'delivered');
  for (const failure of failures) {
    const index = indexOf(failure, batch);
    if (index === undefined) return batch.map(() => malformed);
    outcomes[index] = itemFailure(failure['retry'] !== false);
  }
  return outcomes;
}

/** As Lambda reads it: nothing, null and an empty list say that all is well. Undefined: not in this shape. */
function failuresIn(text: string): readonly Fields[] | undefined {
  if (text.trim() === '') return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (value === null) return [];
  if (!isObject(value)) return undefined;
  if (!Object.hasOwn(value, 'batchItemFailures')) return Object.keys(value).length === 0 ? [] : undefined;
  const list = value['batchItemFailures'] ?? [];
  return Array.isArray(list) && list.every(isObject) ? list : undefined;
}

/** By idempotency key, or by place in `data` where the message's format carries no key. */
function indexOf(failure: Fields, batch: readonly Message[]): number | undefined {
  const { itemIdentifier, itemIndex } = failure;
  const index =
    itemIdentifier === undefined && typeof itemIndex === 'number'
      ? itemIndex
      : batch.findIndex((message) => message.idempotencyKey === itemIdentifier);
  return batch[index] === undefined ? undefined : index;
}

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
