// Makes a dead letter of a message that its destination refuses for good, as the JSON that it is; store/dead-letters.ts keeps it.
import { wallTime } from '../../core/clock.ts';
import { plainJson, type MessageEncoding } from '../../core/encoding.ts';
import type { DeliveryError } from '../../core/errors.ts';
import type { Pending } from '../delivery/pending.ts';
import { idOf, type PlaceOptions } from './place.ts';

/** Invariant 3: durable when it returns; only then may the message count as settled. */
export function keepDeadLetter(
  message: Pending,
  error: DeliveryError,
  options: Pick<PlaceOptions, 'settings' | 'store'> & { readonly encoding: MessageEncoding | undefined },
): void {
  const bytes = message.buffer.subarray(message.start, message.end);
  const payload = message.isParked ? undefined : plainJson(bytes, options.encoding ?? 'json');
  options.store.deadLetters.add(
    {
      ...idOf(options),
      position: message.position,
      idempotencyKey: message.idempotencyKey,
      schema: message.schema,
      table: message.table,
      action: message.action,
      group: message.group,
      route: message.route,
      payload,
      payloadBytes: message.rawBytes || message.jsonBytes,
      code: error.code,
      reason: error.hint,
      attempts: message.attempts,
    },
    wallTime(),
  );
}
