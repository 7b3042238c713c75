// What SQS' and SNS' batch calls have in common: limits of a batch, sizes and ids of messages, buffers of requests.
import type { ByteWriter } from '../../core/byte-writer.ts';
import type { Message } from '../../core/message.ts';
import { SpareWriters } from '../../core/spare-writers.ts';
import { attributesOf, KEY_NAME, MessageAttributes, type AttributeList } from './attributes.ts';
import { EntryTags, type EntryTag } from './entry-ids.ts';
import { fifoId } from './ids.ts';
import type { RequestBytes } from '../http/connection.ts';

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
// https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
export const MAX_BATCH_COUNT = 10;
export const MAX_BATCH_BYTES = 1_048_576;

/** No queue and no topic can be told to take less. */
const LEAST_MESSAGE_BYTES = 1024;

/**
 * What a queue or a topic says of its `MaximumMessageSize`; undefined: nothing that can be. To believe 0 or 1 would make a dead letter
 * of every message.
 */
export function messageLimit(said: unknown): number | undefined {
  const bytes = typeof said === 'string' ? Number(said) : Number.NaN;
  return bytes >= LEAST_MESSAGE_BYTES ? Math.min(Math.floor(bytes), MAX_BATCH_BYTES) : undefined;
}

/** What AWS took in one request before August 2025, and what some emulators still do. */
export const FORMER_MAX_BATCH_BYTES = 262_144;

/** Room for ten ordinary messages: there may be as many as lanes. */
const BODY_BYTES = 16 * 1024;
/** A larger buffer is not kept for the next request, nor are more than these bytes of them. */
const MAX_KEPT_BYTES = 256 * 1024;
const MAX_ALL_KEPT_BYTES = 16 * 1024 * 1024;

/** A head fits as a rule, and is then sent with its body in one write. */
const HEAD_ROOM_BYTES = 2048;

/** Of all sinks of a thread: each has most requests in flight at another moment. */
const bodies = new SpareWriters({ initial: BODY_BYTES, each: MAX_KEPT_BYTES, all: MAX_ALL_KEPT_BYTES });

export type WrittenBody = RequestBytes & {
  /** Of the entries in it. */
  readonly tag: EntryTag;
  /** Lets another request use the buffer. */
  readonly release: () => void;
};

export type BatchOptions = {
  /** Follows the idempotency key in deduplication ids. */
  readonly deduplicationSuffix: string;
  readonly messageAttributes: boolean;
};

/** The parts of a request that do not depend on the service's protocol. */
export class BatchParts<Encoded> {
  readonly #options: BatchOptions;
  readonly #attributes: MessageAttributes<Encoded> | undefined;
  readonly #tags = new EntryTags();

  constructor(options: BatchOptions, encodeAttributes: (attributes: AttributeList) => Encoded) {
    this.#options = options;
    this.#attributes = options.messageAttributes ? new MessageAttributes(encodeAttributes) : undefined;
  }

  /** Bytes of a message as AWS counts them: body and attributes in UTF-8, before any escaping. */
  sizeOf(message: Message): number {
    return message.jsonBytes + (this.#attributes?.sizeFor(message) ?? 0);
  }

  attributesFor(message: Message): Encoded | undefined {
    return this.#attributes?.encodedFor(message);
  }

  /** A message's attributes as they are sent, the key among them; undefined: none are. */
  attributesOf(message: Message): AttributeList | undefined {
    if (!this.#options.messageAttributes) return undefined;
    return [...attributesOf(message), [KEY_NAME, message.idempotencyKey]];
  }

  /** Of the tag that was given last. */
  get tagBytes(): Buffer {
    return this.#tags.bytes;
  }

  /** For the entries of a new request. */
  nextTag(): EntryTag {
    return this.#tags.next();
  }

  /** Where it is not FIFO there is a group id only where the user has a template for it (fair queues). */
  groupId(message: Message, isFifo: boolean): string | undefined {
    const group = isFifo ? (message.groupId ?? message.group) : message.groupId;
    return group === undefined ? undefined : fifoId(group);
  }

  /** Appends what `deduplicationId` answers. */
  writeDeduplicationId(message: Message, writer: ByteWriter): void {
    message.writeKey(writer);
    writer.latin1(this.#options.deduplicationSuffix);
    const { repeat } = message;
    if (repeat !== undefined) writer.latin1(`:${repeat}`);
  }

  /** For FIFO only: standard queues and topics take none. Made of our own alphabet, and short: there is nothing to look for. */
  deduplicationId(message: Message): string {
    const { idempotencyKey, repeat } = message;
    const again = repeat === undefined ? '' : `:${repeat}`;
    return idempotencyKey + this.#options.deduplicationSuffix + again;
  }

  /** A buffer for a body, with room for the head before it. */
  takeWriter(): ByteWriter {
    const writer = bodies.take();
    writer.length = HEAD_ROOM_BYTES;
    return writer;
  }

  /** The body that a buffer holds now. */
  written(writer: ByteWriter, tag: EntryTag): WrittenBody {
    const { buffer, length } = writer;
    // Another request may use the buffer then: the next one as a rule, as long as it is in the processor's cache.
    const release = (): void => bodies.giveBack(writer);
    return { buffer, bodyStart: HEAD_ROOM_BYTES, end: length, tag, release };
  }
}
