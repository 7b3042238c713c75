// What the answer to a batch call says of each message, SQS' and SNS' alike.
import type { Outcome } from '../../core/errors.ts';
import { bareCode } from './errors.ts';
import type { AwsFailures } from './failures.ts';

export type BatchReply = {
  /** Entry ids as they came. */
  readonly successful: readonly unknown[];
  readonly failed: readonly { readonly id: unknown; readonly code: unknown; readonly senderFault: boolean }[];
};

/**
 * One outcome per message, by entry id, which is the message's index. A message that the answer does not name, or
 * names as both, is not delivered.
 */
export function outcomesOf(reply: BatchReply, count: number, failures: AwsFailures): Outcome[] {
  const outcomes = Array.from<Outcome>({ length: count }).fill(failures.ofMissingResult);
  for (const id of reply.successful) {
    const index = indexOf(id, count);
    if (index !== undefined) outcomes[index] = 'delivered';
  }
  for (const { id, code, senderFault } of reply.failed) {
    const index = indexOf(id, count);
    if (index === undefined) continue;
    outcomes[index] = failures.ofEntry(typeof code === 'string' ? bareCode(code) : 'UNNAMED', senderFault);
  }
  return outcomes;
}

function indexOf(id: unknown, count: number): number | undefined {
  if (typeof id !== 'string') return undefined;
  const index = Number(id);
  return String(index) === id && index >= 0 && index < count && Number.isInteger(index) ? index : undefined;
}
