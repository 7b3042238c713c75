// The HTTP side: /health, /ready and /metrics, on the API's port and on a port of their own for monitoring; the API.
import { fastify, type FastifyInstance, type FastifyReply } from 'fastify';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { descriptorLimit } from '../core/descriptors.ts';
import { TailraceError } from '../core/errors.ts';
import type { ServiceControl } from '../pipeline/service/control.ts';
import { healthDocument, isHealthy, isReady, publicHealthDocument } from '../pipeline/service/health.ts';
import type { ListenSettings, ServiceSettings } from '../pipeline/settings.ts';
import type { ServiceStatus } from '../core/status.ts';
import type { PullStreams } from '../pipeline/sink/pull/streams.ts';
import { RepeatedLines } from '../telemetry/repeated-lines.ts';
import { addPullRoutes } from './pull-routes.ts';
import { decideAccess, hostOf, isLoggedIn, isLoopbackHost, type Access } from './access.ts';
import { boundConnections, connectionLimits, LISTENER_LIMITS, type ConnectionLimits } from './connections.ts';
import { answerError, problem } from './errors.ts';
import { addBackfillRoutes } from './backfill-routes.ts';
import { addGapRoutes } from './gap-routes.ts';
import { addServerRoutes } from './server-routes.ts';
import { addSinkRoutes } from './sink-routes.ts';

export type HttpOptions = {
  readonly settings: Pick<ServiceSettings, 'api' | 'metrics'>;
  readonly status: () => ServiceStatus;
  readonly control: ServiceControl;
  /** The text of /metrics. */
  readonly metricsText: () => Promise<string>;
  readonly streams: PullStreams;
  readonly logger: Logger;
};

export type HttpServers = {
  /** `http://127.0.0.1:7376`; undefined when that listener is off or its port was taken. */
  readonly apiUrl: string | undefined;
  readonly metricsUrl: string | undefined;
  /** Since the start, of both listeners. */
  refusedConnections(): number;
  /** Cuts connections that are open, so that a scraper's keep-alive delays nothing. */
  close(): Promise<void>;
};

type Listening = { readonly url: string; readonly app: FastifyInstance; readonly refused: () => number };

declare module 'fastify' {
  interface FastifyRequest {
    access: Access;
  }
}

/** As Sequin says it. */
const NO_ROUTE = { errors: { detail: 'Not Found' } };

/** `database/sink`: two names of 128 characters, each of which may be escaped. */
const MAX_NAME_CHARACTERS = 3 * (2 * 128 + 1);

const answerNoRoute = (reply: FastifyReply): FastifyReply => reply.code(404).send(NO_ROUTE);

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Opens the listeners. Throws TailraceError when a port that the configuration names cannot be had. */
export async function startHttp(options: HttpOptions): Promise<HttpServers> {
  const { api, metrics } = options.settings;
  const limits = connectionLimits(descriptorLimit());
  // Everything is served on the API's port anyway: one address written twice is one listener.
  const isOne = sameAddress(api.listen, metrics.listen);
  const apiLimits = isOne ? { ...limits, api: limits.api + limits.metrics } : limits;
  const apiServer = await listen('api', api.listen, apiLimits, options);
  let metricsServer: Listening | undefined;
  try {
    metricsServer = isOne ? apiServer : await listen('metrics', metrics.listen, limits, options);
  } catch (error) {
    await apiServer?.app.close();
    throw error;
  }
  const listeners = [...new Set([apiServer, metricsServer])].filter((it) => it !== undefined);
  return {
    apiUrl: apiServer?.url,
    metricsUrl: metricsServer?.url,
    refusedConnections: () => listeners.reduce((sum, { refused }) => sum + refused(), 0),
    close: async () => {
      await Promise.all(listeners.map(({ app }) => app.close()));
    },
  };
}

const sameAddress = (a: ListenSettings, b: ListenSettings): boolean =>
  a !== 'off' && b !== 'off' && a.port !== 0 && a.port === b.port && a.host === b.host;

