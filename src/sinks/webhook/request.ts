// The requests of a webhook: a body in Sequin's shape, an id that a repeat shares, headers, signature, compression.
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Message } from '../../core/message.ts';
import { isTemplate } from '../../core/template.ts';
import { shortHash } from '../../core/idempotency.ts';
import type { WebhookConfig } from './config.ts';
import { CONTENT_ENCODING, mergeHeaders, type Header } from '../http/headers.ts';
import type { SinkContext } from '../sink.ts';
import { contentOfEvent, type Content } from './events.ts';
import { WebhookSigner } from './signature.ts';

const compress = promisify(gzip);

const CONTENT_TYPE = 'content-type';
const JSON_TYPE = 'application/json';

/** Around the messages of a batch: Sequin's, and a JSON array where that has a content type of its own. */
const BATCH = { start: Buffer.from('{"data":['), end: Buffer.from(']}') };
const ARRAY = { start: Buffer.from('['), end: Buffer.from(']') };
const COMMA = Buffer.from(',');

export type WebhookRequest = { readonly headers: Readonly<Record<string, string>>; readonly body: Buffer };

/** `contentType`: where the user says none. */
const allHeaders = (
  { headers, encrypted_headers: encrypted }: WebhookConfig,
  contentType = JSON_TYPE,
): readonly Header[] => {
  const defaults = [
    { key: CONTENT_TYPE, value: contentType },
    { key: 'user-agent', value: 'tailrace' },
  ];
  return mergeHeaders(defaults, headers, encrypted);
};

/** Those that the row decides. */
export const routedHeaders = (config: WebhookConfig): readonly Header[] =>
  allHeaders(config).filter((header) => config.headers.includes(header) && isTemplate(header.value));

export class RequestBuilder {
  readonly #batch: typeof BATCH | undefined;
  readonly #headerPrefix: string | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #compresses: boolean;
  readonly #signer: WebhookSigner;
  readonly #idSuffix: string;

  constructor(config: WebhookConfig, { media, ...sink }: Pick<SinkContext, 'name' | 'rewinds' | 'media'>) {
    const type =
      media === undefined || media.headerPrefix !== undefined
        ? JSON_TYPE
        : media[config.batch ? 'batch' : 'message'];
    const routed = routedHeaders(config);
    // An endpoint's own headers do not stand in for attributes of the event.
    const isAttribute = ({ key }: Header): boolean =>
      media?.headerPrefix !== undefined && key.toLowerCase().startsWith(media.headerPrefix);
    const headers = allHeaders(config, type).filter(
      (header) => !routed.includes(header) && !isAttribute(header),
    );
    this.#batch = config.batch ? (media === undefined ? BATCH : ARRAY) : undefined;
    this.#headerPrefix = media?.headerPrefix;
    this.#headers = Object.fromEntries(headers.map(({ key, value }) => [key, value]));
    this.#compresses = headers.some(({ key }) => key.toLowerCase() === CONTENT_ENCODING);
    this.#signer = new WebhookSigner(config.signing_secrets);
    // Two sinks may share an endpoint; and what a rewind sends again is meant to be taken again.
    this.#idSuffix = `-${shortHash(sink.name)}${sink.rewinds === 0 ? '' : `-r${sink.rewinds}`}`;
  }

  /** Bytes of a message in a body, with what parts it from the next one. */
  sizeOf(message: Message): number {
    return message.end - message.start + COMMA.length;
  }

  /** `routed`: the headers of the route. */
  async build(
    batch: readonly Message[],
    { routed, nowMs }: { readonly routed: Readonly<Record<string, string>>; readonly nowMs: number },
  ): Promise<WebhookRequest> {
    const id = this.#idOf(batch);
    const { body, attributes } = this.#contentOf(batch);
    const headers = {
      ...this.#headers,
      ...routed,
      ...attributes,
      // https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
      'idempotency-key': id,
      // The signature is of what a receiver's framework hands to it: the body without its content coding.
      ...this.#signer.headers({ id, body, nowMs }),
    };
    return { headers, body: this.#compresses ? await compress(body) : body };
  }

  /** The same messages in the same order have the same id, at every try and after a restart. */
  #idOf(batch: readonly Message[]): string {
    if (batch.length === 1) return `${batch[0]!.idempotencyKey}${this.#idSuffix}${repeatOf(batch[0]!)}`;
    const hash = createHash('sha256');
    for (const message of batch) hash.update(message.idempotencyKey + repeatOf(message)).update('\n');
    return `batch-${hash.digest('base64url')}${this.#idSuffix}`;
  }

  #contentOf(batch: readonly Message[]): Content {
    return this.#headerPrefix === undefined
      ? { body: this.#bodyOf(batch), attributes: {} }
      : contentOfEvent(batch[0]!, this.#headerPrefix);
  }

  /** A copy: the buffers of messages are written on, and a dead socket may hold what it was given. */
  #bodyOf(batch: readonly Message[]): Buffer {
    const parts = batch.map(({ buffer, start, end }) => buffer.subarray(start, end));
    if (this.#batch === undefined) return Buffer.concat(parts);
    return Buffer.concat([
      this.#batch.start,
      ...parts.flatMap((part, index) => (index === 0 ? [part] : [COMMA, part])),
      this.#batch.end,
    ]);
  }
}

const repeatOf = ({ repeat }: Message): string => (repeat === undefined ? '' : `-${repeat}`);
