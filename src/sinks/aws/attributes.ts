// Message attributes for subscription filters and Lambda event filters: their values, and their size as AWS counts it.
import type { Message } from '../../core/message.ts';

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html
export const DATA_TYPE = 'String';
export const KEY_NAME = 'idempotency_key';

/** Tables times actions; beyond it the cache starts again. */
const MAX_CACHED = 10_000;

// Any character that SQS refuses. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
const REFUSED = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

/** Name and value of each attribute but the idempotency key. */
export type AttributeList = readonly (readonly [name: string, value: string])[];

type Cached<Encoded> = {
  readonly encoded: Encoded;
  /** What AWS counts, without the key's value. */
  readonly bytesBesidesKey: number;
};

/** What is the same for all messages of a table and action is encoded once. */
export class MessageAttributes<Encoded> {
  readonly #encode: (attributes: AttributeList) => Encoded;
  readonly #cache = new Map<string, Cached<Encoded>>();

  constructor(encode: (attributes: AttributeList) => Encoded) {
    this.#encode = encode;
  }

  encodedFor(message: Message): Encoded {
    return this.#of(message).encoded;
  }

  /** Bytes of a message's attributes: names, types and values in UTF-8. */
  sizeFor(message: Message): number {
    // Idempotency keys are ASCII: characters are bytes.
    return this.#of(message).bytesBesidesKey + message.idempotencyKey.length;
  }

  #of(message: Message): Cached<Encoded> {
    // Postgres names hold no NUL.
    const cacheKey = `${message.schema}\0${message.table}\0${message.action}`;
    let cached = this.#cache.get(cacheKey);
    if (cached === undefined) {
      if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
      const attributes = attributesOf(message);
      cached = { encoded: this.#encode(attributes), bytesBesidesKey: bytesBesidesKey(attributes) };
      this.#cache.set(cacheKey, cached);
    }
    return cached;
  }
}

/** All but the idempotency key. */
export const attributesOf = ({ schema, table, action }: Message): AttributeList =>
  // Attributes are not empty: what is of no table has none of those.
  table === ''
    ? [['action', action]]
    : [
        ['table', acceptable(table)],
        ['schema', acceptable(schema)],
        ['action', action],
      ];

const bytesBesidesKey = (attributes: AttributeList): number =>
  attributes.reduce(
    (sum, [name, value]) => sum + name.length + DATA_TYPE.length + Buffer.byteLength(value),
    KEY_NAME.length + DATA_TYPE.length,
  );

/** Refused characters become `\uXXXX`, as they would inside JSON; nothing is dropped. */
const acceptable = (text: string): string =>
  text.replace(REFUSED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
