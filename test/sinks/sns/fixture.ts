// Sinks and endpoints for the tests of the SNS sink.
import { onTestFinished } from 'vitest';
import type { SinkContext } from '../../../src/sinks/sink.ts';
import type { SnsConfig } from '../../../src/sinks/sns/config.ts';
import { sns } from '../../../src/sinks/sns/sns.ts';
import type { SinkHarness, SinkServer } from '../../sink-suite.ts';
import { asFault, startFaultProxy, type FaultProxy } from '../../support/fault-proxy.ts';
import { bodiesOf, direct, silent, type DirectSink } from '../../support/messages.ts';
import { startSnsRecorder, type SnsRecorder } from '../../support/sns-recorder.ts';
import { snsWire } from '../../support/sns-wire.ts';

const STATIC = { access_key_id: 'test', secret_access_key: 'test' };

/** A sink with this destination; it closes with the test. */
export async function createSink(
  destination: object,
  context: Partial<SinkContext> = {},
): Promise<DirectSink> {
  const sink = await sns.create(parseConfig(destination), {
    name: 'users',
    rewinds: 0,
    logger: silent,
    ...context,
  });
  onTestFinished(() => sink.close());
  return direct(sink);
}

/** Static credentials unless the destination says otherwise. */
export const parseConfig = (destination: object): SnsConfig =>
  sns.config.parse({ type: 'sns', ...STATIC, ...destination });

export async function recorder(): Promise<SnsRecorder> {
  const started = await startSnsRecorder();
  onTestFinished(() => started.stop());
  return started;
}

export async function proxyBefore(url: string): Promise<FaultProxy> {
  const proxy = await startFaultProxy(url, snsWire);
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** For the suite of every sink: a recorder, with a fault proxy before it. */
export const snsHarness: SinkHarness = {
  type: 'sns',
  impatient: { timeout: '900ms' },
  absorbsRepeats: true,
  start: startServer,
};

const TOPIC = 'users.fifo';

async function startServer(): Promise<SinkServer> {
  const topics = await recorder();
  const topicArn = topics.createTopic(TOPIC);
  const proxy = await proxyBefore(topics.url);
  return {
    url: proxy.url,
    destination: { ...STATIC, topic_arn: topicArn, emulator_base_url: proxy.url },
    received: () => bodiesOf(topics.messages),
    failNext: (fault) => proxy.failNext(asFault(fault)),
    poison(text) {
      proxy.decide = ({ entries }) =>
        entries.some(({ MessageBody }) => MessageBody.includes(text))
          ? { kind: 'error', status: 400, code: 'InvalidMessageContents', message: `not ${text}` }
          : undefined;
    },
    limitMessages: (bytes) => void topics.createTopic(TOPIC, { MaximumMessageSize: String(bytes) }),
    get hanging() {
      return proxy.counts.hanging;
    },
    down: () => proxy.down(),
    up: () => proxy.up(),
  };
}
