// The answer to a receive request, put together from the messages' own bytes: {"data":[{"ack_id":"…","data":{…}},…]}
// https://sequinstream.com/docs/reference/sequin-stream-api/receive
import type { Message } from '../../core/message.ts';

const OPEN = Buffer.from('{"data":[');
const BEFORE_ID = Buffer.from('{"ack_id":"');
const BEFORE_DATA = Buffer.from('","data":');
const CLOSE = Buffer.from(']}');
const COMMA = 0x2c;
const CLOSE_BRACE = 0x7d;

export type AnswerMessage = { readonly id: string; readonly message: Message };

/** At least one message. Bytes of their own, so that they can be handed to another thread. Ids are plain ASCII. */
export function answerOf(messages: readonly AnswerMessage[]): Uint8Array<ArrayBuffer> {
  const around = BEFORE_ID.length + BEFORE_DATA.length + 1;
  let size = OPEN.length + CLOSE.length + messages.length - 1;
  for (const { id, message } of messages) size += around + id.length + message.end - message.start;
  const answer = Buffer.from(new ArrayBuffer(size));
  let at = OPEN.copy(answer);
  for (const [index, { id, message }] of messages.entries()) {
    if (index > 0) answer[at++] = COMMA;
    at += BEFORE_ID.copy(answer, at);
    at += answer.write(id, at, 'latin1');
    at += BEFORE_DATA.copy(answer, at);
    at += message.buffer.copy(answer, at, message.start, message.end);
    answer[at++] = CLOSE_BRACE;
  }
  CLOSE.copy(answer, at);
  return answer;
}
