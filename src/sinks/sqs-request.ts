// The bytes of a SendMessageBatch request, written straight from the messages' bytes.
// Hot file: one buffer, no string of the whole, plain loops (bench/micro/sqs.ts).
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import { ByteWriter } from '../core/byte-writer.ts';
import type { Message } from '../core/message.ts';
import { JSON_AFTER_KEY, MessageAttributes } from './sqs-attributes.ts';
import { fifoId } from './sqs-ids.ts';

export const MAX_BATCH_COUNT = 10;

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
export const MAX_BATCH_BYTES = 1_048_576;

/** A larger buffer is not kept for the next request: 32 of them would be held for nothing. */
const MAX_KEPT_BYTES = 256 * 1024;

const ENTRY_STARTS: readonly Buffer[] = Array.from({ length: MAX_BATCH_COUNT }, (_, index) =>
  Buffer.from(`${index === 0 ? '' : ','}{"Id":"${index}","MessageBody":"`),
);
const BODY_END = Buffer.from('"');
const ENTRY_END = Buffer.from('}');
const REQUEST_END = Buffer.from(']}');

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FIRST_PRINTABLE = 0x20;
/** Of `\\u000a`. */
const CONTROL_BYTES = 6;

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
    const bodyBytes = message.end - message.start;
    if (this.#attributes === undefined) return bodyBytes;
    // Idempotency keys are ASCII: characters are bytes.
    return bodyBytes + this.#attributes.of(message).bytesBesidesKey + message.idempotencyKey.length;
  }

  /** The request; give the writer back with `release` once nobody can read it any more. */
  write(queue: { requestStart: Buffer; isFifo: boolean }, batch: readonly Message[]): ByteWriter {
    const writer = this.#free.pop() ?? new ByteWriter();
    writer.reset();
    writer.bytes(queue.requestStart);
    for (let index = 0; index < batch.length; index++) {
      const message = batch[index]!;
      writer.bytes(ENTRY_STARTS[index]!);
      writeEscapedBody(message, writer);
      writer.bytes(BODY_END);
      this.#writeIds(message, queue.isFifo, writer);
      if (this.#attributes !== undefined) {
        writer.text(this.#attributes.of(message).jsonBeforeKey);
        writer.text(message.idempotencyKey);
        writer.text(JSON_AFTER_KEY);
      }
      writer.bytes(ENTRY_END);
    }
    writer.bytes(REQUEST_END);
    return writer;
  }

  /** Only after a complete answer: after an error a socket may still be reading the buffer. */
  release(writer: ByteWriter): void {
    if (writer.buffer.length <= MAX_KEPT_BYTES) this.#free.push(writer);
  }

  /** A standard queue gets a group id only where the user has a template for it (fair queues). */
  #writeIds(message: Message, isFifo: boolean, writer: ByteWriter): void {
    const group = isFifo ? (message.groupId ?? message.group) : message.groupId;
    if (group !== undefined) writer.text(`,"MessageGroupId":${JSON.stringify(fifoId(group))}`);
    if (!isFifo) return;
    const id = fifoId(message.idempotencyKey + this.#options.deduplicationSuffix);
    writer.text(`,"MessageDeduplicationId":"${id}"`);
  }
}

/** `{"QueueUrl":"…","Entries":[`. */
export const requestStart = (queueUrl: string): Buffer =>
  Buffer.from(`{"QueueUrl":${JSON.stringify(queueUrl)},"Entries":[`);

/** The message, which is JSON, as the content of a JSON string. */
function writeEscapedBody(message: Message, writer: ByteWriter): void {
  const { buffer: source, start, end } = message;
  writer.reserve((end - start) * 2);
  let target = writer.buffer;
  let at = writer.length;
  let hasRoomForControls = false;
  for (let i = start; i < end; i++) {
    const byte = source[i]!;
    if (byte === QUOTE || byte === BACKSLASH) {
      target[at++] = BACKSLASH;
      target[at++] = byte;
    } else if (byte >= FIRST_PRINTABLE) {
      target[at++] = byte;
    } else {
      // Rare: line breaks and tabs of json columns, which are embedded as they are. Six bytes instead of two at most.
      if (!hasRoomForControls) {
        writer.length = at;
        writer.reserve((end - i) * CONTROL_BYTES);
        target = writer.buffer;
        hasRoomForControls = true;
      }
      target.write(`\\u00${byte.toString(16).padStart(2, '0')}`, at, 'latin1');
      at += CONTROL_BYTES;
    }
  }
  writer.length = at;
}
