// The bytes of a SendMessageBatch request, written straight from the messages' bytes.
// Hot file: one buffer, no string of the whole, plain loops (bench/micro/sqs.ts).
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import { ByteWriter, type Literal } from '../core/byte-writer.ts';
import { literal } from '../core/encoding.ts';
import type { Message } from '../core/message.ts';
import { JSON_AFTER_KEY, MessageAttributes } from './sqs-attributes.ts';
import { fifoId } from './sqs-ids.ts';

export const MAX_BATCH_COUNT = 10;

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
export const MAX_BATCH_BYTES = 1_048_576;

const CLOSE_BRACE = 0x7d;

/** A larger buffer is not kept for the next request: 32 of them would be held for nothing. */
const MAX_KEPT_BYTES = 256 * 1024;

/** Before the body: the request's head goes there, and both go out in one write. More than that is two. */
export const REQUEST_HEAD_ROOM = 2048;

const ENTRY_STARTS: readonly Literal[] = Array.from({ length: MAX_BATCH_COUNT }, (_, index) =>
  literal(`${index === 0 ? '' : ','}{"Id":"${index}","MessageBody":"`, 'json'),
);
const REQUEST_END = literal(']}', 'json');

export type RequestOptions = {
  /** Follows the idempotency key in deduplication ids. */
  readonly deduplicationSuffix: string;
  readonly messageAttributes: boolean;
};

export class RequestWriter {
  readonly #options: RequestOptions;
  readonly #attributes: MessageAttributes | undefined;
  readonly #free: ByteWriter[] = [];

  constructor(options: RequestOptions) {
    this.#options = options;
    this.#attributes = options.messageAttributes ? new MessageAttributes() : undefined;
  }

  /** Bytes of a message as SQS counts them: body and attributes in UTF-8, before any escaping. */
  sizeOf(message: Message): number {
    const { jsonBytes } = message;
    if (this.#attributes === undefined) return jsonBytes;
    // Idempotency keys are ASCII: characters are bytes.
    return jsonBytes + this.#attributes.of(message).bytesBesidesKey + message.idempotencyKey.length;
  }

  /** The request's body, behind room for its head; give the writer back with `release` once nobody can read it any more. */
  write(queue: { requestStart: Literal; isFifo: boolean }, batch: readonly Message[]): ByteWriter {
    const writer = this.#free.pop() ?? new ByteWriter();
    writer.length = REQUEST_HEAD_ROOM;
    writer.literal(queue.requestStart);
    for (let index = 0; index < batch.length; index++) {
      const message = batch[index]!;
      writer.literal(ENTRY_STARTS[index]!);
      writer.bytes(message.buffer, message.start, message.end);
      writer.latin1(this.#ids(message, queue.isFifo));
      if (this.#attributes !== undefined) {
        writer.text(this.#attributes.of(message).jsonBeforeKey);
        writer.latin1(message.idempotencyKey + JSON_AFTER_KEY);
      }
      writer.byte(CLOSE_BRACE);
    }
    writer.literal(REQUEST_END);
    return writer;
  }

  /** Only after a complete answer: after an error a socket may still be reading the buffer. */
  release(writer: ByteWriter): void {
    if (writer.buffer.length <= MAX_KEPT_BYTES) this.#free.push(writer);
  }

  /** The end of the body, and the ids. A standard queue gets a group id only where the user has a template for it (fair queues). */
  #ids(message: Message, isFifo: boolean): string {
    const group = isFifo ? (message.groupId ?? message.group) : message.groupId;
    const groupId = group === undefined ? '' : `,"MessageGroupId":"${escapeId(fifoId(group))}"`;
    if (!isFifo) return `"${groupId}`;
    const id = fifoId(message.idempotencyKey + this.#options.deduplicationSuffix);
    return `"${groupId},"MessageDeduplicationId":"${id}"`;
  }
}

/** Ids are printable ASCII: two characters may need an escape, and keys have neither. */
const escapeId = (id: string): string => (/["\\]/.test(id) ? JSON.stringify(id).slice(1, -1) : id);

/** `{"QueueUrl":"…","Entries":[`. */
export const requestStart = (queueUrl: string): Literal =>
  literal(`{"QueueUrl":${JSON.stringify(queueUrl)},"Entries":[`, 'json');
