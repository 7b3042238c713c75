// Messages as the core hands them to a sink, for the tests of sinks.
import { pino } from 'pino';
import { toLsn } from '../../src/core/lsn.ts';
import type { Message } from '../../src/core/message.ts';

/** Never aborts. */
export const patient: AbortSignal = new AbortController().signal;

export const silent = pino({ enabled: false });

export type MessageFields = Partial<Omit<Message, 'buffer' | 'start' | 'end'>> & {
  body?: string;
  index?: number;
};

/** The message of the `index`th insert of a transaction. */
export function message(fields: MessageFields = {}): Message {
  const { body, index = 0, ...rest } = fields;
  const buffer = Buffer.from(body ?? `{"record":{"id":${index}}}`);
  return {
    position: { epoch: 1, commitLsn: toLsn(100n), index },
    buffer,
    start: 0,
    end: buffer.length,
    group: `public.users:${index}`,
    route: 'users.fifo',
    action: 'insert',
    schema: 'public',
    table: 'users',
    idempotencyKey: `key-1-64-${index}`,
    groupId: undefined,
    ...rest,
  };
}

/** `count` messages with these fields. */
export const messages = (count: number, fields: MessageFields = {}): Message[] =>
  Array.from({ length: count }, (_, index) => message({ index, ...fields }));

export const bodiesOf = (list: readonly { readonly body: string }[]): string[] =>
  list.map(({ body }) => body);

export const bodyOf = ({ buffer, start, end }: Message): string => buffer.toString('utf8', start, end);
