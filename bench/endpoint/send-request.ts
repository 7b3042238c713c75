// The entries of a SendMessageBatch, found in the request's text without parsing it: the endpoint must cost less than what it measures,
// on cores that all share. Hot file.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html

export type SentEntry = {
  readonly id: string;
  readonly group: string;
  readonly dedup: string;
  /** The message's body as it stands in the request: still escaped, as a string of JSON without its quotes. */
  readonly escaped: string;
};

export type SendRequest = { readonly queueUrl: string; readonly entries: readonly SentEntry[] };

const START = '{"QueueUrl":"';
const ENTRIES = '","Entries":[';
const ID = '{"Id":"';
/** What ends a text before the next name. */
const BEFORE_NAME = '","';
/** Looked for from their first letter, which is rare: a quote is not. */
const BODY = 'MessageBody":"';
const GROUP = 'MessageGroupId":"';
const DEDUP = 'MessageDeduplicationId":"';
const ENTRY_END = '"}';
const END = ']}';

/** Of the body of a request, whoever wrote it; throws where it is none. */
export const readSendRequest = (body: string): SendRequest => scanned(body) ?? parsed(body);

/** The message as it was before it was put into the request. */
export const unescaped = (escaped: string): string => JSON.parse(`"${escaped}"`) as string;

/**
 * As Tailrace and the SDK write it, with ids that have nothing to escape; undefined: it looks otherwise. Inside of a string a quote has a
 * backslash before it, so that none of the parts that are looked for stands in one.
 */
function scanned(body: string): SendRequest | undefined {
  if (!body.startsWith(START)) return undefined;
  const urlEnd = body.indexOf(ENTRIES, START.length);
  const entries: SentEntry[] = [];
  let at = urlEnd + ENTRIES.length;
  let idEnd = endBefore(BODY, body, at);
  if (urlEnd === -1) return undefined;
  while (body.startsWith(ID, at)) {
    const bodyAt = idEnd + BEFORE_NAME.length + BODY.length;
    const bodyEnd = endBefore(GROUP, body, bodyAt);
    const groupAt = bodyEnd + BEFORE_NAME.length + GROUP.length;
    const groupEnd = endBefore(DEDUP, body, groupAt);
    const dedupAt = groupEnd + BEFORE_NAME.length + DEDUP.length;
    const dedupEnd = body.indexOf(ENTRY_END, dedupAt);
    const next = endBefore(BODY, body, bodyAt);
    // What lacks a part would be found to end in the entry behind it.
    const isWhole = idEnd !== -1 && bodyEnd !== -1 && groupEnd !== -1 && dedupEnd !== -1;
    if (!isWhole || (next !== -1 && next < dedupEnd)) return undefined;
    const id = body.slice(at + ID.length, idEnd);
    const group = body.slice(groupAt, groupEnd);
    const dedup = body.slice(dedupAt, dedupEnd);
    if (!isPlain(id) || !isPlain(group) || !isPlain(dedup)) return undefined;
    entries.push({ id, group, dedup, escaped: body.slice(bodyAt, bodyEnd) });
    at = dedupEnd + ENTRY_END.length;
    if (body[at] !== ',') break;
    at++;
    idEnd = next;
  }
  if (!body.startsWith(END, at) || at + END.length !== body.length) return undefined;
  return { queueUrl: body.slice(START.length, urlEnd), entries };
}

/** Where the text before this name ends; -1: there is no such name behind a text. */
function endBefore(name: string, body: string, from: number): number {
  const end = body.indexOf(name, from) - BEFORE_NAME.length;
  return end >= 0 && body.startsWith(BEFORE_NAME, end) ? end : -1;
}

/** Is it one string, without escapes? */
const isPlain = (text: string): boolean => !text.includes('\\') && !text.includes('"');

type SqsEntry = {
  readonly Id: string;
  readonly MessageBody: string;
  readonly MessageGroupId?: string;
  readonly MessageDeduplicationId?: string;
};

function parsed(body: string): SendRequest {
  const { QueueUrl, Entries } = JSON.parse(body) as { QueueUrl: string; Entries: readonly SqsEntry[] };
  const entries = Entries.map(({ Id, MessageBody, MessageGroupId = '', MessageDeduplicationId = '' }) => ({
    id: Id,
    group: MessageGroupId,
    dedup: MessageDeduplicationId,
    escaped: JSON.stringify(MessageBody).slice(1, -1),
  }));
  return { queueUrl: QueueUrl, entries };
}
