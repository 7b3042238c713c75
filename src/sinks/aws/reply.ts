// What the answer to a batch call says of each message, SQS' and SNS' alike.
import type { Outcome } from '../../core/errors.ts';
import { indexOfEntry, type EntryTag } from './entry-ids.ts';
import { bareCode, MALFORMED_REPLY, RequestError } from './errors.ts';
import type { AwsFailures } from './failures.ts';

/** Entry ids as they came; `Accepted`: what a service says besides of an entry that it took. */
export type BatchReply<Accepted = unknown> = {
  readonly successful: readonly ({ readonly id: unknown } & Accepted)[];
  readonly failed: readonly { readonly id: unknown; readonly code: unknown; readonly senderFault: boolean }[];
};

export type SentBatch = { readonly tag: EntryTag; readonly count: number };

/** The answer is to something else than what was asked. */
export const strayReply = (): RequestError =>
  new RequestError({ code: MALFORMED_REPLY, status: 200, message: 'the answer is to another request' });

/**
 * One outcome per message, by entry id. A message that the answer does not name, or names as both, is not delivered.
 * Throws RequestError where the answer names what was not in this request: it is not to it.
 */
export function outcomesOf(reply: BatchReply, { tag, count }: SentBatch, failures: AwsFailures): Outcome[] {
  const outcomes = Array.from<Outcome>({ length: count }).fill(failures.ofMissingResult);
  const indexOf = (id: unknown): number => {
    const index = indexOfEntry(id, tag, count);
    if (index === undefined) throw strayReply();
    return index;
  };
  for (const { id } of reply.successful) outcomes[indexOf(id)] = 'delivered';
  for (const { id, code, senderFault } of reply.failed) {
    const name = (typeof code === 'string' ? bareCode(code) : undefined) ?? 'UNNAMED';
    outcomes[indexOf(id)] = failures.ofEntry(name, senderFault);
  }
  return outcomes;
}
