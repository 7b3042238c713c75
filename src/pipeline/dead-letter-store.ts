// Keeps a message that its destination refuses for good, and says so in the log.
import type { DeliveryError } from '../core/errors.ts';
import type { Pending } from './pending.ts';
import { idOf, type PlaceOptions } from './sink-place.ts';

/** Invariant 3: durable when it returns; only then may the message count as settled. */
export function keepDeadLetter(
  options: Pick<PlaceOptions, 'settings' | 'store' | 'logger'>,
  message: Pending,
  error: DeliveryError,
): void {
  const payload = message.byteLength === 0 ? undefined : message.buffer.subarray(message.start, message.end);
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
      payloadBytes: message.rawBytes || message.byteLength,
      code: error.code,
      reason: error.hint,
      attempts: message.attempts,
    },
    new Date(),
  );
}
