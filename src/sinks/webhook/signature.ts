// Signatures of requests as Standard Webhooks has them.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';
export const MIN_SECRET_BYTES = 24;
export const MAX_SECRET_BYTES = 64;

/** The key that a secret's text holds; undefined when it is none. */
export function secretBytes(text: string): Buffer | undefined {
  const base64 = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : undefined;
}

export class WebhookSigner {
  readonly #keys: readonly Buffer[];

  /** Every secret signs: a receiver takes the signature that it knows, while one secret replaces another. */
  constructor(secrets: readonly string[]) {
    this.#keys = secrets.flatMap((secret) => secretBytes(secret) ?? []);
  }

  /** The headers of one try: `body` as it is before any compression. None without secrets. */
  headers(request: {
    readonly id: string;
    readonly body: Buffer;
    readonly nowMs: number;
  }): Record<string, string> {
    if (this.#keys.length === 0) return {};
    const timestamp = String(Math.floor(request.nowMs / 1000));
    const signatures = this.#keys.map((key) => {
      const hmac = createHmac('sha256', key).update(`${request.id}.${timestamp}.`).update(request.body);
      return `v1,${hmac.digest('base64')}`;
    });
    return {
      'webhook-id': request.id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signatures.join(' '),
    };
  }
}
