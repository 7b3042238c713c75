// Errors of a delivery that no sink gives: there was no outcome, the sink threw, the message fits nowhere.
import type { DeliveryError } from '../../core/errors.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import type { Pending } from './pending.ts';

export const MISSING_OUTCOME: DeliveryError = {
  kind: 'retryable',
  scope: 'sink',
  code: 'OUTCOME_MISSING',
  hint: 'the sink gave no outcome for a message; it is sent again',
};

/** Can it never be sent? `size`: on the wire, of one that is rendered; `limit`: the most that its route takes. */
export const isUnsendable = (message: Pending, size: number, limit: number): boolean =>
  message.lacksPayload || size > limit || message.isKeyUndecodable || message.refusal !== undefined;

/** Of a message that is never sent. */
export const unsendableError = (message: Pending, limit: number): DeliveryError =>
  message.isKeyUndecodable
    ? undecodableKeyError(message)
    : (message.refusal ??
      (message.emptied === undefined
        ? tooLargeError(message, limit)
        : notRepresentableError(message, message.emptied)));

/** The same in a few words, for the log. */
export function describeUnsendable({ isKeyUndecodable, refusal, emptied }: Pending): string {
  if (isKeyUndecodable) return 'the key is no text';
  if (refusal !== undefined) {
    return /^(?:ROUTE|GROUP)_/.test(refusal.code)
      ? 'a change has no route or no group'
      : 'the filter cannot judge a change';
  }
  return emptied === undefined ? 'message too large' : 'the format has no words for a change';
}

/** As a TRUNCATE of the whole table it would empty the consumer's. */
const notRepresentableError = (message: Pending, partition: TableName): DeliveryError => ({
  kind: 'rejected',
  scope: 'message',
  code: 'NOT_REPRESENTABLE',
  hint: `truncate of ${formatTableName(partition)} alone, a partition of ${message.schema}.${message.table}: the format has no words for it; delete its rows at the consumer, or use a format that names the partition (sequin)`,
});

const tooLargeError = (message: Pending, limit: number): DeliveryError => ({
  kind: 'rejected',
  scope: 'message',
  code: 'MESSAGE_TOO_LARGE',
  hint:
    message.rawBytes > 0
      ? `${message.action} of ${message.schema}.${message.table}: the row has ${message.rawBytes} bytes, more than the log takes; raise log.max_message_bytes`
      : `${message.action} of ${message.schema}.${message.table}: the message is larger than the ${limit} bytes that its route takes; list fewer columns`,
});

const undecodableKeyError = ({ action, schema, table }: Pending): DeliveryError => ({
  kind: 'rejected',
  scope: 'message',
  code: 'KEY_UNDECODABLE',
  hint: `${action} of ${schema}.${table}: the key has bytes that are no text in the database's encoding, so it cannot be told from others; repair the row`,
});

/** A throw is the sink's failure: nothing is known of any message (architecture §10). */
export function thrownError(error: unknown): DeliveryError {
  const code = (error as { code?: unknown } | null)?.code;
  return {
    kind: 'retryable',
    scope: 'sink',
    code: typeof code === 'string' ? code : 'SINK_ERROR',
    hint: error instanceof Error ? error.message : String(error),
  };
}
