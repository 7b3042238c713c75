// The pull stream over HTTP: receive, ack, nack, with Sequin's documented requests, responses and errors.
// https://sequinstream.com/docs/reference/sequin-stream-api/receive
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { describeError, TailraceError } from '../core/errors.ts';
import type { PullStream, PullStreams } from '../pipeline/sink/pull/streams.ts';
import { RepeatedLines } from '../telemetry/repeated-lines.ts';
import { isJsonType, mayBeCrossSite } from './access.ts';
import { NOT_JSON } from './errors.ts';
import { parseAckIds, parseReceive, RequestFault } from './pull-parameters.ts';

/** Sequin's clients know both. */
const PREFIXES = ['/api/http_pull_consumers', '/api/sequin_streams'];
const NO_MESSAGES = '{"data":[]}';
const JSON_TYPE = 'application/json; charset=utf-8';
/** After a 429 or 503, in seconds. https://www.rfc-editor.org/rfc/rfc9110#name-retry-after */
const RETRY_AFTER_SECONDS = '1';

export type PullRouteOptions = { readonly streams: PullStreams; readonly logger: Logger };

type StreamRoute = { Params: { idOrName: string } };
type StreamRequest = FastifyRequest<StreamRoute>;

export function addPullRoutes(app: FastifyInstance, { streams, logger }: PullRouteOptions): void {
  const found = (request: StreamRequest): PullStream => {
    const { idOrName } = request.params;
    const stream = streams.find(idOrName);
    if (stream !== undefined) return stream;
    throw new RequestFault(404, `Not found: there is no stream with the name or id "${idOrName}"`);
  };

  void app.register(async (scope) => {
    scope.addHook('onRequest', async (request) => {
      if (request.access === 'full') return refuseCrossSite(request);
      throw new RequestFault(
        401,
        request.access === 'unauthorized'
          ? 'Unknown API token: it is none of api.tokens'
          : 'An API token is needed: send the header "Authorization: Bearer <token>" with one of api.tokens',
      );
    });
    // An empty body is no fault: what it could say has defaults.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
      try {
        done(null, body === '' ? {} : JSON.parse(String(body)));
      } catch {
        done(new RequestFault(400, 'The body is not JSON'));
      }
    });
    const lines = new RepeatedLines(logger);
    scope.setErrorHandler((error: FastifyError, _request, reply) => answerError(error, reply, lines));
    for (const prefix of PREFIXES) {
      scope.route<StreamRoute>({
        method: ['GET', 'POST'],
        // A HEAD would take messages that it cannot show.
        exposeHeadRoute: false,
        url: `${prefix}/:idOrName/receive`,
        handler: async (request, reply) => {
          const stream = found(request);
          const asked = parseReceive(request.query, request.body);
          const messages = await stream.receive(asked, closeSignal(reply));
          return reply.type(JSON_TYPE).send(messages === undefined ? NO_MESSAGES : asBuffer(messages));
        },
      });
      for (const verb of ['ack', 'nack'] as const) {
        scope.post<StreamRoute>(`${prefix}/:idOrName/${verb}`, async (request) => {
          await found(request)[verb](parseAckIds(request.body));
          return { success: true };
        });
      }
    }
  });
}

/**
 * All of these change who holds a message, `receive` by GET too. A body of another type than JSON is refused even where it is
 * empty; a POST without any says with its Origin whose it is.
 */
function refuseCrossSite({ method, headers }: FastifyRequest): void {
  const { 'content-type': contentType, authorization } = headers;
  if (method === 'POST' && contentType === undefined) return;
  const fetchSite = headers['sec-fetch-site']?.toString();
  if (method === 'GET' && !mayBeCrossSite({ contentType, authorization, fetchSite })) return;
  if (isJsonType(contentType)) return;
  throw new RequestFault(400, method === 'GET' ? GET_NEEDS : NOT_JSON);
}

const GET_NEEDS =
  'A GET takes messages, and any web page could send it: ask with POST, or send the header "Content-Type: application/json"';

const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Aborts when the client goes before it was answered: nobody must be given messages that nobody reads. */
function closeSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return gone.signal;
}

function answerError(error: FastifyError, reply: FastifyReply, lines: RepeatedLines): FastifyReply {
  // The client has gone; there is nobody to tell.
  if (error.name === 'AbortError') return reply.code(499).send();
  if (error instanceof TailraceError) {
    const status = error.code === 'TOO_MANY_WAITING' ? 429 : 503;
    return reply
      .code(status)
      .header('retry-after', RETRY_AFTER_SECONDS)
      .send({ summary: describeError(error) });
  }
  const { statusCode = 500 } = error;
  if (statusCode === 415) return reply.code(400).send({ summary: NOT_JSON });
  if (statusCode < 500) return reply.code(statusCode).send({ summary: error.message });
  lines.say({ level: 'error', message: 'a request failed', fields: { err: error } });
  return reply.code(500).send({ summary: 'Internal error; the log of the service has it' });
}
