// The SNS sink: each change is a notification, ten at most in a request, each with an outcome of its own.
// https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
import type { Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import { isTemplate } from '../../core/template.ts';
import { awsNotesOf } from '../aws/config.ts';
import { AwsConnections } from '../aws/connections.ts';
import { checkRoutes, deliver } from '../aws/delivery.ts';
import { deduplicationSuffix } from '../aws/ids.ts';
import { Questions } from '../aws/questions.ts';
import { awsQuery } from '../aws/query.ts';
import { outcomesOf } from '../aws/reply.ts';
import type { XmlElement } from '../aws/xml.ts';
import { listed, unmadeNotes } from '../routing/allowed.ts';
import { KnownRoutes } from '../routing/known-routes.ts';
import { routeByTemplates } from '../routing/route-by-row.ts';
import type {
  Route,
  RouteByRow,
  RouteInput,
  RouteTemplate,
  Sink,
  SinkContext,
  SinkDefinition,
} from '../sink.ts';
import { parseTopicArn } from './arn.ts';
import { snsConfigSchema, snsRouting, topicOf, type SnsConfig } from './config.ts';
import { snsFailures as failures } from './failures.ts';
import { readPublishReply } from './reply.ts';
import { PublishWriter } from './request.ts';
import { TopicNames } from './topic-names.ts';
import { SnsTopic, type FoundTopic } from './topic.ts';

/** CreateTopic and GetTopicAttributes: rows may name hundreds of topics at once. https://docs.aws.amazon.com/general/latest/gr/sns.html */
const MAX_QUESTIONS = 8;

export const sns: SinkDefinition<SnsConfig> = {
  type: 'sns',
  title: 'Amazon SNS',
  config: snsConfigSchema,
  notesOf: (config) => [...awsNotesOf(config), ...unmadeNotes(config, topicTemplates(config))],
  routing: snsRouting,
  routeTemplates: topicTemplates,
  groupTemplates: ({ group_id: template }) => (template === undefined ? [] : [{ key: 'group_id', template }]),
  create: (config, context) => Promise.resolve(createSnsSink(config, context)),
};

/** The key that says which topic. */
const keyOf = ({ topic_arn: arn }: SnsConfig): 'topic_arn' | 'topic_name' =>
  arn === undefined ? 'topic_name' : 'topic_arn';

// A function: the definition above needs it.
function topicTemplates(config: SnsConfig): readonly RouteTemplate[] {
  const template = topicOf(config);
  return template === undefined ? [] : [{ key: keyOf(config), template }];
}

function createSnsSink(config: SnsConfig, context: SinkContext): Sink<SnsTopic> {
  const connections = new AwsConnections({ service: 'sns', protocol: awsQuery }, config, process.env);
  const requests = new PublishWriter({
    deduplicationSuffix: deduplicationSuffix(context.name, context.rewinds),
    messageAttributes: config.message_attributes,
  });
  const { create_if_not_exists: createIfNotExists, allowed, group_id: groupTemplate } = config;
  const written = topicOf(config)!; // the schema demands one
  // The retries of one topic are few.
  const names = new TopicNames({ tellsMissing: isTemplate(written) });
  const questions = new Questions(MAX_QUESTIONS);
  const makeTopic = (id: string, creates: boolean): SnsTopic =>
    new SnsTopic({
      id,
      connect: () => connections.clientFor({ region: parseTopicArn(id)?.region }),
      createIfNotExists: creates,
      names,
      questions,
      lanes: config,
      logger: context.logger,
    });
  /** Those that are known before any row. */
  const topics = new Map(
    [written, ...listed(allowed)]
      .filter((id) => !isTemplate(id))
      .map((id) => [id, makeTopic(id, createIfNotExists)]),
  );
  const byRow = new KnownRoutes<SnsTopic>();
  const known = new KnownRoutes<Route<SnsTopic>>();
  const topicByRow = (id: string): SnsTopic => byRow.get(id) ?? byRow.keep(id, makeTopic(id, false));
  const routeTo = (topic: SnsTopic): Route<SnsTopic> => ({
    id: topic.id,
    keepsOrder: topic.isFifo,
    limits: topic.limits,
    groupTemplate,
    target: topic,
  });
  const fixed = topics.get(written);
  const route = fixed && routeTo(fixed);
  const send = (found: FoundTopic, batch: readonly Message[], signal: AbortSignal): Promise<Outcome[]> => {
    const body = requests.write(found, batch);
    const sent = { tag: body.tag, count: batch.length };
    return found.client.call('PublishBatch', body, signal, (answer) => {
      // `awsQuery` reads an answer as an element, or not at all.
      return outcomesOf(readPublishReply(answer.parse() as XmlElement), sent, failures);
    });
  };
  return {
    routeOf: () => route,
    routeByRow(input: RouteInput): RouteByRow<SnsTopic> | undefined {
      if (route !== undefined) return undefined;
      return routeByTemplates({
        input,
        routing: snsRouting,
        shown: { key: keyOf(config), template: written },
        allowed,
        groupTemplate,
        known,
        open: (_, id) => routeTo(topics.get(id) ?? topicByRow(id)),
      });
    },
    sizeOf: (message) => requests.sizeOf(message),
    deliver: (batch, signal, { target }) => deliver({ route: target, failures, signal, send }, batch),
    check: (signal, options) =>
      checkRoutes([...topics.values()], { noun: 'topic', failures }, signal, options),
    close: async () => connections.close(),
  };
}
