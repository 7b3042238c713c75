// A message as it would leave: where to, in which group, in which bytes, or as which dead letter.
import type { MessageAction } from '../../../core/change.ts';
import { plainJson } from '../../../core/encoding.ts';
import type { DeliveryError } from '../../../core/errors.ts';
import type { Sink } from '../../../sinks/sink.ts';
import { isUnsendable, unsendableError } from '../../delivery/delivery-errors.ts';
import type { Pending } from '../../delivery/pending.ts';
import type { RowIntake } from '../../intake/row-intake.ts';

export type SeenMessage = {
  readonly action: MessageAction;
  readonly route: string;
  readonly group: string;
  readonly idempotencyKey: string;
  /** JSON; undefined: it has none. */
  readonly body: string | undefined;
  /** As its destination counts it. */
  readonly bytes: number;
  /** It would not be sent, but kept as this dead letter. */
  readonly deadLetter: DeliveryError | undefined;
};

export function lookAtMessage(message: Pending, intake: RowIntake, sink: Sink): SeenMessage {
  if (message.isParked && !message.lacksPayload) intake.renderParked(message);
  const { action, route, group, idempotencyKey } = message;
  const limit = message.routeQueue.route.limits.messageBytes;
  const size = message.isParked ? 0 : sink.sizeOf(message);
  const bytes = message.buffer.subarray(message.start, message.end);
  return {
    action,
    route,
    group,
    idempotencyKey,
    body: message.isParked ? undefined : plainJson(bytes, sink.encoding ?? 'json').toString(),
    bytes: size,
    deadLetter: isUnsendable(message, size, limit) ? unsendableError(message, limit) : undefined,
  };
}
