// The bytes of a PublishBatch request, a form, written straight from the messages' bytes.
// Hot file: one buffer, no string of the whole, plain loops (bench/micro/sns.ts).
// https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
import type { ByteWriter } from '../../core/byte-writer.ts';
import type { Message } from '../../core/message.ts';
import { DATA_TYPE, KEY_NAME, type AttributeList } from '../aws/attributes.ts';
import { escapeUri } from '../aws/canonical.ts';
import { BatchParts, MAX_BATCH_COUNT, type BatchOptions, type WrittenBody } from '../aws/batch.ts';

/** Of the API. */
export const SNS_VERSION = '2010-03-31';

const memberPrefix = (index: number): string => `&PublishBatchRequestEntries.member.${index + 1}.`;

/** The fixed texts of the entry at an index. */
const ENTRIES = Array.from({ length: MAX_BATCH_COUNT }, (_, index) => {
  const prefix = memberPrefix(index);
  return {
    id: Buffer.from(`${prefix}Id=`),
    message: Buffer.from(`${index}${prefix}Message=`),
    group: Buffer.from(`${prefix}MessageGroupId=`),
    deduplication: Buffer.from(`${prefix}MessageDeduplicationId=`),
  };
});

const PERCENT = 0x25;
/** `%` and two digits. */
const ESCAPED_BYTES = 3;

/** 1 for bytes that stand for themselves. https://www.rfc-editor.org/rfc/rfc3986#section-2.3 */
const UNRESERVED = new Uint8Array(256);
for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~')) {
  UNRESERVED[byte] = 1;
}
const HEX = Buffer.from('0123456789ABCDEF');

export class PublishWriter {
  readonly #parts: BatchParts<readonly Buffer[]>;

  constructor(options: BatchOptions) {
    this.#parts = new BatchParts(options, attributesBeforeKey);
  }

  /** Bytes of a message as SNS counts them. */
  sizeOf(message: Message): number {
    return this.#parts.sizeOf(message);
  }

  /** The request's body. */
  write(topic: { requestStart: Buffer; isFifo: boolean }, batch: readonly Message[]): WrittenBody {
    const writer = this.#parts.takeWriter();
    const tag = this.#parts.nextTag();
    writer.bytes(topic.requestStart);
    for (let index = 0; index < batch.length; index++) {
      const message = batch[index]!;
      const entry = ENTRIES[index]!;
      writer.bytes(entry.id);
      writer.bytes(this.#parts.tagBytes);
      writer.bytes(entry.message);
      writeEscaped(message.buffer, message.start, message.end, writer);
      const group = this.#parts.groupId(message, topic.isFifo);
      if (group !== undefined) {
        writer.bytes(entry.group);
        writeEscapedAscii(group, writer);
      }
      if (topic.isFifo) {
        writer.bytes(entry.deduplication);
        writeEscapedAscii(this.#parts.deduplicationId(message), writer);
      }
      const attributes = this.#parts.attributesFor(message);
      if (attributes !== undefined) {
        writer.bytes(attributes[index]!);
        writeEscapedAscii(message.idempotencyKey, writer);
      }
    }
    return this.#parts.written(writer, tag);
  }
}

/** The beginning of every request to a topic. */
export const requestStart = (topicArn: string): Buffer =>
  Buffer.from(`Action=PublishBatch&Version=${SNS_VERSION}&TopicArn=${escapeUri(topicArn)}`);

/** For each index the attributes up to the idempotency key's value, which follows. */
function attributesBeforeKey(attributes: AttributeList): readonly Buffer[] {
  const all: AttributeList = [...attributes, [KEY_NAME, '']];
  return ENTRIES.map((_, index) => {
    const texts = all.map(([name, value], number) => {
      const prefix = `${memberPrefix(index)}MessageAttributes.entry.${number + 1}.`;
      const valuePrefix = `${prefix}Value.`;
      return `${prefix}Name=${name}${valuePrefix}DataType=${DATA_TYPE}${valuePrefix}StringValue=${escapeUri(value)}`;
    });
    return Buffer.from(texts.join(''));
  });
}

function writeEscaped(source: Buffer, start: number, end: number, writer: ByteWriter): void {
  writer.reserve((end - start) * ESCAPED_BYTES);
  const target = writer.buffer;
  let at = writer.length;
  for (let i = start; i < end; i++) {
    const byte = source[i]!;
    if (UNRESERVED[byte] === 1) {
      target[at++] = byte;
    } else {
      target[at] = PERCENT;
      target[at + 1] = HEX[byte >> 4]!;
      target[at + 2] = HEX[byte & 15]!;
      at += ESCAPED_BYTES;
    }
  }
  writer.length = at;
}

/** Ids are ASCII (`aws/ids.ts`): characters are bytes. */
function writeEscapedAscii(text: string, writer: ByteWriter): void {
  writer.reserve(text.length * ESCAPED_BYTES);
  const target = writer.buffer;
  let at = writer.length;
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i);
    if (UNRESERVED[byte] === 1) {
      target[at++] = byte;
    } else {
      target[at] = PERCENT;
      target[at + 1] = HEX[byte >> 4]!;
      target[at + 2] = HEX[byte & 15]!;
      at += ESCAPED_BYTES;
    }
  }
  writer.length = at;
}
