// One topic: found or created when first needed, forgotten when SNS says that it is gone.
import type { Logger } from 'pino';
import { laneLimits, type Lanes } from '../http/lanes.ts';
import { FORMER_MAX_BATCH_BYTES, MAX_BATCH_BYTES, MAX_BATCH_COUNT, messageLimit } from '../aws/batch.ts';
import type { AwsClient } from '../aws/client.ts';
import type { AwsRoute } from '../aws/delivery.ts';
import { Finding, type LookOptions } from '../aws/finding.ts';
import type { CheckOptions, SinkLimits } from '../sink.ts';
import { isDenied, isMissing, MALFORMED_REPLY, RequestError } from '../aws/errors.ts';
import { queryBody } from '../aws/query.ts';
import type { Questions } from '../aws/questions.ts';
import { childOf, textOf, type XmlElement } from '../aws/xml.ts';
import { parseTopicArn } from './arn.ts';
import { wholeBody } from '../http/connection.ts';
import { requestStart, SNS_VERSION } from './request.ts';
import type { TopicNames } from './topic-names.ts';

/**
 * Messages in order and without repeats for each group on its own, which is what makes it fast.
 * https://docs.aws.amazon.com/sns/latest/dg/fifo-high-throughput.html
 */
const FIFO_ATTRIBUTES = {
  FifoTopic: 'true',
  FifoThroughputScope: 'MessageGroup',
  ContentBasedDeduplication: 'false',
};

export type TopicOptions = {
  /** As configured: a name or an ARN. */
  readonly id: string;
  /** Finds region and endpoint of the topic. */
  readonly connect: () => Promise<AwsClient>;
  readonly createIfNotExists: boolean;
  /** Those of the account, and turns to ask about one: shared by the topics of a sink. */
  readonly names: TopicNames;
  readonly questions: Questions;
  readonly lanes: Lanes;
  readonly logger: Logger;
};

/** A topic that was found. */
export type FoundTopic = {
  readonly client: AwsClient;
  readonly isFifo: boolean;
  /** The beginning of every request to it. */
  readonly requestStart: Buffer;
};

export class SnsTopic implements AwsRoute<FoundTopic> {
  readonly id: string;
  readonly name: string;
  readonly isFifo: boolean;
  /** Live: what the topic says of itself counts from when it is known. Until then nothing is called too large. */
  readonly limits: { batchBytes: number; messageBytes: number; batchCount: number } & Pick<
    SinkLimits,
    'lanesPerRoute' | 'lanesAtFirst'
  >;
  readonly #options: TopicOptions;
  readonly #finding: Finding<FoundTopic>;
  /** There was none of its name when it was looked for. */
  #wasMissing = false;

  constructor(options: TopicOptions) {
    this.#options = options;
    this.#finding = new Finding({
      look: (signal, how) => this.#look(signal, how),
      createIfNotExists: options.createIfNotExists,
      toBeMade: `topic ${options.id} does not exist yet and will be made, which needs sns:CreateTopic`,
    });
    this.id = options.id;
    this.name = parseTopicArn(options.id)?.name ?? options.id;
    this.isFifo = this.name.endsWith('.fifo');
    this.limits = {
      batchCount: MAX_BATCH_COUNT,
      ...laneLimits(options.lanes),
      batchBytes: MAX_BATCH_BYTES,
      messageBytes: MAX_BATCH_BYTES,
    };
  }

  get known(): FoundTopic | undefined {
    return this.#finding.known;
  }

  find(signal: AbortSignal): Promise<FoundTopic> {
    return this.#finding.find(signal);
  }

  forget(): void {
    this.#finding.forget();
  }

  /** Its limit has changed since it was read. */
  learnTooLong(): void {
    this.#finding.forget();
  }

  check(signal: AbortSignal, options: CheckOptions): Promise<void> {
    return this.#finding.check(signal, options);
  }

  async #look(signal: AbortSignal, options: LookOptions): Promise<FoundTopic> {
    const client = await this.#options.connect();
    const call = (action: string, parameters: Readonly<Record<string, string>>): Promise<XmlElement> =>
      client.call(
        action,
        wholeBody(queryBody(SNS_VERSION, action, parameters)),
        signal,
        // `awsQuery` reads an answer as an element, or not at all.
        (answer) => answer.parse() as XmlElement,
      );
    const isArn = this.id !== this.name;
    let arn = isArn ? this.id : await this.#findArn(call);
    if (arn === undefined) {
      if (!options.create) throw missingTopic(`there is no topic ${this.name} in ${client.region}`);
      arn = await this.#create(call, client.region);
    }
    try {
      await this.#readAttributes(call, arn);
    } catch (error) {
      if (isMissing(error) && options.create) {
        const created = await this.#create(call, client.region);
        // Topics are created in the account of the credentials.
        if (created !== arn)
          throw missingTopic(`${arn} is in another account than the topic just created, ${created}`);
      } else if (!isDenied(error) || options.strict) throw error;
      else this.#limitTo(undefined);
    }
    return { client, isFifo: this.isFifo, requestStart: requestStart(arn) };
  }

  async #findArn(call: Call): Promise<string | undefined> {
    const looking = { name: this.name, again: this.#wasMissing };
    const found = await this.#options.names.find(looking, async (token) => {
      const result = await call('ListTopics', token === undefined ? {} : { NextToken: token });
      const arns = childOf(result, 'Topics')?.children.map((member) => textOf(member, 'TopicArn')) ?? [];
      return { arns: arns.filter((arn) => arn !== undefined), next: textOf(result, 'NextToken') };
    });
    this.#wasMissing = found === 'missing';
    if (found === 'missing') return undefined;
    if (found !== 'unknown') return found.arn;
    throw missingTopic(`there are too many topics to look for ${this.name} among them: write topic_arn`);
  }

  async #create(call: Call, region: string): Promise<string> {
    const parameters: Record<string, string> = { Name: this.name };
    Object.entries(this.isFifo ? FIFO_ATTRIBUTES : {}).forEach(([key, value], index) => {
      parameters[`Attributes.entry.${index + 1}.key`] = key;
      parameters[`Attributes.entry.${index + 1}.value`] = value;
    });
    const answer = await this.#options.questions.ask(() => call('CreateTopic', parameters));
    const arn = textOf(answer, 'TopicArn');
    // Of another topic: an answer that strayed. Its messages would go there.
    if (arn === undefined || parseTopicArn(arn)?.name !== this.name) {
      throw new RequestError({
        code: MALFORMED_REPLY,
        status: 200,
        message: `no ARN of ${this.name} in the answer to CreateTopic`,
      });
    }
    this.#options.names.learn(this.name, arn);
    this.#options.logger.info({ topic: this.name, region }, 'created the topic');
    return arn;
  }

  async #readAttributes(call: Call, arn: string): Promise<void> {
    const result = await this.#options.questions.ask(() => call('GetTopicAttributes', { TopicArn: arn }));
    const size = childOf(result, 'Attributes')?.children.find(
      (entry) => textOf(entry, 'key') === 'MaximumMessageSize',
    );
    this.#limitTo(messageLimit(textOf(size, 'value')));
  }

  /** A topic's own limit holds for a message and for a batch. https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html */
  #limitTo(bytes: number | undefined): void {
    const known = bytes ?? FORMER_MAX_BATCH_BYTES;
    this.limits.batchBytes = known;
    this.limits.messageBytes = known;
  }
}

type Call = (action: string, parameters: Readonly<Record<string, string>>) => Promise<XmlElement>;

const missingTopic = (message: string): RequestError => new RequestError({ code: 'NotFound', message });