async function listen(
  room: 'api' | 'metrics',
  address: ListenSettings,
  { [room]: maxConnections, firstReserved }: ConnectionLimits,
  options: HttpOptions,
): Promise<Listening | undefined> {
  if (address === 'off') return undefined;
  const app = createApp(address.host, options);
  // What changes or shows data is for the API's own listener, which the configuration guards.
  if (room === 'api') {
    addSinkRoutes(app, options.control);
    addGapRoutes(app, options.control);
    addBackfillRoutes(app, options.control);
    addServerRoutes(app, options.control);
    addPullRoutes(app, options);
  }
  try {
    await app.listen({ host: address.host, port: address.port });
  } catch (cause) {
    await app.close();
    const where = `${address.host}:${address.port}`;
    const code = (cause as NodeJS.ErrnoException).code ?? 'LISTEN_FAILED';
    const problem = `${room}.listen: cannot listen on ${where} (${code})`;
    const hint = `free that address, or set ${room}.listen to another one, to port 0 (any free port) or to "off"`;
    if (address.explicit) throw new TailraceError(problem, { code, kind: 'fatal', hint, cause });
    options.logger.warn({ hint }, `${problem}; going on without it`);
    return undefined;
  }
  const { logger } = options;
  const refused = boundConnections(app.server, { room, maxConnections, firstReserved, logger });
  const { port } = app.server.address() as AddressInfo;
  const url = `http://${address.host.includes(':') ? `[${address.host}]` : address.host}:${port}`;
  logger.info({ url }, `${room} listens`);
  return { url, app, refused };
}

function createApp(host: string, options: HttpOptions): FastifyInstance {
  const { status, metricsText } = options;
  const rules = { loopback: isLoopbackHost(host), tokens: options.settings.api.tokens };
  const app = fastify({
    ...LISTENER_LIMITS,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_NAME_CHARACTERS },
    // A path that cannot be read, or with a name longer than any.
    frameworkErrors: (_error, _request, reply: FastifyReply) => void answerNoRoute(reply),
  });
  app.decorateRequest('access', 'public');

  app.addHook('onRequest', async (request, reply) => {
    const { origin, authorization } = request.headers;
    const host = hostOf(request.originalUrl, request.raw.rawHeaders);
    const fetchSite = request.headers['sec-fetch-site'];
    request.access = decideAccess(rules, { host, origin, authorization, fetchSite: fetchSite?.toString() });
    if (request.access === 'forbidden') {
      return reply.code(403).send(problem('this listener answers requests for its loopback address only'));
    }
    // Monitoring needs no token, so a wrong one does not keep it out; what shows more says that it is wrong.
    if (request.access === 'unauthorized' && request.routeOptions.url === '/health') {
      return reply.code(401).send(problem('unknown token'));
    }
    return undefined;
  });

  app.get('/health', async (request, reply) => {
    const now = status();
    const document = request.access === 'full' ? healthDocument(now) : publicHealthDocument(now);
    return reply.code(isHealthy(now) ? 200 : 503).send(document);
  });
  app.get('/ready', async (_request, reply) => {
    const ready = isReady(status());
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  app.get('/metrics', async (request, reply) => {
    const { login } = options.settings.metrics;
    const hasToken = request.access === 'full' && rules.tokens.length > 0;
    if (login !== undefined && !hasToken && !isLoggedIn(login, request.headers.authorization)) {
      reply.code(401).header('www-authenticate', 'Basic realm="Tailrace metrics", charset="UTF-8"');
      return reply.send(problem('the metrics need a user and a password'));
    }
    return reply.type(METRICS_CONTENT_TYPE).send(await metricsText());
  });

  const lines = new RepeatedLines(options.logger);
  app.setNotFoundHandler((_request, reply) => answerNoRoute(reply));
  app.setErrorHandler((error, _request, reply) => {
    const answered = answerError(error, reply);
    if (answered !== undefined) return answered;
    lines.say({ level: 'error', message: 'a request failed', fields: { err: error } });
    return reply.code(500).send(problem('internal error; the log has it'));
  });
  return app;
}
