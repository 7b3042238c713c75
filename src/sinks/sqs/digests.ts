// The MD5 digests in SQS' answers: do they speak of the messages that were sent? One message of each request is compared,
// the shortest: all of them would be a third more work a message (bench/micro/sqs.ts), and entry ids tell a stray answer anyway.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation
import { hash } from 'node:crypto';
import { plainJsonForNow } from '../../core/encoding.ts';
import type { Message } from '../../core/message.ts';
import { DATA_TYPE, type AttributeList } from '../aws/attributes.ts';

/** A longer one would take longer than the rest of its request. */
const MAX_COMPARED_BYTES = 64 * 1024;

export type Digests = { readonly body: unknown; readonly attributes: unknown };

/** The index of the message to compare; undefined: all are too long. */
export function comparedIndex(batch: readonly Message[]): number | undefined {
  let shortest = 0;
  for (let index = 1; index < batch.length; index++) {
    if (batch[index]!.jsonBytes < batch[shortest]!.jsonBytes) shortest = index;
  }
  return batch[shortest]!.jsonBytes > MAX_COMPARED_BYTES ? undefined : shortest;
}

/** A digest that is not given says nothing. `attributes`: as they were sent; undefined: none were. */
export function digestsAgree(
  given: Digests,
  message: Message,
  attributes: AttributeList | undefined,
): boolean {
  const { buffer, start, end } = message;
  if (typeof given.body === 'string') {
    // Escaped, as the sink asks for it (`Sink.encoding`).
    if (hash('md5', plainJsonForNow(buffer, start, end)) !== given.body.toLowerCase()) return false;
  }
  if (typeof given.attributes !== 'string' || attributes === undefined) return true;
  return digestOfAttributes(attributes) === given.attributes.toLowerCase();
}

const STRING_VALUE = Buffer.from([1]);

/** Of name, type and value of each, sorted by name, each text behind its length. */
function digestOfAttributes(attributes: AttributeList): string {
  const parts = attributes
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, value]) => [measured(name), measured(DATA_TYPE), STRING_VALUE, measured(value)]);
  return hash('md5', Buffer.concat(parts));
}

function measured(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
