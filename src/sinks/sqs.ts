// The SQS sink: each change is a message, ten at most in a request, each with an outcome of its own.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
import { TailraceError, type DeliveryError, type Outcome } from '../core/errors.ts';
import type { Message } from '../core/message.ts';
import { isMissingQueue, RequestError } from './aws-errors.ts';
import type { Route, RouteInput, Sink, SinkContext, SinkDefinition } from './sink.ts';
import { placesOf, sqsConfigSchema, type SqsConfig } from './sqs-config.ts';
import { SqsConnections } from './sqs-connections.ts';
import { requestFailure } from './sqs-errors.ts';
import { deduplicationSuffix } from './sqs-ids.ts';
import { SqsQueue, type FoundQueue } from './sqs-queue.ts';
import { outcomesOf } from './sqs-reply.ts';
import { REQUEST_HEAD_ROOM, RequestWriter } from './sqs-request.ts';
import { queueRoute } from './sqs-routes.ts';

export const sqs: SinkDefinition<SqsConfig> = {
  type: 'sqs',
  title: 'Amazon SQS',
  config: sqsConfigSchema,
  create: (config, context) => Promise.resolve(createSqsSink(config, context)),
};

function createSqsSink(config: SqsConfig, context: SinkContext): Sink {
  const connections = new SqsConnections(config, process.env);
  const requests = new RequestWriter({
    deduplicationSuffix: deduplicationSuffix(context.name, context.rewinds),
    messageAttributes: config.message_attributes,
  });
  const queues = new Map<string, SqsQueue>();
  for (const { place } of placesOf(config)) {
    const id = place.queue_name ?? place.queue_url;
    if (id === undefined) continue;
    const connect = () => connections.clientFor(place.queue_url);
    const { create_if_not_exists: createIfNotExists, lanes } = config;
    queues.set(id, new SqsQueue({ id, connect, createIfNotExists, lanes, logger: context.logger }));
  }
  return {
    encoding: 'json-string',
    routeOf(input: RouteInput): Route | undefined {
      const route = queueRoute(config, input, context.actions);
      if (route === undefined) return undefined;
      const queue = queues.get(route.queue)!;
      return {
        id: queue.id,
        keepsOrder: queue.isFifo,
        limits: queue.limits,
        groupTemplate: route.groupTemplate,
        severalActions: route.severalActions,
      };
    },
    sizeOf: (message) => requests.sizeOf(message),
    deliver: (batch, signal) => deliver({ queue: queues.get(batch[0]!.route)!, requests, signal }, batch),
    check: (signal, options) => checkAll([...queues.values()], signal, options),
    close: () => {
      connections.close();
      return Promise.resolve();
    },
  };
}

type Delivery = { readonly queue: SqsQueue; readonly requests: RequestWriter; readonly signal: AbortSignal };

/** One request, or more where SQS refuses it whole for what may be one message's fault. */
async function deliver(delivery: Delivery, batch: readonly Message[]): Promise<readonly Outcome[]> {
  const { queue, signal } = delivery;
  try {
    const found = await queue.find(signal);
    return outcomesOf(await request(delivery, found, batch), batch.length);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    if (isMissingQueue(error)) queue.forget();
    const failure = requestFailure(error);
    if (failure.scope === 'message' && batch.length > 1) {
      if (error.code === 'BatchRequestTooLong') queue.lowerBatchLimit();
      return deliverHalves(delivery, batch);
    }
    return batch.map(() => failure);
  }
}

/** Halves until the culprit is alone: one bad message must not fail its batch mates, nor be sent with them for ever. */
async function deliverHalves(delivery: Delivery, batch: readonly Message[]): Promise<readonly Outcome[]> {
  const middle = batch.length >> 1;
  const first = await deliver(delivery, batch.slice(0, middle));
  const rest = batch.slice(middle);
  // The second half waits for the first (order), and is not sent where the route has failed by now.
  const broken = first.find(
    (outcome): outcome is DeliveryError => outcome !== 'delivered' && outcome.scope !== 'message',
  );
  return [...first, ...(broken === undefined ? await deliver(delivery, rest) : rest.map(() => broken))];
}

async function request(
  { requests, signal }: Delivery,
  found: FoundQueue,
  batch: readonly Message[],
): Promise<unknown> {
  const writer = requests.write(found, batch);
  const body = { buffer: writer.buffer, bodyStart: REQUEST_HEAD_ROOM, end: writer.length };
  const reply = await found.client.call('SendMessageBatch', body, signal);
  // Not after an error: a dead socket may still be reading the buffer.
  requests.release(writer);
  return reply;
}

/** Every queue is asked; what is wrong with any of them is in one error. */
async function checkAll(
  queues: readonly SqsQueue[],
  signal: AbortSignal,
  options: { readonly create: boolean },
): Promise<void> {
  const results = await Promise.allSettled(queues.map((queue) => queue.check(signal, options)));
  signal.throwIfAborted();
  const errors = results.flatMap((result, index) =>
    result.status === 'rejected' ? [checkError(queues[index]!, result.reason)] : [],
  );
  const [first] = errors;
  if (first === undefined) return;
  if (errors.length === 1) throw first;
  throw new TailraceError(errors.map(({ message }) => message).join('; '), {
    code: first.code,
    kind: 'retryable',
    hint: [...new Set(errors.map(({ hint }) => hint))].join('; '),
    cause: new AggregateError(errors),
  });
}

function checkError(queue: SqsQueue, error: unknown): TailraceError {
  if (!(error instanceof RequestError)) throw error;
  const { code, hint } = requestFailure(error);
  return new TailraceError(`queue ${queue.id}: ${code}`, { code, kind: 'retryable', hint, cause: error });
}
