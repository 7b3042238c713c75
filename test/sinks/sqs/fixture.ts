// Sinks and endpoints for the tests of the SQS sink.
import { onTestFinished } from 'vitest';
import type { SinkContext } from '../../../src/sinks/sink.ts';
import type { SqsConfig } from '../../../src/sinks/sqs/config.ts';
import { sqs } from '../../../src/sinks/sqs/sqs.ts';
import type { SinkHarness, SinkServer } from '../../sink-suite.ts';
import { asFault, startFaultProxy } from '../../support/fault-proxy.ts';
import { startSqsEmulator, type SqsEmulator } from '../../support/fauxqs.ts';
import { bodiesOf, direct, silent, type DirectSink } from '../../support/messages.ts';
import { startSqsRecorder, type SqsRecorder } from '../../support/sqs-recorder.ts';

/** A sink with this destination; it closes with the test. */
export async function createSink(
  destination: object,
  context: Partial<SinkContext> = {},
): Promise<DirectSink> {
  const config = parseConfig(destination);
  const sink = await sqs.create(config, { name: 'users', rewinds: 0, logger: silent, ...context });
  onTestFinished(() => sink.close());
  return direct(sink);
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

/** For the suite of every sink: a recorder, with a fault proxy before it. */
export const sqsHarness: SinkHarness = {
  type: 'sqs',
  impatient: { timeout: '900ms' },
  absorbsRepeats: true,
  start: startServer,
};

const QUEUE = 'users.fifo';

async function startServer(): Promise<SinkServer> {
  const queues = await recorder();
  queues.createQueue(QUEUE);
  const proxy = await startFaultProxy(queues.url);
  onTestFinished(() => proxy.stop());
  return {
    url: proxy.url,
    destination: { ...STATIC, queue_name: QUEUE, emulator_base_url: proxy.url },
    received: () => bodiesOf(queues.messages),
    failNext: (fault) => proxy.failNext(asFault(fault)),
    poison(text) {
      proxy.decide = ({ entries }) =>
        entries.some(({ MessageBody }) => MessageBody.includes(text))
          ? { kind: 'error', status: 400, code: 'InvalidMessageContents', message: `not ${text}` }
          : undefined;
    },
    limitMessages: (bytes) => void queues.createQueue(QUEUE, { MaximumMessageSize: String(bytes) }),
    get hanging() {
      return proxy.counts.hanging;
    },
    down: () => proxy.down(),
    up: () => proxy.up(),
  };
}
