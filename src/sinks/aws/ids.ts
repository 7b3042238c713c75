// Group and deduplication ids as SQS takes them: valid, stable, and never the same for two different texts.
import { createHash } from 'node:crypto';
import { shortHash } from '../../core/idempotency.ts';

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatchRequestEntry.html
const MAX_ID_LENGTH = 128;
const FIRST_VALID = 0x21;
const LAST_VALID = 0x7e;

const HASH_PREFIX = 'h-';
const HASHED_LENGTH = HASH_PREFIX.length + 43;

/**
 * `text` itself where SQS takes it, else its hash. Never cut: that would merge groups by accident. A text that looks
 * like a hash is hashed too, so it cannot meet one.
 */
export function fifoId(text: string): string {
  const looksHashed = text.length === HASHED_LENGTH && text.startsWith(HASH_PREFIX);
  return isValidId(text) && !looksHashed
    ? text
    : HASH_PREFIX + createHash('sha256').update(text).digest('base64url');
}

function isValidId(text: string): boolean {
  const { length } = text;
  if (length === 0 || length > MAX_ID_LENGTH) return false;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code < FIRST_VALID || code > LAST_VALID) return false;
  }
  return true;
}

/**
 * What follows the idempotency key in a deduplication id: two sinks may share a queue, and a rewind must not be
 * swallowed for five minutes by what was sent before it.
 */
export const deduplicationSuffix = (sinkName: string, rewinds: number): string =>
  `-${shortHash(sinkName)}${rewinds === 0 ? '' : `:r${rewinds}`}`;
