// The answer to a SendMessageBatch as SQS writes it when all went well, read without making values of what is in it: each request has
// one, and little of it is of use here. Hot file (bench/micro/sqs.ts). What looks otherwise is left to `reply.ts`.
import { ENTRY_ID_LENGTH, entryIndexAt } from '../aws/entry-ids.ts';
import type { SentBatch } from '../aws/reply.ts';
import type { Digests } from './digests.ts';

const BEGINNINGS = ['{"Failed":[],"Successful":[', '{"Successful":['];
const ENDS = [']}', '],"Failed":[]}'];

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const NOWHERE = -1;

/** What an answer is compared with: the request, and the entry whose digests are of interest; undefined: none's are. */
export type Scanned = SentBatch & { readonly compared: number | undefined };

/** The entry in hand: its index, and where its digests begin. One is enough: an answer is read without a pause. */
const ENTRY = { index: NOWHERE, body: NOWHERE, attributes: NOWHERE };

/**
 * The digests of the compared entry, where the answer names every entry of the request once, and as accepted. Undefined where it does
 * not, where it has escapes, blanks or anything else that is not expected.
 */
export function scanSendReply(body: Buffer, { tag, count, compared }: Scanned): Digests | undefined {
  const text = body.toString('latin1');
  const beginning = BEGINNINGS.find((begin) => text.startsWith(begin));
  if (beginning === undefined || text.includes('\\')) return undefined;
  let digests: Digests = NO_DIGESTS;
  let named = 0;
  let at = beginning.length;
  for (let entries = 0; entries < count; entries++) {
    if (entries > 0 && text.charCodeAt(at++) !== COMMA) return undefined;
    at = scanEntry(text, at, { tag, count });
    if (at === NOWHERE || ENTRY.index === NOWHERE) return undefined;
    named |= 1 << ENTRY.index;
    if (ENTRY.index === compared) digests = digestsIn(text);
  }
  return named === 2 ** count - 1 && ENDS.includes(text.slice(at)) ? digests : undefined;
}

const NO_DIGESTS: Digests = { body: undefined, attributes: undefined };

const digestsIn = (text: string): Digests => ({
  body: digestAt(text, ENTRY.body),
  attributes: digestAt(text, ENTRY.attributes),
});
const digestAt = (text: string, start: number): string | undefined =>
  start === NOWHERE ? undefined : text.slice(start, text.indexOf('"', start));

/** `{"key":"value",…}`: the place behind it. */
function scanEntry(text: string, start: number, { tag, count }: SentBatch): number {
  if (text.charCodeAt(start) !== OPEN) return NOWHERE;
  ENTRY.index = ENTRY.body = ENTRY.attributes = NOWHERE;
  let at = start;
  do {
    const key = at + 2;
    const keyEnd = text.indexOf('"', key);
    const value = keyEnd + 3;
    const valueEnd = text.indexOf('"', value);
    if (keyEnd === -1 || valueEnd === -1 || text.charCodeAt(at + 1) !== QUOTE) return NOWHERE;
    if (text.charCodeAt(keyEnd + 1) !== COLON || text.charCodeAt(keyEnd + 2) !== QUOTE) return NOWHERE;
    if (isKey('Id', text, key, keyEnd)) {
      const isOurs = valueEnd - value === ENTRY_ID_LENGTH && text.startsWith(tag, value);
      ENTRY.index = isOurs ? (entryIndexAt(text, value, count) ?? NOWHERE) : NOWHERE;
    } else if (isKey(BODY, text, key, keyEnd)) ENTRY.body = value;
    else if (isKey(ATTRIBUTES, text, key, keyEnd)) ENTRY.attributes = value;
    at = valueEnd + 1;
  } while (text.charCodeAt(at) === COMMA);
  return text.charCodeAt(at) === CLOSE ? at + 1 : NOWHERE;
}

const BODY = 'MD5OfMessageBody';
const ATTRIBUTES = 'MD5OfMessageAttributes';

const isKey = (key: string, text: string, start: number, end: number): boolean =>
  end - start === key.length && text.startsWith(key, start);
