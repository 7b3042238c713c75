// The webhook sink: each change, or a batch of them, is POSTed to an HTTP endpoint; a 2xx answer takes it.
import { wallMs } from '../../core/clock.ts';
import { TailraceError, type DeliveryError, type Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import { laneLimits } from '../http/lanes.ts';
import type { Route, Sink, SinkContext, SinkDefinition } from '../sink.ts';
import { HttpClient } from '../http/client.ts';
import { NoReplyError } from '../http/errors.ts';
import { webhookConfigSchema, type WebhookConfig } from './config.ts';
import { statusFailure, transportFailure } from './errors.ts';
import { acknowledgedOutcomes } from './reply.ts';
import { RequestBuilder } from './request.ts';
import { shownUrl, webhookUrl } from './url.ts';

/** Sequin's most. */
const MAX_BATCH_COUNT = 1000;

export const webhook: SinkDefinition<WebhookConfig> = {
  type: 'webhook',
  title: 'Webhook',
  config: webhookConfigSchema,
  // Sequin's: an endpoint that reads `data[0]` only must not be sent more unless somebody says so.
  defaults: { batchSize: 1 },
  create: (config, context) => Promise.resolve(createWebhookSink(config, context)),
};

function createWebhookSink(config: WebhookConfig, context: SinkContext): Sink<HttpClient> {
  const url = webhookUrl(urlOf(config, context.name), config.http_endpoint_path ?? '');
  const path = url.pathname + url.search;
  const requests = new RequestBuilder(config, context);
  const client = new HttpClient({
    url,
    timeoutMs: config.timeout,
    connections: config.lanes,
    tls: config.tls,
    denyPrivateAddresses: config.deny_private_addresses,
    keepsBodies: config.partial_acknowledgement,
  });
  const route: Route<HttpClient> = {
    id: shownUrl(url),
    // One answer covers a whole array, in its order; parts of it may fail only with partial acknowledgement.
    keepsOrder: config.batch && !config.partial_acknowledgement,
    limits: {
      batchCount: config.batch ? MAX_BATCH_COUNT : 1,
      batchBytes: config.max_batch_bytes,
      // The endpoint knows its limit, and answers 413.
      messageBytes: Number.MAX_SAFE_INTEGER,
      ...laneLimits(config),
    },
    groupTemplate: undefined,
    target: client,
  };
  return {
    routeOf: () => route,
    sizeOf: (message) => requests.sizeOf(message),
    deliver: (batch, signal, { target }) =>
      deliver({ config, requests, path, client: target, signal }, batch),
    check: async (signal) => {
      try {
        await client.probe(signal);
      } catch (error) {
        if (!(error instanceof NoReplyError)) throw error;
        const { code, hint } = transportFailure(error);
        throw new TailraceError(`endpoint ${route.id}: ${code}`, {
          code,
          kind: 'retryable',
          hint,
          cause: error,
        });
      }
    },
    close: () => client.close(),
  };
}

/** The configuration's reader has put the URL of `http_endpoint` here. */
function urlOf(config: WebhookConfig, sink: string): string {
  if (config.url !== undefined) return config.url;
  throw new TailraceError(`sink "${sink}": http_endpoint "${config.http_endpoint}" was not resolved`, {
    code: 'ENDPOINT_MISSING',
    kind: 'fatal',
  });
}

type Delivery = {
  readonly config: WebhookConfig;
  readonly requests: RequestBuilder;
  readonly path: string;
  readonly client: HttpClient;
  readonly signal: AbortSignal;
};

/** One request: the answer is of the whole batch, unless the endpoint acknowledges partially. */
async function deliver(delivery: Delivery, batch: readonly Message[]): Promise<readonly Outcome[]> {
  const { config, requests, path, client, signal } = delivery;
  const { headers, body } = await requests.build(batch, wallMs());
  let failure: DeliveryError | undefined;
  try {
    const reply = await client.request({ method: 'POST', path, headers, body }, signal);
    failure = statusFailure(reply, config, wallMs());
    if (failure === undefined) {
      return config.partial_acknowledgement
        ? acknowledgedOutcomes(reply, batch)
        : batch.map((): Outcome => 'delivered');
    }
  } catch (error) {
    if (!(error instanceof NoReplyError)) throw error;
    failure = transportFailure(error);
  }
  return batch.map(() => failure);
}
