// The webhook sink: each change, or a batch of them, is POSTed to an HTTP endpoint; a 2xx answer takes it.
import { wallMs } from '../../core/clock.ts';
import { TailraceError, type DeliveryError, type Outcome } from '../../core/errors.ts';
import type { Message } from '../../core/message.ts';
import { isTemplate } from '../../core/template.ts';
import { laneLimits } from '../http/lanes.ts';
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
import { HttpClient } from '../http/client.ts';
import { NoReplyError } from '../http/errors.ts';
import { webhookConfigSchema, webhookRouting, type WebhookConfig } from './config.ts';
import { statusFailure, transportFailure } from './errors.ts';
import { acknowledgedOutcomes } from './reply.ts';
import { RequestBuilder, routedHeaders } from './request.ts';
import { pathFields, shownUrl, webhookUrl } from './url.ts';

/** Sequin's most. */
const MAX_BATCH_COUNT = 1000;

export const webhook: SinkDefinition<WebhookConfig> = {
  type: 'webhook',
  title: 'Webhook',
  config: webhookConfigSchema,
  routing: webhookRouting,
  routeTemplates,
  // Sequin's: an endpoint that reads `data[0]` only must not be sent more unless somebody says so.
  defaults: { batchSize: 1 },
  create: (config, context) => Promise.resolve(createWebhookSink(config, context)),
};

/** Path and headers make one route: all of them are one template here. */
function routeTemplates(config: WebhookConfig): readonly RouteTemplate[] {
  const { http_endpoint_path: path = '' } = config;
  const texts = [
    ...(isTemplate(path) ? [{ key: 'http_endpoint_path', text: path }] : []),
    ...routedHeaders(config).map(({ key, value }) => ({ key: `headers[${key}]`, text: value })),
  ];
  if (texts.length === 0) return [];
  return [{ key: texts.map(({ key }) => key).join(', '), template: texts.map(({ text }) => text).join(' ') }];
}

/** What is sent to a route, and how. */
type Target = { readonly path: string; readonly headers: Readonly<Record<string, string>> };

function createWebhookSink(config: WebhookConfig, context: SinkContext): Sink<Target> {
  const base = urlOf(config, context.name);
  const { http_endpoint_path: path = '' } = config;
  // What is reached without a row: the endpoint itself.
  const url = webhookUrl(base, isTemplate(path) ? '' : path);
  const requests = new RequestBuilder(config, context);
  const client = new HttpClient({
    url,
    timeoutMs: config.timeout,
    connections: config.lanes,
    tls: config.tls,
    denyPrivateAddresses: config.deny_private_addresses,
    keepsBodies: config.partial_acknowledgement,
  });
  const limits = {
    batchCount: config.batch ? MAX_BATCH_COUNT : 1,
    batchBytes: config.max_batch_bytes,
    // The endpoint knows its limit, and answers 413.
    messageBytes: Number.MAX_SAFE_INTEGER,
    ...laneLimits(config),
  };
  const routeTo = (id: string, to: URL, headers: Target['headers']): Route<Target> => ({
    id,
    // One answer covers a whole array, in its order; parts of it may fail only with partial acknowledgement.
    keepsOrder: config.batch && !config.partial_acknowledgement,
    limits,
    groupTemplate: undefined,
    target: { path: to.pathname + to.search, headers },
  });
  const route = routeTo(shownUrl(url), url, {});
  const known = new KnownRoutes<Route<Target>>();
  return {
    routeOf: () => route,
    routeByRow(input: RouteInput): RouteByRow<Target> | undefined {
      const headers = routedHeaders(config);
      if (!isTemplate(path) && headers.length === 0) return undefined;
      const { shown, query } = pathFields(path);
      return routeByTemplates({
        input,
        routing: webhookRouting,
        shown,
        prefix: shownUrl(webhookUrl(base, '')).replace(/\/$/, ''),
        hidden: [query, ...headers.map(({ key, value }) => ({ key: 'headers', name: key, template: value }))],
        groupTemplate: undefined,
        known,
        open: ({ [shown.name]: pathname, [query.name]: search, ...values }, id) =>
          routeTo(id, webhookUrl(base, `${pathname}${search}`), values),
      });
    },
    sizeOf: (message) => requests.sizeOf(message),
    deliver: (batch, signal, { target }) => deliver({ config, requests, client, target, signal }, batch),
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
  readonly client: HttpClient;
  readonly target: Target;
  readonly signal: AbortSignal;
};

/** One request: the answer is of the whole batch, unless the endpoint acknowledges partially. */
async function deliver(delivery: Delivery, batch: readonly Message[]): Promise<readonly Outcome[]> {
  const { config, requests, client, target, signal } = delivery;
  const { path } = target;
  const { headers, body } = await requests.build(batch, { routed: target.headers, nowMs: wallMs() });
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
