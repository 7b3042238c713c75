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

/** What stands before a value. Its last place is where it counts: before it are the row's values, which may say the same. */
class Mark {
  readonly text: string;
  /** How far from the end it was in the last message, or about that. */
  #fromEnd = 0;

  constructor(text: string) {
    this.text = text;
  }

  get length(): number {
    return this.text.length;
  }

  /** -1: there is none. A search from the end looks at each character, most of which no processor's cache has any more. */
  lastPlace(body: string): number {
    const { text } = this;
    const likely = body.length - this.#fromEnd;
    // It is longer than that: no other can be so near.
    for (let off = 0; off <= MOST_OFF; off++) {
      if (body.startsWith(text, likely - off)) return likely - off;
      if (body.startsWith(text, likely + off)) return likely + off;
    }
    const place = body.lastIndexOf(text);
    if (place !== -1) this.#fromEnd = body.length - place;
    return place;
  }
}

/** Numbers have more digits than before, or fewer. */
const MOST_OFF = 4;

/** As they stand in a message, or in a request, where the message is a string of JSON. */
const marksWith = (quote: string) => ({
  record: `{${quote}record${quote}:{${quote}id${quote}:`,
  commitLsn: new Mark(`${quote}commit_lsn${quote}:`),
  commitIndex: `,${quote}commit_idx${quote}:`,
  key: new Mark(`${quote}idempotency_key${quote}:${quote}`),
  action: new Mark(`${quote}action${quote}:${quote}`),
  commitTimestamp: `${quote}commit_timestamp${quote}:${quote}`,
  quote,
});
type Marks = ReturnType<typeof marksWith>;
const PLAIN = marksWith('"');
const ESCAPED = marksWith('\\"');
const marksOf = (body: string): Marks => (body[1] === '\\' ? ESCAPED : PLAIN);

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

/** Reads `body`, escaped or not, into `message`; false when it is no such message. */
export function readMessage(body: string, message: ReadMessage): boolean {
  const marks = marksOf(body);
  if (!body.startsWith(marks.record)) return false;
  const lsnAt = marks.commitLsn.lastPlace(body);
  const keyAt = marks.key.lastPlace(body);
  const actionAt = marks.action.lastPlace(body);
  if (lsnAt === -1 || keyAt === -1 || actionAt === -1) return false;
  message.id = numberAt(body, marks.record.length);
  message.commitLsn = numberAt(body, lsnAt + marks.commitLsn.length);
  if (!body.startsWith(marks.commitIndex, numberEnd)) return false;
  message.index = numberAt(body, numberEnd + marks.commitIndex.length);
  message.action = body[actionAt + marks.action.length]!;
  const keyStart = keyAt + marks.key.length;
  message.key = body.slice(keyStart, body.indexOf(marks.quote, keyStart));
  return !Number.isNaN(message.id + message.commitLsn + message.index);
}

/** Milliseconds since 1970 with a fraction, of a message that `readMessage` took. */
export function commitTimeOf(body: string): number {
  const { commitTimestamp, quote } = marksOf(body);
  const start = body.lastIndexOf(commitTimestamp) + commitTimestamp.length;
  const text = body.slice(start, body.indexOf(quote, start));
  // Date.parse knows milliseconds only.
  const [seconds, fraction] = text.slice(0, -1).split('.');
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction ?? '0'}`) * 1000;
}
