// The bytes of a SendMessageBatch request, written straight from the messages' bytes.
// Hot file: one buffer, no string of the whole, plain loops (bench/micro/sqs.ts).
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import type { ByteWriter } from '../core/byte-writer.ts';
import type { Message } from '../core/message.ts';
import { DATA_TYPE, KEY_NAME, type AttributeList } from './aws-attributes.ts';
import { BatchParts, MAX_BATCH_COUNT, type BatchOptions } from './aws-batch.ts';

const ENTRY_STARTS: readonly Buffer[] = Array.from({ length: MAX_BATCH_COUNT }, (_, index) =>
  Buffer.from(`${index === 0 ? '' : ','}{"Id":"${index}","MessageBody":"`),
);
const BODY_END = Buffer.from('"');
const ATTRIBUTES_END = '"}}';
const ENTRY_END = Buffer.from('}');
const REQUEST_END = Buffer.from(']}');

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FIRST_PRINTABLE = 0x20;
/** Of `\\u000a`. */
const CONTROL_BYTES = 6;

export class RequestWriter {
  readonly #parts: BatchParts<string>;

  constructor(options: BatchOptions) {
    this.#parts = new BatchParts(options, attributesBeforeKey);
  }

  /** Bytes of a message as SQS counts them. */
  sizeOf(message: Message): number {
    return this.#parts.sizeOf(message);
  }

  /** The request; give the writer back with `release` once nobody can read it any more. */
  write(queue: { requestStart: Buffer; isFifo: boolean }, batch: readonly Message[]): ByteWriter {
    const writer = this.#parts.takeWriter();
    writer.bytes(queue.requestStart);
    for (let index = 0; index < batch.length; index++) {
      const message = batch[index]!;
      writer.bytes(ENTRY_STARTS[index]!);
      writeEscapedBody(message, writer);
      writer.bytes(BODY_END);
      this.#writeIds(message, queue.isFifo, writer);
      const attributes = this.#parts.attributesFor(message);
      if (attributes !== undefined) {
        writer.text(attributes);
        writer.text(message.idempotencyKey);
        writer.text(ATTRIBUTES_END);
      }
      writer.bytes(ENTRY_END);
    }
    writer.bytes(REQUEST_END);
    return writer;
  }

  /** Only after a complete answer: after an error a socket may still be reading the buffer. */
  release(writer: ByteWriter): void {
    this.#parts.release(writer);
  }

  #writeIds(message: Message, isFifo: boolean, writer: ByteWriter): void {
    const group = this.#parts.groupId(message, isFifo);
    if (group !== undefined) writer.text(`,"MessageGroupId":${JSON.stringify(group)}`);
    if (isFifo) writer.text(`,"MessageDeduplicationId":"${this.#parts.deduplicationId(message)}"`);
  }
}

/** `{"QueueUrl":"…","Entries":[`. */
export const requestStart = (queueUrl: string): Buffer =>
  Buffer.from(`{"QueueUrl":${JSON.stringify(queueUrl)},"Entries":[`);

/** `,"MessageAttributes":{…,"idempotency_key":{…"StringValue":"`: the key and `"}}` follow. */
function attributesBeforeKey(attributes: AttributeList): string {
  const members = attributes.map(
    ([name, value]) => `"${name}":{"DataType":"${DATA_TYPE}","StringValue":${JSON.stringify(value)}}`,
  );
  const key = `"${KEY_NAME}":{"DataType":"${DATA_TYPE}","StringValue":"`;
  return `,"MessageAttributes":{${[...members, key].join(',')}`;
}

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
