// What the accounting reads of a message, without parsing it: the endpoint must cost less than what it measures.
// Hot file: plain loops on purpose.

/** A message of format `sequin`, or of the plain client, which has the same members. */
export type ReadMessage = {
  id: number;
  commitLsn: number;
  index: number;
  /** First letter of the action: i, u or d. */
  action: string;
  key: string;
};

const RECORD_START = '{"record":{"id":';
const COMMIT_LSN = '"commit_lsn":';
const COMMIT_INDEX = ',"commit_idx":';
const KEY = '"idempotency_key":"';
const ACTION = '"action":"';
const COMMIT_TIMESTAMP = '"commit_timestamp":"';

const ZERO = 0x30;
const NINE = 0x39;

/** Where the last number read ended. */
let numberEnd = 0;

/** The whole number at `start`; NaN when there is none. */
function numberAt(text: string, start: number): number {
  let value = 0;
  let at = start;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < ZERO || code > NINE) break;
    value = value * 10 + (code - ZERO);
  }
  numberEnd = at;
  return at === start ? Number.NaN : value;
}

/** Reads `body` into `message`; false when it is no such message. Looks from the end, where the row's values are not. */
export function readMessage(body: string, message: ReadMessage): boolean {
  if (!body.startsWith(RECORD_START)) return false;
  const lsnAt = body.lastIndexOf(COMMIT_LSN);
  const keyAt = body.lastIndexOf(KEY, lsnAt);
  const actionAt = body.lastIndexOf(ACTION, lsnAt);
  if (lsnAt === -1 || keyAt === -1 || actionAt === -1) return false;
  message.id = numberAt(body, RECORD_START.length);
  message.commitLsn = numberAt(body, lsnAt + COMMIT_LSN.length);
  if (!body.startsWith(COMMIT_INDEX, numberEnd)) return false;
  message.index = numberAt(body, numberEnd + COMMIT_INDEX.length);
  message.action = body[actionAt + ACTION.length]!;
  const keyStart = keyAt + KEY.length;
  message.key = body.slice(keyStart, body.indexOf('"', keyStart));
  return !Number.isNaN(message.id + message.commitLsn + message.index);
}

/** Milliseconds since 1970 with a fraction, of a message that `readMessage` took. */
export function commitTimeOf(body: string): number {
  const start = body.lastIndexOf(COMMIT_TIMESTAMP) + COMMIT_TIMESTAMP.length;
  const text = body.slice(start, body.indexOf('"', start));
  // Date.parse knows milliseconds only.
  const [seconds, fraction] = text.slice(0, -1).split('.');
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction ?? '0'}`) * 1000;
}
