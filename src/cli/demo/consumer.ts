// The demo's consumer: receives from the queues with the AWS SDK, as a user's own program would.
import {
  DeleteMessageBatchCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { setTimeout as sleep } from 'node:timers/promises';
import { wallMs } from '../../core/clock.ts';
import type { DemoAction, DemoChange } from './accounting.ts';

export type Received = {
  readonly change: DemoChange;
  readonly idempotencyKey: string;
  /** Commit to receive: both clocks are this machine's. */
  readonly latencyMs: number;
  /** Commit to the queue, as its `SentTimestamp` says it, which counts whole milliseconds. */
  readonly queuedMs: number;
  readonly record: Readonly<Record<string, unknown>>;
};

export type Consumer = {
  /** Resolves when every queue has answered, twice in a row, that it has nothing more; or at `close`. */
  untilEmpty(): Promise<void>;
  /** Rejects when receiving fails for another reason than `close`. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
};

export type ConsumerOptions = {
  readonly endpoint: string;
  readonly queues: readonly string[];
  readonly onMessage: (received: Received) => void;
};

const WAIT_SECONDS = 1;
const MAX_MESSAGES = 10;
const QUEUE_POLL_MS = 50;
/** The emulator takes any. */
export const DEMO_CREDENTIALS = { accessKeyId: 'demo', secretAccessKey: 'demo' } as const;
export const DEMO_REGION = 'us-east-1';

export function startConsumer(options: ConsumerOptions): Consumer {
  const client = new SQSClient({
    endpoint: options.endpoint,
    region: DEMO_REGION,
    credentials: DEMO_CREDENTIALS,
  });
  const controller = new AbortController();
  const { signal } = controller;
  /** Empty answers in a row, by queue. */
  const emptyAnswers = new Map(options.queues.map((queue) => [queue, 0]));
  const loops = options.queues.map(async (queue) => {
    const url = await queueUrl(client, queue, signal);
    while (!signal.aborted) {
      const count = await receiveOnce(client, url, options.onMessage, signal);
      emptyAnswers.set(queue, count === 0 ? emptyAnswers.get(queue)! + 1 : 0);
    }
  });
  const all = Promise.all(loops);
  const failed = new Promise<never>((_, fail) => {
    all.catch((error: unknown) => {
      if (!signal.aborted) fail(error instanceof Error ? error : new Error(String(error)));
    });
  });
  failed.catch(() => undefined);
  return {
    failed,
    untilEmpty: async () => {
      for (const queue of options.queues) emptyAnswers.set(queue, 0);
      while (!signal.aborted && [...emptyAnswers.values()].some((count) => count < 2)) {
        await sleep(QUEUE_POLL_MS);
      }
    },
    close: async () => {
      controller.abort();
      await Promise.allSettled(loops);
      client.destroy();
    },
  };
}

/** The service makes the queues when it starts. */
async function queueUrl(client: SQSClient, queue: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    try {
      const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName: queue }), {
        abortSignal: signal,
      });
      if (QueueUrl !== undefined) return QueueUrl;
    } catch (error) {
      if (signal.aborted || !(error instanceof Error) || error.name !== 'QueueDoesNotExist') throw error;
    }
    await sleep(QUEUE_POLL_MS, undefined, { signal });
  }
}

async function receiveOnce(
  client: SQSClient,
  url: string,
  onMessage: (received: Received) => void,
  signal: AbortSignal,
): Promise<number> {
  const receive = new ReceiveMessageCommand({
    QueueUrl: url,
    MaxNumberOfMessages: MAX_MESSAGES,
    WaitTimeSeconds: WAIT_SECONDS,
    MessageSystemAttributeNames: ['SentTimestamp'],
  });
  const { Messages: messages = [] } = await client.send(receive, { abortSignal: signal });
  const nowMs = wallMs();
  for (const { Body, Attributes } of messages) {
    onMessage(parseMessage(Body ?? '', { nowMs, sentMs: Number(Attributes?.SentTimestamp) }));
  }
  if (messages.length > 0) {
    const Entries = messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }));
    const { Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries }));
    if (Failed.length > 0) throw new Error(`${Failed.length} messages could not be deleted from ${url}`);
  }
  return messages.length;
}

/** Reads a message of format `tailrace`. */
export function parseMessage(
  body: string,
  { nowMs, sentMs }: { readonly nowMs: number; readonly sentMs: number },
): Received {
  const { action, record, metadata } = JSON.parse(body) as {
    action: DemoAction;
    record: { id: number; version?: number };
    metadata: { table_name: string; idempotency_key: string; commit_timestamp: string };
  };
  const committedMs = microTimestampMs(metadata.commit_timestamp);
  return {
    change: {
      table: metadata.table_name,
      id: record.id,
      action,
      version: action === 'delete' ? undefined : record.version,
    },
    idempotencyKey: metadata.idempotency_key,
    latencyMs: nowMs - committedMs,
    // On the average half of the millisecond that was cut off.
    queuedMs: sentMs + 0.5 - committedMs,
    record,
  };
}

/** Milliseconds with the microseconds that `Date` would drop: `2026-01-02T03:04:05.123456Z`. */
const microTimestampMs = (text: string): number =>
  Date.parse(`${text.slice(0, 23)}Z`) + Number(text.slice(23, 26)) / 1000;
