// The stand-in for SQS on the wire: the actions that a sender needs, in AWS' JSON protocol, and as little else as can
// be. What it accepts it gives to the queues' accounting. Hot file.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import { hash } from 'node:crypto';
import type { Socket } from 'node:net';
import { startHttpServer, type BenchRequest, type Reply, type ServerCertificate } from './http.ts';
import type { Network } from './protocol.ts';
import type { BenchQueue } from './queue.ts';

const ACCOUNT = '000000000000';
/** A queue that rows name is accounted for with its like: `bench-17.fifo` with `bench.fifo`. */
const ROUTED = /-\d+(?=\.fifo$)/;
const MAX_ENTRIES = 10;
const MAX_BYTES = 1_048_576;

const SEND_TARGET = /\r\nx-amz-target: *AmazonSQS\.SendMessageBatch\r\n/i;
/** The SDK compares every hash, we that of the shortest: others would be a fifth of the endpoint's work, on cores that all share. */
const SDK_USER_AGENT = /\r\nuser-agent: *aws-sdk/i;
const ATTRIBUTES = { FifoQueue: 'true', MaximumMessageSize: String(MAX_BYTES) };

type Entry = {
  readonly Id: string;
  readonly MessageBody: string;
  readonly MessageGroupId?: string;
  readonly MessageDeduplicationId?: string;
};
type SqsRequest = {
  readonly QueueUrl?: string;
  readonly QueueName?: string;
  readonly Entries?: readonly Entry[];
};

/** Jitter: answers take up to a quarter more or less. */
const JITTER = 0.5;

/** What the server asks of a queue. */
export type ServedQueue = Pick<BenchQueue, 'mode' | 'requests' | 'throttled' | 'cut' | 'accept'>;

export type EndpointServer = {
  readonly url: string;
  /** The same queues over TLS, where there is a certificate. */
  readonly tlsUrl?: string;
  network: Network;
  /** Cuts the connections of requests that were left without an answer. */
  dropStalled(): void;
};

/** Listens on a free port of the loopback; every queue exists, as a FIFO queue. */
export async function startEndpointServer(
  queueOf: (name: string) => ServedQueue,
  certificate?: ServerCertificate,
): Promise<EndpointServer> {
  const stalled = new Set<Socket>();
  const limit = new RateLimit();
  let requests = 0;
  const server: EndpointServer = {
    url: '',
    network: { rttMs: 0 },
    dropStalled: () => {
      for (const socket of stalled) socket.destroy();
    },
  };
  const listen = async (over?: ServerCertificate): Promise<string> => {
    const url = await startHttpServer((request, reply) => {
      const { rttMs } = server.network;
      if (rttMs === 0) return serve(url, request, reply);
      setTimeout(() => serve(url, request, reply), rttMs * (1 - JITTER / 2 + Math.random() * JITTER));
    }, over);
    return url;
  };
  /** `url`: the listener's, which the queues' own begin with. */
  function serve(url: string, { head, body }: BenchRequest, reply: Reply): void {
    const request = JSON.parse(body) as SqsRequest;
    if (!SEND_TARGET.test(head)) {
      const name = request.QueueName ?? nameOf(request.QueueUrl ?? '');
      // GetQueueUrl, CreateQueue and GetQueueAttributes each look for their own part.
      const QueueUrl = `${url}/${ACCOUNT}/${name}`;
      return reply.send(200, JSON.stringify({ QueueUrl, Attributes: ATTRIBUTES }));
    }
    const queue = queueOf(nameOf(request.QueueUrl!).replace(ROUTED, ''));
    if (queue.mode === 'stalled') {
      stalled.add(reply.socket);
      reply.socket.once('close', () => stalled.delete(reply.socket));
      return;
    }
    if (queue.mode === 'refusing') return reply.send(503, errorOf('ServiceUnavailable'));
    if (request.Entries!.length > MAX_ENTRIES || body.length > 2 * MAX_BYTES) {
      return reply.send(400, errorOf('BatchRequestTooLong'));
    }
    const { perSecond, cutOneIn } = server.network;
    if (cutOneIn !== undefined && ++requests % cutOneIn === 0) {
      queue.cut++;
      reply.socket.destroy();
      return;
    }
    if (perSecond !== undefined && !limit.takes(request.Entries!.length, perSecond)) {
      queue.throttled++;
      return reply.send(400, errorOf('RequestThrottled'));
    }
    return reply.send(200, accept(queue, request.Entries!, SDK_USER_AGENT.test(head)));
  }
  const url = await listen();
  return Object.assign(server, {
    url,
    ...(certificate !== undefined && { tlsUrl: await listen(certificate) }),
  });
}

/** A bucket that holds a second's worth. */
class RateLimit {
  #left = 0;
  #atMs = Number.NEGATIVE_INFINITY;

  takes(messages: number, perSecond: number): boolean {
    const nowMs = performance.now();
    this.#left = Math.min(perSecond, this.#left + ((nowMs - this.#atMs) * perSecond) / 1000);
    this.#atMs = nowMs;
    if (this.#left < messages) return false;
    this.#left -= messages;
    return true;
  }
}

/** Every entry is accepted; whether it should have come is the accounting's business. Returns the answer. */
function accept(queue: ServedQueue, entries: readonly Entry[], withHashes: boolean): string {
  queue.requests++;
  let text = '{"Successful":[';
  const shortest = entries.reduce((least, { MessageBody }) => Math.min(least, MessageBody.length), Infinity);
  for (let i = 0; i < entries.length; i++) {
    const { Id, MessageBody, MessageGroupId = '', MessageDeduplicationId = '' } = entries[i]!;
    queue.accept(MessageGroupId, MessageDeduplicationId, MessageBody);
    const md5 =
      withHashes || MessageBody.length === shortest
        ? `,"MD5OfMessageBody":"${hash('md5', MessageBody)}"`
        : '';
    text += `${i === 0 ? '' : ','}{"Id":"${Id}","MessageId":"${queue.requests}-${i}"${md5}}`;
  }
  return `${text}],"Failed":[]}`;
}

const errorOf = (code: string): string => `{"__type":"com.amazonaws.sqs#${code}","message":"${code}"}`;

const nameOf = (url: string): string => url.slice(url.lastIndexOf('/') + 1);
