// Message attributes for subscription filters and Lambda event filters: their JSON and their size.
import type { Message } from '../core/message.ts';

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
const DATA_TYPE = 'String';
const KEY_NAME = 'idempotency_key';

/** Tables times actions; beyond it the cache starts again. */
const MAX_CACHED = 10_000;

// Any character that SQS refuses. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
const REFUSED = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

type Attributes = {
  /** `,"MessageAttributes":{…,"idempotency_key":{…"StringValue":"`: the key and `"}}` follow. */
  readonly jsonBeforeKey: string;
  /** What SQS counts, without the key's value. */
  readonly bytesBesidesKey: number;
};

export const JSON_AFTER_KEY = '"}}';

/** What is the same for all messages of a table and action is made once. */
export class MessageAttributes {
  readonly #cache = new Map<string, Attributes>();

  of(message: Message): Attributes {
    // Postgres names hold no NUL.
    const cacheKey = `${message.schema}\0${message.table}\0${message.action}`;
    let attributes = this.#cache.get(cacheKey);
    if (attributes === undefined) {
      if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
      attributes = describe(message);
      this.#cache.set(cacheKey, attributes);
    }
    return attributes;
  }
}

function describe({ schema, table, action }: Message): Attributes {
  const values = { table: acceptable(table), schema: acceptable(schema), action };
  let bytesBesidesKey = KEY_NAME.length + DATA_TYPE.length;
  const members = Object.entries(values).map(([name, value]) => {
    bytesBesidesKey += name.length + DATA_TYPE.length + Buffer.byteLength(value);
    return `"${name}":{"DataType":"${DATA_TYPE}","StringValue":${JSON.stringify(value)}}`;
  });
  const key = `"${KEY_NAME}":{"DataType":"${DATA_TYPE}","StringValue":"`;
  return { jsonBeforeKey: `,"MessageAttributes":{${[...members, key].join(',')}`, bytesBesidesKey };
}

/** Refused characters become `\uXXXX`, as they would inside JSON; nothing is dropped. */
const acceptable = (text: string): string =>
  text.replace(REFUSED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
