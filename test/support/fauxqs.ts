// An SQS and SNS emulator inside the test's own process, with what tests ask of it.
import { ListTopicsCommand, SNSClient } from '@aws-sdk/client-sns';
import { startFauxqs } from 'fauxqs';
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { FAKE_AWS_CLIENT } from './service.ts';
import { waitFor } from './wait.ts';

export type ReceivedMessage = {
  readonly body: string;
  readonly group: string | undefined;
  readonly dedup: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
};

export type SqsEmulator = {
  /** The endpoint, for `emulator_base_url`. */
  readonly url: string;
  /** Makes a queue (`.fifo`: a FIFO queue); returns its URL. */
  createQueue(name: string, attributes?: Readonly<Record<string, string>>): string;
  deleteQueue(name: string): void;
  queueAttributes(name: string): Readonly<Record<string, string>> | undefined;
  /** Makes an SNS topic (`.fifo`: a FIFO topic). */
  createTopic(name: string): void;
  /** Waits until somebody has made this SNS topic. */
  topicIsThere(name: string): Promise<void>;
  /** From now on messages of an SNS topic that exists go to this queue too. */
  subscribe(options: {
    readonly topic: string;
    readonly queue: string;
    /** `RawMessageDelivery`, `FilterPolicy`, … */
    readonly attributes?: Readonly<Record<string, string>>;
  }): void;
  /** Everything in the queue, in its order; nothing is taken out. */
  messagesOf(name: string): ReceivedMessage[];
  /** Puts a proxy with programmable faults in front. It stops with the emulator. */
  proxy(): Promise<FaultProxy>;
  stop(): Promise<void>;
};

/**
 * Starts fauxqs on a free port. It refuses characters above U+FFFF (SQS takes them): use the recorder for those.
 * Any credentials do.
 */
export async function startSqsEmulator(): Promise<SqsEmulator> {
  const server = await startFauxqs({ port: 0, logger: false });
  const proxies: FaultProxy[] = [];
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    createQueue(name, attributes = {}) {
      const fifo = name.endsWith('.fifo') ? { FifoQueue: 'true' } : {};
      return server.createQueue(name, { attributes: { ...fifo, ...attributes } }).queueUrl;
    },
    deleteQueue: (name) => server.deleteQueue(name),
    queueAttributes: (name) => server.inspectQueue(name)?.attributes,
    createTopic(name) {
      server.createTopic(name, { attributes: name.endsWith('.fifo') ? { FifoTopic: 'true' } : {} });
    },
    async topicIsThere(name) {
      const client = new SNSClient({ endpoint: url, ...FAKE_AWS_CLIENT });
      await waitFor(async () => {
        const { Topics = [] } = await client.send(new ListTopicsCommand());
        return Topics.some(({ TopicArn }) => TopicArn?.endsWith(`:${name}`));
      }, `the topic ${name}`);
      client.destroy();
    },
    subscribe: ({ topic, queue, attributes = {} }) => server.subscribe({ topic, queue, attributes }),
    messagesOf(name) {
      const { messages } = server.inspectQueue(name) ?? { messages: { ready: [] } };
      // The emulator keeps a FIFO queue's messages by group: sequence numbers give back the order of arrival.
      const inOrder = messages.ready.toSorted((a, b) =>
        (a.sequenceNumber ?? '').localeCompare(b.sequenceNumber ?? ''),
      );
      return inOrder.map((message) => ({
        body: message.body,
        group: message.messageGroupId,
        dedup: message.messageDeduplicationId,
        attributes: Object.fromEntries(
          Object.entries(message.messageAttributes).map(([name, { StringValue }]) => [
            name,
            StringValue ?? '',
          ]),
        ),
      }));
    },
    async proxy() {
      const proxy = await startFaultProxy(url);
      proxies.push(proxy);
      return proxy;
    },
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await server.stop();
    },
  };
}
