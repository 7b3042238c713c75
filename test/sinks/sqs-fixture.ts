// Sinks and messages for the tests of the SQS sink.
import { literal, plainJson } from '../../src/core/encoding.ts';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import type { Message } from '../../src/core/message.ts';
import type { Sink, SinkContext } from '../../src/sinks/sink.ts';
import type { SqsConfig } from '../../src/sinks/sqs-config.ts';
import { sqs } from '../../src/sinks/sqs.ts';
import { startSqsEmulator, type SqsEmulator } from '../support/fauxqs.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';

/** Never aborts. */
export const patient: AbortSignal = new AbortController().signal;

export const silent = pino({ enabled: false });

/** A sink with this destination; it closes with the test. */
export async function createSink(destination: object, context: Partial<SinkContext> = {}): Promise<Sink> {
  const config = parseConfig(destination);
  const sink = await sqs.create(config, { name: 'users', rewinds: 0, logger: silent, ...context });
  onTestFinished(() => sink.close());
  return sink;
}

/** Static credentials unless the destination says otherwise. */
export const parseConfig = (destination: object): SqsConfig =>
  sqs.config.parse({ type: 'sqs', ...STATIC, ...destination });

const STATIC = { access_key_id: 'test', secret_access_key: 'test' };

/** For a destination that finds its credentials elsewhere. */
export const NO_STATIC = { access_key_id: undefined, secret_access_key: undefined };

export async function emulator(): Promise<SqsEmulator> {
  const started = await startSqsEmulator();
  onTestFinished(() => started.stop());
  return started;
}

export async function recorder(options?: { createMissing?: boolean }): Promise<SqsRecorder> {
  const started = await startSqsRecorder(options);
  onTestFinished(() => started.stop());
  return started;
}

type MessageFields = Partial<Omit<Message, 'buffer' | 'start' | 'end' | 'jsonBytes'>> & {
  body?: string;
  index?: number;
};

/** The message of the `index`th insert of a transaction. */
export function message(fields: MessageFields = {}): Message {
  const { body, index = 0, ...rest } = fields;
  const { bytes: buffer, escapes } = literal(body ?? `{"record":{"id":${index}}}`, 'json-string');
  return {
    position: { epoch: 1, commitLsn: toLsn(100n), index },
    buffer,
    start: 0,
    end: buffer.length,
    jsonBytes: buffer.length - escapes,
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
export const bodyOf = ({ buffer, start, end }: Message): string =>
  plainJson(buffer.subarray(start, end), 'json-string').toString();
