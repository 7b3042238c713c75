// One queue: found or created when first needed, forgotten when SQS says that it is gone.
import type { Logger } from 'pino';
import type { Literal } from '../../core/byte-writer.ts';
import { wholeBody } from '../http/connection.ts';
import { laneLimits, type Lanes } from '../http/lanes.ts';
import { isDenied, isMissing, MALFORMED_REPLY, QUEUE_NOT_FIFO, RequestError } from '../aws/errors.ts';
import { FORMER_MAX_BATCH_BYTES, MAX_BATCH_BYTES, MAX_BATCH_COUNT, messageLimit } from '../aws/batch.ts';
import type { AwsClient } from '../aws/client.ts';
import type { AwsPlace } from '../aws/connections.ts';
import type { AwsRoute } from '../aws/delivery.ts';
import { Finding, type LookOptions } from '../aws/finding.ts';
import type { CheckOptions, SinkLimits } from '../sink.ts';
import { pathOfQueueUrl, queueNameOfUrl } from './queue-url.ts';
import { requestStart } from './request.ts';

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html */
const FIFO_ATTRIBUTES = {
  FifoQueue: 'true',
  DeduplicationScope: 'messageGroup',
  FifoThroughputLimit: 'perMessageGroupId',
  ContentBasedDeduplication: 'false',
};

export type QueueOptions = {
  /** As configured: a name or a URL. */
  readonly id: string;
  /** Finds region and endpoint of the queue. */
  readonly connect: () => Promise<AwsClient>;
  readonly createIfNotExists: boolean;
  readonly lanes: Lanes;
  readonly logger: Logger;
};

/** A queue that was found. */
export type FoundQueue = {
  readonly client: AwsClient;
  readonly isFifo: boolean;
  /** The beginning of every request to it. */
  readonly requestStart: Literal;
};

export class SqsQueue implements AwsRoute<FoundQueue> {
  readonly id: string;
  readonly name: string;
  readonly isFifo: boolean;
  /** Live: what the queue says of itself counts from when it is known. */
  readonly limits: SinkLimits;
  readonly #options: QueueOptions;
  readonly #finding: Finding<FoundQueue>;
  #messageBytes = MAX_BATCH_BYTES;
  #batchBytes = MAX_BATCH_BYTES;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#finding = new Finding({
      look: (signal, how) => this.#look(signal, how),
      createIfNotExists: options.createIfNotExists,
      toBeMade: `queue ${options.id} does not exist yet and will be made, which needs sqs:CreateQueue`,
    });
    this.id = options.id;
    this.name = isUrl(options.id) ? queueNameOfUrl(options.id) : options.id;
    this.isFifo = this.name.endsWith('.fifo');
    const messageBytes = (): number => this.#messageBytes;
    const batchBytes = (): number => this.#batchBytes;
    this.limits = {
      batchCount: MAX_BATCH_COUNT,
      ...laneLimits(options.lanes),
      get batchBytes() {
        return batchBytes();
      },
      get messageBytes() {
        return messageBytes();
      },
    };
  }

  get known(): FoundQueue | undefined {
    return this.#finding.known;
  }

  find(signal: AbortSignal): Promise<FoundQueue> {
    return this.#finding.find(signal);
  }

  forget(): void {
    this.#finding.forget();
  }

  /** A request was too long although it was within the limit that we know. */
  learnTooLong(): void {
    this.#batchBytes = Math.max(FORMER_MAX_BATCH_BYTES, this.#messageBytes);
  }

  check(signal: AbortSignal, options: CheckOptions): Promise<void> {
    return this.#finding.check(signal, options);
  }

  async #look(signal: AbortSignal, options: LookOptions): Promise<FoundQueue> {
    const client = await this.#options.connect();
    const url = isUrl(this.id) ? this.id : await this.#findUrl(client, signal, options);
    try {
      await this.#readAttributes(client, url, signal);
    } catch (error) {
      if (isMissing(error) && options.create) await this.#create(client, signal, url);
      else if (!isDenied(error) || options.strict) throw error;
    }
    return { client, isFifo: this.isFifo, requestStart: requestStart(url) };
  }

  async #findUrl(client: AwsClient, signal: AbortSignal, options: LookOptions): Promise<string> {
    try {
      return await callForUrl(client, 'GetQueueUrl', { QueueName: this.name }, signal);
    } catch (error) {
      if (!isMissing(error)) throw error;
      if (!options.create) throw missingQueue(`there is no queue ${this.name} in ${client.region}`, error);
      return this.#create(client, signal);
    }
  }

  async #create(client: AwsClient, signal: AbortSignal, expectedUrl?: string): Promise<string> {
    const Attributes = this.isFifo ? FIFO_ATTRIBUTES : {};
    const url = await callForUrl(client, 'CreateQueue', { QueueName: this.name, Attributes }, signal);
    this.#options.logger.info({ queue: this.name, region: client.region }, 'created the queue');
    if (expectedUrl !== undefined && pathOfQueueUrl(url) !== pathOfQueueUrl(expectedUrl)) {
      // Queues are created in the account of the credentials.
      throw missingQueue(`${expectedUrl} is in another account than the queue just created, ${url}`);
    }
    return url;
  }

  async #readAttributes(client: AwsClient, url: string, signal: AbortSignal): Promise<void> {
    const AttributeNames = this.isFifo ? ['MaximumMessageSize', 'FifoQueue'] : ['MaximumMessageSize'];
    const reply = await callFor(client, 'GetQueueAttributes', { QueueUrl: url, AttributeNames }, signal);
    const attributes = (reply['Attributes'] ?? {}) as Readonly<Record<string, unknown>>;
    if (this.isFifo && attributes['FifoQueue'] !== 'true') {
      throw new RequestError({
        code: QUEUE_NOT_FIFO,
        message: `the queue ${this.name} is no FIFO queue`,
      });
    }
    this.#messageBytes = messageLimit(attributes['MaximumMessageSize']) ?? this.#messageBytes;
  }
}

/** A queue is served where its URL says, as the SDK does it. */
export const queuePlace = (id: string): AwsPlace => (isUrl(id) ? { endpoint: new URL('/', id) } : {});

const isUrl = (id: string): boolean => id.includes('://');

const missingQueue = (message: string, cause?: unknown): RequestError =>
  new RequestError({ code: 'QueueDoesNotExist', message, cause });

type Fields = Readonly<Record<string, unknown>>;

async function callFor(
  client: AwsClient,
  action: string,
  input: Fields,
  signal: AbortSignal,
): Promise<Fields> {
  const body = wholeBody(Buffer.from(JSON.stringify(input)));
  return await client.call(action, body, signal, (answer) => {
    const reply = answer.parse();
    if (typeof reply === 'object' && reply !== null) return reply as Fields;
    throw new RequestError({ code: MALFORMED_REPLY, status: 200, message: `no answer to ${action}` });
  });
}

async function callForUrl(
  client: AwsClient,
  action: string,
  input: Fields & { readonly QueueName: string },
  signal: AbortSignal,
): Promise<string> {
  const { QueueUrl: url } = await callFor(client, action, input, signal);
  // Of another queue: an answer that strayed. Its messages would go there.
  if (typeof url === 'string' && queueNameOfUrl(url) === input.QueueName) return url;
  throw new RequestError({
    code: MALFORMED_REPLY,
    status: 200,
    message: `no URL of ${input.QueueName} in the answer to ${action}`,
  });
}
