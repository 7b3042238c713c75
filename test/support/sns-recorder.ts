// A very light SNS endpoint that remembers what it accepted: for load tests, and for answers that no emulator gives.
// It checks requests as SNS does and deduplicates on FIFO topics for five minutes; it has no subscriptions.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { parseTopicArn } from '../../src/sinks/sns/arn.ts';
import type { BatchReply } from './fault-proxy.ts';
import { batchResultXml, errorXml, escapeXml, membersOf, resultXml, topicNameOf } from './sns-wire.ts';
import type { CannedError, RecordedMessage } from './sqs-recorder.ts';

export type SnsRecorder = {
  readonly url: string;
  topicArn(name: string): string;
  /** Makes a topic, or changes its attributes. */
  createTopic(name: string, attributes?: Readonly<Record<string, string>>): string;
  deleteTopic(name: string): void;
  topicAttributes(name: string): Readonly<Record<string, string>> | undefined;
  /** Accepted messages in the order of acceptance (`queue` is the topic); duplicates on FIFO topics are not among them. */
  readonly messages: readonly RecordedMessage[];
  readonly counts: { requests: number; accepted: number; duplicates: number; failed: number };
  /** Answers to requests of this action while it returns one; undefined: the request is served. */
  answer: ((action: string, headers: IncomingMessage['headers']) => CannedError | undefined) | undefined;
  /** A request of this action is served when this has resolved. */
  hold: ((action: string) => Promise<void>) | undefined;
  /** Topics of one page of ListTopics. */
  pageSize: number;
  stop(): Promise<void>;
};

const ACCOUNT = '123456789012';
const REGION = 'us-east-1';
const DEFAULT_MAX_BYTES = '262144';
const DEDUPLICATION_MS = 5 * 60_000;
// https://docs.aws.amazon.com/sns/latest/api/API_PublishBatchRequestEntry.html
const ENTRY_ID = /^[A-Za-z0-9_-]{1,80}$/;
const FIFO_ID = /^[\x21-\x7e]{1,128}$/;

type Topic = {
  readonly name: string;
  readonly isFifo: boolean;
  attributes: Readonly<Record<string, string>>;
  /** Deduplication ids with when they stop counting. */
  readonly seen: Map<string, number>;
};
type Entry = ReadonlyMap<string, string>;

class SnsFault extends Error {
  readonly status: number;
  readonly code: string;
  constructor(code: string, message: string, status = 400) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Starts an endpoint on a free port of the loopback. */
export async function startSnsRecorder(): Promise<SnsRecorder> {
  const topics = new Map<string, Topic>();
  const messages: RecordedMessage[] = [];
  const counts = { requests: 0, accepted: 0, duplicates: 0, failed: 0 };

  const findTopic = (form: URLSearchParams): Topic => {
    const arn = form.get('TopicArn') ?? '';
    if (parseTopicArn(arn) === undefined)
      throw new SnsFault('InvalidParameter', 'Invalid parameter: TopicArn');
    const topic = arn === recorder.topicArn(topicNameOf(arn)) ? topics.get(topicNameOf(arn)) : undefined;
    if (topic === undefined) throw new SnsFault('NotFound', 'Topic does not exist', 404);
    return topic;
  };

  const accept = (topic: Topic, entry: Entry): void => {
    const [group, dedup] = [entry.get('MessageGroupId'), entry.get('MessageDeduplicationId')];
    const at = performance.timeOrigin + performance.now();
    if (topic.isFifo) {
      const scope = topic.attributes['FifoThroughputScope'] === 'MessageGroup' ? group : '';
      const key = `${scope} ${dedup}`;
      if ((topic.seen.get(key) ?? 0) > at) {
        counts.duplicates++;
        return;
      }
      topic.seen.set(key, at + DEDUPLICATION_MS);
    }
    counts.accepted++;
    const attributes = attributesOf(entry);
    messages.push({
      queue: topic.name,
      body: entry.get('Message')!,
      group,
      dedup,
      attributes:
        attributes.length === 0
          ? undefined
          : Object.fromEntries(attributes.map(({ name, value }) => [name, value])),
      at,
    });
  };

  const actions: Readonly<Record<string, (form: URLSearchParams) => string>> = {
    CreateTopic(form) {
      const name = form.get('Name') ?? '';
      const attributes = attributeEntries(form);
      if (name.endsWith('.fifo') !== (attributes['FifoTopic'] === 'true')) {
        throw new SnsFault('InvalidParameter', 'Invalid parameter: Fifo Topic names must end with .fifo');
      }
      if (!topics.has(name)) recorder.createTopic(name, attributes);
      return `<TopicArn>${recorder.topicArn(name)}</TopicArn>`;
    },
    ListTopics(form) {
      const from = Number(form.get('NextToken') ?? 0);
      const names = [...topics.keys()].slice(from, from + recorder.pageSize);
      const next = from + recorder.pageSize;
      const list = names.map((name) => `<member><TopicArn>${recorder.topicArn(name)}</TopicArn></member>`);
      return `<Topics>${list.join('')}</Topics>${next < topics.size ? `<NextToken>${next}</NextToken>` : ''}`;
    },
    GetTopicAttributes(form) {
      const entries = Object.entries({
        MaximumMessageSize: DEFAULT_MAX_BYTES,
        ...findTopic(form).attributes,
      }).map(([key, value]) => `<entry><key>${key}</key><value>${escapeXml(value)}</value></entry>`);
      return `<Attributes>${entries.join('')}</Attributes>`;
    },
    PublishBatch(form) {
      const topic = findTopic(form);
      const entries = membersOf(form);
      checkBatch(entries, Number(topic.attributes['MaximumMessageSize'] ?? DEFAULT_MAX_BYTES));
      const reply: Required<BatchReply> = { Successful: [], Failed: [] };
      for (const entry of entries) {
        const Id = entry.get('Id')!;
        const Message = faultOf(topic, entry);
        if (Message === undefined) {
          accept(topic, entry);
          reply.Successful.push({ Id });
        } else {
          counts.failed++;
          reply.Failed.push({ Id, SenderFault: true, Code: 'InvalidParameter', Message });
        }
      }
      return batchResultXml(reply);
    },
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const payload = await buffer(request);
    counts.requests++;
    const form = new URLSearchParams(payload.toString());
    const action = form.get('Action') ?? '';
    try {
      await recorder.hold?.(action);
      const canned = recorder.answer?.(action, request.headers);
      if (canned !== undefined) {
        for (const [name, value] of Object.entries(canned.headers ?? {})) response.setHeader(name, value);
        throw new SnsFault(canned.code, canned.message ?? canned.code, canned.status);
      }
      if (request.headers.authorization?.includes('/sns/aws4_request, SignedHeaders=') !== true) {
        throw new SnsFault('MissingAuthenticationToken', 'Request is missing Authentication Token', 403);
      }
      const run = actions[action];
      if (run === undefined || form.get('Version') !== '2010-03-31') {
        throw new SnsFault('InvalidAction', `The action ${action} is not valid.`);
      }
      reply(response, 200, resultXml(action, run(form)));
    } catch (error) {
      const fault = error instanceof SnsFault ? error : new SnsFault('InternalError', String(error), 500);
      const type = fault.status < 500 ? 'Sender' : 'Receiver';
      reply(response, fault.status, errorXml({ code: fault.code, message: fault.message, type }));
    }
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    serve(request, response).catch(() => request.socket.destroy());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));

