// The bytes of a SendMessageBatch request, written straight from the messages' bytes.
// Hot file: one buffer, no string of the whole, plain loops (bench/micro/sqs.ts).
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import type { ByteWriter, Literal } from '../../core/byte-writer.ts';
import { literal } from '../../core/encoding.ts';
import type { Message } from '../../core/message.ts';
import { DATA_TYPE, KEY_NAME, type AttributeList } from '../aws/attributes.ts';
import { BatchParts, MAX_BATCH_COUNT, type BatchOptions, type WrittenBody } from '../aws/batch.ts';

const FIRST_ENTRY = literal('{"Id":"', 'json');
const NEXT_ENTRY = literal(',{"Id":"', 'json');
const ENTRY_BODIES: readonly Literal[] = Array.from({ length: MAX_BATCH_COUNT }, (_, index) =>
  literal(`${index}","MessageBody":"`, 'json'),
);
/** Each closes what is before it. */
const GROUP_ID = literal('","MessageGroupId":"', 'json');
const DEDUPLICATION_ID = literal('","MessageDeduplicationId":"', 'json');
const ATTRIBUTES_END = '"}}';
const REQUEST_END = literal(']}', 'json');
const CLOSE_BRACE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

export class RequestWriter {
  readonly #parts: BatchParts<string>;

  constructor(options: BatchOptions) {
    this.#parts = new BatchParts(options, attributesBeforeKey);
  }

  /** Bytes of a message as SQS counts them. */
  sizeOf(message: Message): number {
    return this.#parts.sizeOf(message);
  }

  /** The request's body. */
  write(queue: { requestStart: Literal; isFifo: boolean }, batch: readonly Message[]): WrittenBody {
    const writer = this.#parts.takeWriter();
    const tag = this.#parts.nextTag();
    writer.literal(queue.requestStart);
    for (let index = 0; index < batch.length; index++) {
      const message = batch[index]!;
      writer.literal(index === 0 ? FIRST_ENTRY : NEXT_ENTRY);
      writer.bytes(this.#parts.tagBytes);
      writer.literal(ENTRY_BODIES[index]!);
      // Escaped already: the sink asks for it (`Sink.encoding`).
      writer.bytes(message.buffer, message.start, message.end);
      this.#writeIds(message, queue.isFifo, writer);
      const attributes = this.#parts.attributesFor(message);
      if (attributes !== undefined) {
        writer.text(attributes);
        writer.latin1(message.idempotencyKey + ATTRIBUTES_END);
      }
      writer.byte(CLOSE_BRACE);
    }
    writer.literal(REQUEST_END);
    return this.#parts.written(writer, tag);
  }

  /** A message's attributes as they are sent; undefined: none are. */
  attributesOf(message: Message): AttributeList | undefined {
    return this.#parts.attributesOf(message);
  }

  /** The end of the body, and the ids. */
  #writeIds(message: Message, isFifo: boolean, writer: ByteWriter): void {
    const group = this.#parts.groupId(message, isFifo);
    if (group !== undefined) {
      writer.literal(GROUP_ID);
      writeId(group, writer);
    }
    if (isFifo) {
      writer.literal(DEDUPLICATION_ID);
      // Keys have nothing to escape.
      this.#parts.writeDeduplicationId(message, writer);
    }
    writer.byte(QUOTE);
  }
}

/** Ids are printable ASCII: two characters may need an escape. */
function writeId(id: string, writer: ByteWriter): void {
  writer.reserve(id.length * 2);
  const { buffer } = writer;
  let at = writer.length;
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i);
    if (code === QUOTE || code === BACKSLASH) buffer[at++] = BACKSLASH;
    buffer[at++] = code;
  }
  writer.length = at;
}

/** `{"QueueUrl":"…","Entries":[`. */
export const requestStart = (queueUrl: string): Literal =>
  literal(`{"QueueUrl":${JSON.stringify(queueUrl)},"Entries":[`, 'json');

/** `,"MessageAttributes":{…,"idempotency_key":{…"StringValue":"`: the key and `"}}` follow. */
function attributesBeforeKey(attributes: AttributeList): string {
  const members = attributes.map(
    ([name, value]) => `"${name}":{"DataType":"${DATA_TYPE}","StringValue":${JSON.stringify(value)}}`,
  );
  const key = `"${KEY_NAME}":{"DataType":"${DATA_TYPE}","StringValue":"`;
  return `,"MessageAttributes":{${[...members, key].join(',')}`;
}
