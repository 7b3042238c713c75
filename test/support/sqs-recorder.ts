// A very light SQS endpoint that remembers what it accepted: for load tests, and for answers that no emulator gives.
// It checks requests as SQS does and deduplicates FIFO messages for five minutes; it has no consumers.
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type RecordedMessage = {
  readonly queue: string;
  readonly body: string;
  readonly group: string | undefined;
  readonly dedup: string | undefined;
  readonly attributes: Readonly<Record<string, string>> | undefined;
  /** `performance.timeOrigin + performance.now()` when it was accepted. */
  readonly at: number;
};

/** An answer to a whole request, as SQS words its errors. */
export type CannedError = {
  readonly status: number;
  readonly code: string;
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

export type SqsRecorder = {
  readonly url: string;
  /** The URL of a queue that exists or not. */
  queueUrl(name: string): string;
  createQueue(name: string, attributes?: Readonly<Record<string, string>>): string;
  deleteQueue(name: string): void;
  queueAttributes(name: string): Readonly<Record<string, string>> | undefined;
  /** Accepted messages in the order of acceptance; duplicates on FIFO queues are not among them. */
  readonly messages: readonly RecordedMessage[];
  messagesOf(queue: string): RecordedMessage[];
  readonly counts: {
    requests: number;
    entries: number;
    accepted: number;
    duplicates: number;
    failed: number;
  };
  /** Called for every accepted message, instead of remembering it. */
  onMessage: ((message: RecordedMessage) => void) | undefined;
  /** Answers to requests of this action while it returns one; undefined: the request is served. */
  answer: ((action: string, headers: IncomingMessage['headers']) => CannedError | undefined) | undefined;
  /** Milliseconds between a request and its being served: how far away the endpoint is. Default 0. */
  distanceMs: number;
  stop(): Promise<void>;
};

const ACCOUNT = '000000000000';
const DEDUPLICATION_MS = 5 * 60_000;
const MAX_BYTES = 1_048_576;
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatchRequestEntry.html
const ENTRY_ID = /^[A-Za-z0-9_-]{1,80}$/;
const FIFO_ID = /^[\x21-\x7e]{1,128}$/;
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
// eslint-disable-next-line no-control-regex -- exactly the characters that SQS refuses
const REFUSED = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

type Entry = {
  Id: string;
  MessageBody: string;
  MessageGroupId?: string;
  MessageDeduplicationId?: string;
  MessageAttributes?: Record<string, { DataType: string; StringValue?: string }>;
};
type Queue = {
  readonly name: string;
  readonly isFifo: boolean;
  readonly attributes: Readonly<Record<string, string>>;
  readonly maximumBytes: number;
  /** Deduplication ids with when they stop counting, oldest first. */
  readonly seen: Map<string, { until: number; messageId: string }>;
};
type Failure = { Id: string; SenderFault: boolean; Code: string; Message: string };

class SqsFault extends Error {
  readonly status: number;
  readonly code: string;
  constructor(code: string, message: string, status = 400) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const missingQueue = (): SqsFault => new SqsFault('QueueDoesNotExist', 'The specified queue does not exist.');
const queueNameOf = (url: unknown): string => String(url).slice(String(url).lastIndexOf('/') + 1);
const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

/** Starts an endpoint on a free port of the loopback. `createMissing`: any queue that is asked for exists. */
export async function startSqsRecorder(options: { createMissing?: boolean } = {}): Promise<SqsRecorder> {
  const queues = new Map<string, Queue>();
  const messages: RecordedMessage[] = [];
  const counts = { requests: 0, entries: 0, accepted: 0, duplicates: 0, failed: 0 };

  const addQueue = (name: string, attributes: Readonly<Record<string, string>> = {}): Queue => {
    const queue: Queue = {
      name,
      isFifo: name.endsWith('.fifo'),
      attributes,
      maximumBytes: Number(attributes['MaximumMessageSize'] ?? MAX_BYTES),
      seen: new Map(),
    };
    queues.set(name, queue);
    return queue;
  };
  const findQueue = (name: string): Queue => {
    const queue = queues.get(name) ?? (options.createMissing === true ? addQueue(name) : undefined);
    if (queue === undefined) throw missingQueue();
    return queue;
  };

  const accept = (queue: Queue, entry: Entry): { messageId: string } => {
    const dedup = entry.MessageDeduplicationId;
    const now = performance.timeOrigin + performance.now();
    if (queue.isFifo) {
      forgetOld(queue, now);
      const scope = queue.attributes['DeduplicationScope'] === 'messageGroup' ? entry.MessageGroupId : '';
      const key = `${scope} ${dedup}`;
      const seen = queue.seen.get(key);
      if (seen !== undefined) {
        counts.duplicates++;
        return seen;
      }
      const messageId = randomUUID();
      queue.seen.set(key, { until: now + DEDUPLICATION_MS, messageId });
      record(queue, entry, now);
      return { messageId };
    }
    record(queue, entry, now);
    return { messageId: randomUUID() };
  };
  const record = (queue: Queue, entry: Entry, at: number): void => {
    counts.accepted++;
    const { MessageAttributes } = entry;
    const message: RecordedMessage = {
      queue: queue.name,
      body: entry.MessageBody,
      group: entry.MessageGroupId,
      dedup: entry.MessageDeduplicationId,
      attributes:
        MessageAttributes &&
        Object.fromEntries(
          Object.entries(MessageAttributes).map(([name, { StringValue }]) => [name, StringValue ?? '']),
        ),
      at,
    };
    if (recorder.onMessage === undefined) messages.push(message);
    else recorder.onMessage(message);
  };

  const actions: Readonly<Record<string, (body: Record<string, unknown>) => unknown>> = {
    GetQueueUrl: ({ QueueName }) => ({ QueueUrl: recorder.queueUrl(findQueue(String(QueueName)).name) }),
    CreateQueue: ({ QueueName, Attributes }) => {
      const name = String(QueueName);
      const attributes = (Attributes ?? {}) as Record<string, string>;
      if (name.endsWith('.fifo') !== (attributes['FifoQueue'] === 'true')) {
        throw new SqsFault(
          'InvalidParameterValue',
          'The name of a FIFO queue must end with the .fifo suffix.',
        );
      }
      if (!queues.has(name)) addQueue(name, attributes);
      return { QueueUrl: recorder.queueUrl(name) };
    },
    GetQueueAttributes: ({ QueueUrl }) => {
      const queue = findQueue(queueNameOf(QueueUrl));
      return {
        Attributes: {
          MaximumMessageSize: String(queue.maximumBytes),
          ...(queue.isFifo && { FifoQueue: 'true' }),
          ...queue.attributes,
        },
      };
    },
    SendMessageBatch: ({ QueueUrl, Entries }) => {
      const queue = findQueue(queueNameOf(QueueUrl));
      const entries = Entries as Entry[];
      checkBatch(entries);
      counts.entries += entries.length;
      const Successful: unknown[] = [];
      const Failed: Failure[] = [];
      for (const entry of entries) {
        const failure = failureOf(queue, entry);
        if (failure !== undefined) {
          counts.failed++;
          Failed.push({ Id: entry.Id, SenderFault: true, ...failure });
          continue;
        }
        const { messageId } = accept(queue, entry);
        Successful.push({ Id: entry.Id, MessageId: messageId, MD5OfMessageBody: md5(entry.MessageBody) });
      }
      return { Successful, Failed };
    },
  };

  const serve = (request: IncomingMessage, payload: Buffer, response: ServerResponse): void => {
    counts.requests++;
    const action = String(request.headers['x-amz-target']).replace('AmazonSQS.', '');
    try {
      const canned = recorder.answer?.(action, request.headers);
      if (canned !== undefined) {
        for (const [name, value] of Object.entries(canned.headers ?? {})) response.setHeader(name, value);
        throw new SqsFault(canned.code, canned.message ?? canned.code, canned.status);
      }
      if (request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=') !== true) {
        throw new SqsFault('MissingAuthenticationToken', 'Request is missing Authentication Token', 403);
      }
      const run = actions[action];
      if (run === undefined) throw new SqsFault('InvalidAction', `The action ${action} is not valid.`);
      reply(response, 200, run(JSON.parse(payload.toString()) as Record<string, unknown>));
    } catch (error) {
      const fault = error instanceof SqsFault ? error : new SqsFault('SerializationException', String(error));
      response.setHeader('x-amzn-query-error', `${fault.code};${fault.status < 500 ? 'Sender' : 'Receiver'}`);
      reply(response, fault.status, { __type: `com.amazonaws.sqs#${fault.code}`, message: fault.message });
    }
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const payload = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      if (recorder.distanceMs === 0) serve(request, payload, response);
      else setTimeout(() => serve(request, payload, response), recorder.distanceMs);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const recorder: SqsRecorder = {
    url,
    queueUrl: (name) => `${url}/${ACCOUNT}/${name}`,
    createQueue(name, attributes) {
      addQueue(name, attributes);
      return recorder.queueUrl(name);
    },
    deleteQueue: (name) => void queues.delete(name),
    queueAttributes: (name) => queues.get(name)?.attributes,
    messages,
    messagesOf: (queue) => messages.filter((message) => message.queue === queue),
    counts,
    onMessage: undefined,
    answer: undefined,
    distanceMs: 0,
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return recorder;
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/x-amz-json-1.0',
    'content-length': Buffer.byteLength(text),
    'x-amzn-requestid': randomUUID(),
  });
  response.end(text);
}

function forgetOld(queue: Queue, now: number): void {
  for (const [id, { until }] of queue.seen) {
    if (until > now) return;
    queue.seen.delete(id);
  }
}

/** What makes SQS refuse the request as a whole. */
function checkBatch(entries: readonly Entry[]): void {
  if (entries.length === 0) throw new SqsFault('EmptyBatchRequest', 'There should be at least one entry.');
  if (entries.length > 10) throw new SqsFault('TooManyEntriesInBatchRequest', 'At most 10 entries.');
  if (!entries.every(({ Id }) => ENTRY_ID.test(Id))) {
    throw new SqsFault('InvalidBatchEntryId', 'A batch entry id can only contain letters, digits, - and _.');
  }
  if (new Set(entries.map(({ Id }) => Id)).size < entries.length) {
    throw new SqsFault('BatchEntryIdsNotDistinct', 'Two or more entries have the same Id.');
  }
  const total = entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
  if (total > MAX_BYTES)
    throw new SqsFault('BatchRequestTooLong', `Batch requests cannot be longer than ${MAX_BYTES} bytes.`);
}

/** What makes SQS refuse one entry. */
function failureOf(queue: Queue, entry: Entry): { Code: string; Message: string } | undefined {
  const { MessageGroupId: group, MessageDeduplicationId: dedup } = entry;
  const attributes = Object.values(entry.MessageAttributes ?? {}).map(({ StringValue }) => StringValue ?? '');
  if (entry.MessageBody === '') return { Code: 'MissingParameter', Message: 'The body is empty.' };
  if ([entry.MessageBody, ...attributes].some((text) => REFUSED.test(text))) {
    return { Code: 'InvalidMessageContents', Message: 'Invalid characters found.' };
  }
  if (sizeOf(entry) > queue.maximumBytes) {
    return {
      Code: 'InvalidParameterValue',
      Message: `Message must be shorter than ${queue.maximumBytes} bytes.`,
    };
  }
  if (queue.isFifo && group === undefined) {
    return { Code: 'MissingParameter', Message: 'The request must contain the parameter MessageGroupId.' };
  }
  if (queue.isFifo && dedup === undefined) {
    return { Code: 'InvalidParameterValue', Message: 'MessageDeduplicationId must be provided explicitly.' };
  }
  if (!queue.isFifo && dedup !== undefined) {
    return {
      Code: 'InvalidParameterValue',
      Message: 'MessageDeduplicationId is not valid for this queue type.',
    };
  }
  for (const id of [group, dedup]) {
    if (id !== undefined && !FIFO_ID.test(id)) {
      return {
        Code: 'InvalidParameterValue',
        Message: 'An id can only include letters, digits and punctuation.',
      };
    }
  }
  return undefined;
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html */
function sizeOf(entry: Entry): number {
  let bytes = Buffer.byteLength(entry.MessageBody);
  for (const [name, { DataType, StringValue }] of Object.entries(entry.MessageAttributes ?? {})) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(DataType) + Buffer.byteLength(StringValue ?? '');
  }
  return bytes;
}
