// The answer to a SendMessageBatch as SQS writes it when all went well, read without making values of all that is in it: each
// request has one, and little of it is of use here. Hot file (bench/micro/sqs.ts). What looks otherwise is left to `reply.ts`.
import type { BatchReply } from '../aws/reply.ts';
import type { Digests } from './digests.ts';

const BEGINNINGS = ['{"Failed":[],"Successful":[', '{"Successful":['];
const ENDS = [']}', '],"Failed":[]}'];

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;

type Entry = {
  id: string | undefined;
  digests: { body: string | undefined; attributes: string | undefined };
};

/** As `readSendReply` reads it; undefined where it has failures, escapes, blanks or anything else that is not expected. */
export function scanSendReply(body: Buffer): BatchReply<{ readonly digests: Digests }> | undefined {
  const text = body.toString('latin1');
  const beginning = BEGINNINGS.find((begin) => text.startsWith(begin));
  if (beginning === undefined || text.includes('\\')) return undefined;
  const successful: Entry[] = [];
  let at = beginning.length;
  do {
    const entry: Entry = { id: undefined, digests: { body: undefined, attributes: undefined } };
    at = scanEntry(text, at, entry);
    successful.push(entry);
  } while (at !== NOWHERE && text.charCodeAt(at++) === COMMA);
  return at !== NOWHERE && ENDS.includes(text.slice(at - 1)) ? { successful, failed: [] } : undefined;
}

const NOWHERE = -1;

/** `{"key":"value",…}`: the place behind it. */
function scanEntry(text: string, start: number, entry: Entry): number {
  if (text.charCodeAt(start) !== OPEN) return NOWHERE;
  let at = start;
  do {
    const key = at + 2;
    const keyEnd = text.indexOf('"', key);
    const value = keyEnd + 3;
    const valueEnd = text.indexOf('"', value);
    if (keyEnd === -1 || valueEnd === -1 || text.charCodeAt(at + 1) !== QUOTE) return NOWHERE;
    if (text.charCodeAt(keyEnd + 1) !== COLON || text.charCodeAt(keyEnd + 2) !== QUOTE) return NOWHERE;
    if (isKey('Id', text, key, keyEnd)) entry.id = text.slice(value, valueEnd);
    else if (isKey(BODY, text, key, keyEnd)) entry.digests.body = text.slice(value, valueEnd);
    else if (isKey(ATTRIBUTES, text, key, keyEnd)) entry.digests.attributes = text.slice(value, valueEnd);
    at = valueEnd + 1;
  } while (text.charCodeAt(at) === COMMA);
  return text.charCodeAt(at) === CLOSE ? at + 1 : NOWHERE;
}

const BODY = 'MD5OfMessageBody';
const ATTRIBUTES = 'MD5OfMessageAttributes';

const isKey = (key: string, text: string, start: number, end: number): boolean =>
  end - start === key.length && text.startsWith(key, start);
