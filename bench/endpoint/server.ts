// The stand-in for SQS on the wire: the actions that a sender needs, in AWS' JSON protocol, and as little else as can
// be. What it accepts it gives to the queues' accounting. Hot file.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import { hash } from 'node:crypto';
import type { Socket } from 'node:net';
import { startHttpServer, type BenchRequest, type Reply, type ServerCertificate } from './http.ts';
import type { Network } from './protocol.ts';
import type { BenchQueue } from './queue.ts';
import { readSendRequest, unescaped, type SentEntry } from './send-request.ts';

const ACCOUNT = '000000000000';
/** A queue that rows name is accounted for with its like: `bench-17.fifo` with `bench.fifo`. */
const ROUTED = /-\d+(?=\.fifo$)/;
const MAX_ENTRIES = 10;
const MAX_BYTES = 1_048_576;

const SEND_TARGET = /\r\nx-amz-target: *AmazonSQS\.SendMessageBatch\r\n/i;
/** The SDK compares every hash, we that of the shortest: others would be a fifth of the endpoint's work, on cores that all share. */
const SDK_USER_AGENT = /\r\nuser-agent: *aws-sdk/i;
const ATTRIBUTES = { FifoQueue: 'true', MaximumMessageSize: String(MAX_BYTES) };

/** What the other actions say of the queue. */
type QueueRequest = { readonly QueueUrl?: string; readonly QueueName?: string };

/** Jitter: answers take up to a quarter more or less. */
const JITTER = 0.5;

/** What the server asks of a queue. */
export type ServedQueue = Pick<BenchQueue, 'mode' | 'requests' | 'throttled' | 'cut'> & {
  accept(...message: Required<Parameters<BenchQueue['accept']>>): void;
};

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
      const afterMs = rttMs * (1 - JITTER / 2 + Math.random() * JITTER);
      const answer = answerTo(url, request, reply, afterMs);
      if (afterMs === 0) answer();
      else setTimeout(answer, afterMs);
    }, over);
    return url;
  };
  /**
   * What becomes of a request is decided as it comes, while its bytes are in the processor's cache, as of the time when it is answered:
   * `afterMs` later. `url`: the listener's, which the queues' own begin with.
   */
  function answerTo(
    url: string,
    { head, body }: BenchRequest,
    { send, socket }: Reply,
    afterMs: number,
  ): () => void {
    if (!SEND_TARGET.test(head)) {
      const asked = JSON.parse(body) as QueueRequest;
      const name = asked.QueueName ?? nameOf(asked.QueueUrl ?? '');
      // GetQueueUrl, CreateQueue and GetQueueAttributes each look for their own part.
      const QueueUrl = `${url}/${ACCOUNT}/${name}`;
      return () => send(200, JSON.stringify({ QueueUrl, Attributes: ATTRIBUTES }));
    }
    const { queueUrl, entries } = readSendRequest(body);
    const queue = queueOf(nameOf(queueUrl).replace(ROUTED, ''));
    if (queue.mode === 'stalled') {
      stalled.add(socket);
      socket.once('close', () => stalled.delete(socket));
      return () => undefined;
    }
    if (queue.mode === 'refusing') return () => send(503, errorOf('ServiceUnavailable'));
    if (entries.length > MAX_ENTRIES || body.length > 2 * MAX_BYTES) {
      return () => send(400, errorOf('BatchRequestTooLong'));
    }
    const { perSecond, cutOneIn } = server.network;
    if (cutOneIn !== undefined && ++requests % cutOneIn === 0) {
      queue.cut++;
      return () => socket.destroy();
    }
    if (perSecond !== undefined && !limit.takes(entries.length, perSecond)) {
      queue.throttled++;
      return () => send(400, errorOf('RequestThrottled'));
    }
    const answer = accept(queue, { entries, afterMs, withHashes: SDK_USER_AGENT.test(head) });
    return () => send(200, answer);
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

type Accepted = {
  readonly entries: readonly SentEntry[];
  readonly afterMs: number;
  readonly withHashes: boolean;
};

/** Every entry is accepted; whether it should have come is the accounting's business. Returns the answer. */
function accept(queue: ServedQueue, { entries, afterMs, withHashes }: Accepted): string {
  queue.requests++;
  let text = '{"Successful":[';
  const shortest = shortestOf(entries);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    queue.accept(entry.group, entry.dedup, entry.escaped, afterMs);
    const md5 =
      withHashes || i === shortest ? `,"MD5OfMessageBody":"${hash('md5', unescaped(entry.escaped))}"` : '';
    text += `${i === 0 ? '' : ','}{"Id":"${entry.id}","MessageId":"${queue.requests}-${i}"${md5}}`;
  }
  return `${text}],"Failed":[]}`;
}

/** The first of them, as the sink finds it. */
function shortestOf(entries: readonly SentEntry[]): number {
  let shortest = 0;
  for (let i = 1; i < entries.length; i++)
    if (entries[i]!.escaped.length < entries[shortest]!.escaped.length) shortest = i;
  return shortest;
}

const errorOf = (code: string): string => `{"__type":"com.amazonaws.sqs#${code}","message":"${code}"}`;

const nameOf = (url: string): string => url.slice(url.lastIndexOf('/') + 1);
