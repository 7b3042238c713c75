// The answer to a PublishBatch, read from its XML.
// https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
import type { BatchReply } from '../aws/reply.ts';
import { childOf, textOf, type XmlElement } from '../aws/xml.ts';

/** `<Successful><member><Id>0</Id>…</member></Successful><Failed/>`; a list that would be empty may be left out. */
export const readPublishReply = (result: XmlElement): BatchReply => ({
  successful: membersOf(result, 'Successful').map((member) => ({ id: textOf(member, 'Id') })),
  failed: membersOf(result, 'Failed').map((member) => ({
    id: textOf(member, 'Id'),
    code: textOf(member, 'Code'),
    senderFault: textOf(member, 'SenderFault') === 'true',
  })),
});

const membersOf = (result: XmlElement, list: string): readonly XmlElement[] =>
  childOf(result, list)?.children.filter(({ name }) => name === 'member') ?? [];
