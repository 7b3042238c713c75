// How SNS' batch requests and answers look on the wire (a form, XML), for the fault proxy and the recorder.
import { childOf, parseXml, textOf } from '../../src/sinks/aws/xml.ts';
import type { BatchEntry, BatchReply, Wire } from './fault-proxy.ts';

const NAMESPACE = 'http://sns.amazonaws.com/doc/2010-03-31/';
const MEMBER = /^PublishBatchRequestEntries\.member\.(\d+)\.(.+)$/;

/** Each entry's parameters, by their names inside the entry, in the order of the entries. */
export function membersOf(form: URLSearchParams): Map<string, string>[] {
  const members: Map<string, string>[] = [];
  for (const [name, value] of form) {
    const [, number, field] = MEMBER.exec(name) ?? [];
    if (number === undefined || field === undefined) continue;
    (members[Number(number) - 1] ??= new Map()).set(field, value);
  }
  return members.filter(() => true); // without holes
}

export const topicNameOf = (arn: string): string => arn.slice(arn.lastIndexOf(':') + 1);

const entryOf = (member: ReadonlyMap<string, string>): BatchEntry => {
  const group = member.get('MessageGroupId');
  const dedup = member.get('MessageDeduplicationId');
  return {
    Id: member.get('Id') ?? '',
    MessageBody: member.get('Message') ?? '',
    ...(group !== undefined && { MessageGroupId: group }),
    ...(dedup !== undefined && { MessageDeduplicationId: dedup }),
  };
};

export const snsWire: Wire = {
  contentType: 'text/xml',
  batchAction: 'PublishBatch',
  read(_, payload) {
    const form = new URLSearchParams(payload.toString());
    return {
      action: form.get('Action') ?? '',
      queue: topicNameOf(form.get('TopicArn') ?? form.get('Name') ?? ''),
      entries: membersOf(form).map(entryOf),
    };
  },
  withEntries(payload, entries) {
    const form = new URLSearchParams(payload.toString());
    const kept = new URLSearchParams([...form].filter(([name]) => !MEMBER.test(name)));
    const ids = new Set(entries.map(({ Id }) => Id));
    membersOf(form)
      .filter((member) => ids.has(member.get('Id') ?? ''))
      .forEach((member, index) => {
        for (const [field, value] of member) {
          kept.set(`PublishBatchRequestEntries.member.${index + 1}.${field}`, value);
        }
      });
    return Buffer.from(kept.toString());
  },
  readReply(payload) {
    const result = childOf(parseXml(payload.toString()), 'PublishBatchResult');
    const list = (name: string) => childOf(result, name)?.children ?? [];
    return {
      Successful: list('Successful').map((member) => ({ Id: textOf(member, 'Id')! })),
      Failed: list('Failed').map((member) => ({
        Id: textOf(member, 'Id')!,
        SenderFault: textOf(member, 'SenderFault') === 'true',
        Code: textOf(member, 'Code')!,
      })),
    };
  },
  writeReply: (reply) => resultXml('PublishBatch', batchResultXml(reply)),
  writeError: ({ code, message = code, status }) =>
    errorXml({ code, message, type: status < 500 ? 'Sender' : 'Receiver' }),
};

export const batchResultXml = ({ Successful = [], Failed = [] }: BatchReply): string =>
  `<Failed>${Failed.map(
    ({ Id, Code, Message = Code, SenderFault }) =>
      `<member><Id>${escapeXml(Id)}</Id><Code>${escapeXml(Code)}</Code><Message>${escapeXml(Message)}</Message><SenderFault>${SenderFault}</SenderFault></member>`,
  ).join('')}</Failed><Successful>${Successful.map(
    ({ Id }) => `<member><MessageId>made-up</MessageId><Id>${escapeXml(Id)}</Id></member>`,
  ).join('')}</Successful>`;

export const resultXml = (action: string, result: string): string =>
  `<${action}Response xmlns="${NAMESPACE}">\n  <${action}Result>${result}</${action}Result>\n  <ResponseMetadata>\n    <RequestId>made-up</RequestId>\n  </ResponseMetadata>\n</${action}Response>`;

export const errorXml = (error: {
  readonly code: string;
  readonly message: string;
  readonly type: string;
}): string =>
  `<ErrorResponse xmlns="${NAMESPACE}">\n  <Error>\n    <Type>${error.type}</Type>\n    <Code>${escapeXml(error.code)}</Code>\n    <Message>${escapeXml(error.message)}</Message>\n  </Error>\n  <RequestId>made-up</RequestId>\n</ErrorResponse>`;

export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
