// Messages as the core hands them to a sink, for the tests of sinks.
import { pino } from 'pino';
import { literal, type MessageEncoding } from '../../src/core/encoding.ts';
import { toLsn } from '../../src/core/lsn.ts';
import type { Outcome } from '../../src/core/errors.ts';
import type { Message } from '../../src/core/message.ts';
import { blamesBatch, isolate } from '../../src/pipeline/delivery/isolation.ts';
import type { Sink } from '../../src/sinks/sink.ts';

/** Never aborts. */
export const patient: AbortSignal = new AbortController().signal;

export const silent = pino({ enabled: false });

export type MessageFields = Partial<Omit<Message, 'buffer' | 'start' | 'end' | 'jsonBytes'>> & {
  body?: string;
  index?: number;
};

/** The message of the `index`th insert of a transaction. */
export function message(fields: MessageFields = {}): Message {
  const { body, index = 0, idempotencyKey = `key-1-64-${index}`, ...rest } = fields;
  const buffer = Buffer.from(body ?? `{"record":{"id":${index}}}`);
  return {
    position: { epoch: 1, commitLsn: toLsn(100n), index },
    buffer,
    start: 0,
    end: buffer.length,
    jsonBytes: buffer.length,
    group: `public.users:${index}`,
    route: 'users.fifo',
    action: 'insert',
    schema: 'public',
    table: 'users',
    idempotencyKey,
    writeKey: (writer) => writer.latin1(idempotencyKey),
    groupId: undefined,
    commitTimeUs: 1_700_000_000_000_000n,
    row: undefined,
    ...rest,
  };
}

/** The message as a sink with this encoding gets it. */
export function encoded(message: Message, encoding: MessageEncoding | undefined): Message {
  const { bytes: buffer } = literal(bodyOf(message), encoding ?? 'json');
  return { ...message, buffer, start: 0, end: buffer.length };
}

/** A sink as tests use it. */
export type DirectSink = Pick<Sink, 'sizeOf' | 'routeOf' | 'check' | 'close'> & {
  /** One request, as the sink answers it. */
  request(batch: readonly Message[], signal: AbortSignal): Promise<readonly Outcome[]>;
  /** As the core delivers a batch: where the sink blames the whole of it, the culprit is looked for. */
  deliver(batch: readonly Message[], signal: AbortSignal): Promise<readonly Outcome[]>;
};

/** Takes messages as plain JSON, whatever encoding the sink asks for, and delivers them where the sink says. */
export function direct(sink: Sink): DirectSink {
  const request: DirectSink['request'] = (batch, signal) =>
    sink.deliver(
      batch.map((message) => encoded(message, sink.encoding)),
      signal,
      sink.routeOf(batch[0]!)!,
    );
  return {
    sizeOf: (message) => sink.sizeOf(message),
    routeOf: (input) => sink.routeOf(input),
    check: (signal, options) => sink.check(signal, options),
    close: () => sink.close(),
    request,
    async deliver(batch, signal) {
      const outcomes = await request(batch, signal);
      if (!blamesBatch(outcomes)) return outcomes;
      const answers = await isolate(batch, outcomes, (part) => request(part, signal));
      return answers.filter((answer) => answer !== 'unknown');
    },
  };
}

/** `count` messages with these fields. */
export const messages = (count: number, fields: MessageFields = {}): Message[] =>
  Array.from({ length: count }, (_, index) => message({ index, ...fields }));

export const bodiesOf = (list: readonly { readonly body: string }[]): string[] =>
  list.map(({ body }) => body);

export const bodyOf = ({ buffer, start, end }: Message): string => buffer.toString('utf8', start, end);
