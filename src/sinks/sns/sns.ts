// The SNS sink: each change is a notification, ten at most in a request, each with an outcome of its own.
// https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
import type { Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import { awsNotesOf } from '../aws/config.ts';
import { AwsConnections } from '../aws/connections.ts';
import { checkRoutes, deliver } from '../aws/delivery.ts';
import { deduplicationSuffix } from '../aws/ids.ts';
import { awsQuery } from '../aws/query.ts';
import { outcomesOf } from '../aws/reply.ts';
import type { XmlElement } from '../aws/xml.ts';
import type { Route, Sink, SinkContext, SinkDefinition } from '../sink.ts';
import { parseTopicArn } from './arn.ts';
import { snsConfigSchema, type SnsConfig } from './config.ts';
import { snsFailures as failures } from './failures.ts';
import { readPublishReply } from './reply.ts';
import { PublishWriter } from './request.ts';
import { SnsTopic, type FoundTopic } from './topic.ts';

export const sns: SinkDefinition<SnsConfig> = {
  type: 'sns',
  title: 'Amazon SNS',
  config: snsConfigSchema,
  notesOf: awsNotesOf,
  groupTemplates: ({ group_id: template }) => (template === undefined ? [] : [{ key: 'group_id', template }]),
  create: (config, context) => Promise.resolve(createSnsSink(config, context)),
};

function createSnsSink(config: SnsConfig, context: SinkContext): Sink<SnsTopic> {
  const connections = new AwsConnections({ service: 'sns', protocol: awsQuery }, config, process.env);
  const requests = new PublishWriter({
    deduplicationSuffix: deduplicationSuffix(context.name, context.rewinds),
    messageAttributes: config.message_attributes,
  });
  const { topic_arn: arn, topic_name: name, create_if_not_exists: createIfNotExists } = config;
  const region = arn === undefined ? undefined : parseTopicArn(arn)?.region;
  const topic = new SnsTopic({
    id: arn ?? name!, // the schema demands one of them
    connect: () => connections.clientFor({ region }),
    createIfNotExists,
    lanes: config,
    logger: context.logger,
  });
  const route: Route<SnsTopic> = {
    id: topic.id,
    keepsOrder: topic.isFifo,
    limits: topic.limits,
    groupTemplate: config.group_id,
    target: topic,
  };
  const send = async (
    found: FoundTopic,
    batch: readonly Message[],
    signal: AbortSignal,
  ): Promise<Outcome[]> => {
    const body = requests.write(found, batch);
    const sent = { tag: body.tag, count: batch.length };
    const outcomes = await found.client.call('PublishBatch', body, signal, (answer) =>
      // `awsQuery` reads an answer as an element, or not at all.
      outcomesOf(readPublishReply(answer.parse() as XmlElement), sent, failures),
    );
    body.release();
    return outcomes;
  };
  return {
    routeOf: () => route,
    sizeOf: (message) => requests.sizeOf(message),
    deliver: (batch, signal, { target }) => deliver({ route: target, failures, signal, send }, batch),
    check: (signal, options) => checkRoutes([topic], { noun: 'topic', failures }, signal, options),
    close: async () => connections.close(),
  };
}
