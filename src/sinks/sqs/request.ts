// The bytes of a SendMessageBatch request, written straight from the messages' bytes.
// Hot file: one buffer, no string of the whole, plain loops (bench/micro/sqs.ts).
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import type { Literal } from '../../core/byte-writer.ts';
import { literal } from '../../core/encoding.ts';
import type { Message } from '../../core/message.ts';
import { DATA_TYPE, KEY_NAME, type AttributeList } from '../aws/attributes.ts';
import { BatchParts, MAX_BATCH_COUNT, type BatchOptions, type WrittenBody } from '../aws/batch.ts';

const FIRST_ENTRY = literal('{"Id":"', 'json');
const NEXT_ENTRY = literal(',{"Id":"', 'json');
const ENTRY_BODIES: readonly Literal[] = Array.from({ length: MAX_BATCH_COUNT }, (_, index) =>
  literal(`${index}","MessageBody":"`, 'json'),
);
const ATTRIBUTES_END = '"}}';
const REQUEST_END = literal(']}', 'json');
const CLOSE_BRACE = 0x7d;

export class RequestWriter {
  readonly #parts: BatchParts<string>;

  constructor(options: BatchOptions) {
    this.#parts = new BatchParts(options, attributesBeforeKey);
  }

  /** Bytes of a message as SQS counts them. */
  sizeOf(message: Message): number {
    return this.#parts.sizeOf(message);
  }

  /** The request's body; `release` it once nobody can read it any more. */
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
      writer.latin1(this.#ids(message, queue.isFifo));
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
  #ids(message: Message, isFifo: boolean): string {
    const group = this.#parts.groupId(message, isFifo);
    const groupId = group === undefined ? '' : `,"MessageGroupId":"${escapeId(group)}"`;
    if (!isFifo) return `"${groupId}`;
    return `"${groupId},"MessageDeduplicationId":"${this.#parts.deduplicationId(message)}"`;
  }
}

/** Ids are printable ASCII: two characters may need an escape, and keys have neither. */
const escapeId = (id: string): string => (/["\\]/.test(id) ? JSON.stringify(id).slice(1, -1) : id);

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