  const recorder: SnsRecorder = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    topicArn: (name) => `arn:aws:sns:${REGION}:${ACCOUNT}:${name}`,
    createTopic(name, attributes = {}) {
      const topic = topics.get(name);
      if (topic !== undefined) topic.attributes = attributes;
      else topics.set(name, { name, isFifo: name.endsWith('.fifo'), attributes, seen: new Map() });
      return recorder.topicArn(name);
    },
    deleteTopic: (name) => void topics.delete(name),
    topicAttributes: (name) => topics.get(name)?.attributes,
    messages,
    counts,
    answer: undefined,
    hold: undefined,
    pageSize: 100,
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return recorder;
}

function reply(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'text/xml', 'content-length': Buffer.byteLength(xml) });
  response.end(xml);
}

function attributeEntries(form: URLSearchParams): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [name, key] of form) {
    const [, number] = /^Attributes\.entry\.(\d+)\.key$/.exec(name) ?? [];
    if (number !== undefined) attributes[key] = form.get(`Attributes.entry.${number}.value`) ?? '';
  }
  return attributes;
}

function attributesOf(entry: Entry): { name: string; type: string; value: string }[] {
  const attributes = [];
  for (let number = 1; entry.has(`MessageAttributes.entry.${number}.Name`); number++) {
    const field = (name: string): string => entry.get(`MessageAttributes.entry.${number}.${name}`) ?? '';
    attributes.push({
      name: field('Name'),
      type: field('Value.DataType'),
      value: field('Value.StringValue'),
    });
  }
  return attributes;
}

/** What makes SNS refuse the request as a whole. */
function checkBatch(entries: readonly Entry[], maxBytes: number): void {
  const ids = entries.map((entry) => entry.get('Id') ?? '');
  if (entries.length === 0) throw new SnsFault('EmptyBatchRequest', 'There is no entry.');
  if (entries.length > 10) throw new SnsFault('TooManyEntriesInBatchRequest', 'At most 10 entries.');
  if (!ids.every((id) => ENTRY_ID.test(id))) throw new SnsFault('InvalidBatchEntryId', 'An id is invalid.');
  if (new Set(ids).size < ids.length) throw new SnsFault('BatchEntryIdsNotDistinct', 'Ids are not distinct.');
  if (entries.reduce((sum, entry) => sum + sizeOf(entry), 0) > maxBytes) {
    throw new SnsFault('BatchRequestTooLong', `The length of all the messages is more than ${maxBytes}.`);
  }
}

/** What makes SNS refuse one entry; undefined: nothing. */
function faultOf(topic: Topic, entry: Entry): string | undefined {
  const [group, dedup] = [entry.get('MessageGroupId'), entry.get('MessageDeduplicationId')];
  if ((entry.get('Message') ?? '') === '') return 'Invalid parameter: Empty message';
  if (topic.isFifo && group === undefined) return 'The MessageGroupId parameter is required for FIFO topics';
  if (topic.isFifo && dedup === undefined) return 'MessageDeduplicationId must be provided explicitly';
  if (!topic.isFifo && dedup !== undefined) return 'MessageDeduplicationId is for FIFO topics';
  if ([group, dedup].some((id) => id !== undefined && !FIFO_ID.test(id))) return 'An id is invalid';
  if (attributesOf(entry).some(({ value }) => value === '')) return 'An attribute is empty';
  return undefined;
}

/** https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html */
function sizeOf(entry: Entry): number {
  return attributesOf(entry).reduce(
    (sum, { name, type, value }) => sum + Buffer.byteLength(name + type + value),
    Buffer.byteLength(entry.get('Message') ?? ''),
  );
}
