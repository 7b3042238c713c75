// The SQS sink: each change is a message, ten at most in a request, each with an outcome of its own.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import type { Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import { isTemplate } from '../../core/template.ts';
import { awsNotesOf } from '../aws/config.ts';
import { AwsConnections } from '../aws/connections.ts';
import { checkRoutes, deliver } from '../aws/delivery.ts';
import { deduplicationSuffix } from '../aws/ids.ts';
import { awsJson } from '../aws/json.ts';
import { indexOfEntry } from '../aws/entry-ids.ts';
import { outcomesOf, strayReply } from '../aws/reply.ts';
import { listed, unmadeNotes } from '../routing/allowed.ts';
import { KnownRoutes } from '../routing/known-routes.ts';
import { routeByTemplates } from '../routing/route-by-row.ts';
import type { Route, RouteByRow, RouteInput, Sink, SinkContext, SinkDefinition } from '../sink.ts';
import { placesOf, sqsConfigSchema, sqsRouting, type SqsConfig } from './config.ts';
import { comparedIndex, digestsAgree, type Digests } from './digests.ts';
import { sqsFailures as failures } from './failures.ts';
import { queuePlace, SqsQueue, type FoundQueue } from './queue.ts';
import { readSendReply } from './reply.ts';
import { RequestWriter } from './request.ts';
import { actionsAtQueue, groupTemplates, queueRoute, queueTemplates } from './routes.ts';
import { scanSendReply, type Scanned } from './scanned-reply.ts';

export const sqs: SinkDefinition<SqsConfig> = {
  type: 'sqs',
  title: 'Amazon SQS',
  config: sqsConfigSchema,
  notesOf: (config) => [...awsNotesOf(config), ...unmadeNotes(config, queueTemplates(config))],
  routing: sqsRouting,
  routeTemplates: queueTemplates,
  groupTemplates,
  tableNames: ({ tables }) => Object.keys(tables),
  create: (config, context) => Promise.resolve(createSqsSink(config, context)),
};

function createSqsSink(config: SqsConfig, context: SinkContext): Sink<SqsQueue> {
  const connections = new AwsConnections(
    { service: 'sqs', protocol: awsJson('AmazonSQS') },
    config,
    process.env,
  );
  const requests = new RequestWriter({
    deduplicationSuffix: deduplicationSuffix(context.name, context.rewinds),
    messageAttributes: config.message_attributes,
  });
  const { create_if_not_exists: createIfNotExists, allowed } = config;
  const makeQueue = (id: string, creates: boolean): SqsQueue =>
    new SqsQueue({
      id,
      connect: () => connections.clientFor(queuePlace(id)),
      createIfNotExists: creates,
      lanes: config,
      logger: context.logger,
    });
  /** Those that are known before any row. */
  const queues = new Map(
    [
      ...placesOf(config).flatMap(({ place }) => place.queue_name ?? place.queue_url ?? []),
      ...listed(allowed),
    ]
      .filter((id) => !isTemplate(id))
      .map((id) => [id, makeQueue(id, createIfNotExists)]),
  );
  const byRow = new KnownRoutes<SqsQueue>();
  const known = new KnownRoutes<Route<SqsQueue>>();
  const queueByRow = (id: string): SqsQueue => byRow.get(id) ?? byRow.keep(id, makeQueue(id, false));
  const routeTo = (queue: SqsQueue, groupTemplate: string | undefined): Route<SqsQueue> => ({
    id: queue.id,
    keepsOrder: queue.isFifo,
    limits: queue.limits,
    groupTemplate,
    target: queue,
  });
  const send = (found: FoundQueue, batch: readonly Message[], signal: AbortSignal): Promise<Outcome[]> => {
    const body = requests.write(found, batch);
    const { client } = found;
    const sent = { tag: body.tag, count: batch.length, compared: comparedIndex(batch) };
    return client.call('SendMessageBatch', body, signal, (answer) => {
      const ofAll = scanSendReply(answer.body, sent);
      const reply = ofAll === undefined ? readSendReply(answer.parse()) : undefined;
      const outcomes = reply === undefined ? allDelivered(batch) : outcomesOf(reply, sent, failures);
      const digests = reply === undefined ? ofAll : comparedDigests(reply, sent);
      if (digests !== undefined && !isOfBatch(digests, batch, sent.compared)) throw strayReply();
      return outcomes;
    });
  };
  const isOfBatch = (digests: Digests, batch: readonly Message[], compared: number | undefined): boolean => {
    const message = compared === undefined ? undefined : batch[compared];
    return message === undefined || digestsAgree(digests, message, requests.attributesOf(message));
  };
  return {
    encoding: 'json-string',
    routeOf(input: RouteInput): Route<SqsQueue> | undefined {
      const route = queueRoute(config, input);
      return route && routeTo(queues.get(route.queue)!, route.groupTemplate);
    },
    routeByRow(input: RouteInput): RouteByRow<SqsQueue> | undefined {
      const route = queueRoute(config, input);
      if (route === undefined || !isTemplate(route.queue)) return undefined;
      const { key, queue: template, groupTemplate } = route;
      return routeByTemplates({
        input,
        routing: sqsRouting,
        shown: { key, template },
        allowed,
        groupTemplate,
        known,
        open: (_, id) => routeTo(queues.get(id) ?? queueByRow(id), groupTemplate),
      });
    },
    actionsAt: (input) => actionsAtQueue(config, input, context.actions),
    sizeOf: (message) => requests.sizeOf(message),
    deliver: (batch, signal, { target: queue }) => deliver({ route: queue, failures, signal, send }, batch),
    check: (signal, options) =>
      checkRoutes([...queues.values()], { noun: 'queue', failures }, signal, options),
    close: async () => connections.close(),
  };
}

const allDelivered = (batch: readonly Message[]): Outcome[] => batch.map(() => 'delivered');

const comparedDigests = (
  { successful }: ReturnType<typeof readSendReply>,
  { tag, count, compared }: Scanned,
): Digests | undefined => successful.find(({ id }) => indexOfEntry(id, tag, count) === compared)?.digests;
