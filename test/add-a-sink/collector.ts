// The collector sink: each batch is POSTed as `{"data":[…]}` to an HTTP collector, which answers 204 when it has taken it.
import { z } from 'zod';
import { TailraceError, type DeliveryError } from '../../src/core/errors.ts';
import type { Message } from '../../src/core/message.ts';
import { HttpClient } from '../../src/sinks/http/client.ts';
import { endpointUrl } from '../../src/sinks/http/endpoint.ts';
import { NoReplyError } from '../../src/sinks/http/errors.ts';
import type { Route, Sink, SinkDefinition } from '../../src/sinks/sink.ts';

const LANES = 16;
const MAX_BYTES = 1024 * 1024;

const schema = z.strictObject({
  type: z.literal('collector').describe('An HTTP collector.'),
  url: endpointUrl().describe('URL of the collector.'),
  token: z.string().min(1).optional().meta({ description: 'Sent as a bearer token.', secret: true }),
  timeout_ms: z.int().min(1).default(10_000).describe('How long a request may take, in milliseconds.'),
});

export const collector: SinkDefinition<z.output<typeof schema>> = {
  type: 'collector',
  title: 'HTTP collector',
  config: schema,
  create: (config) => Promise.resolve(createCollector(config)),
};

function createCollector(config: z.output<typeof schema>): Sink {
  const url = new URL(config.url);
  const client = new HttpClient({ url, timeoutMs: config.timeout_ms, connections: LANES });
  const headers = {
    'content-type': 'application/json',
    ...(config.token === undefined ? {} : { authorization: `Bearer ${config.token}` }),
  };
  const route: Route = {
    id: url.origin + url.pathname,
    keepsOrder: true, // one answer for the whole request, in its order
    limits: { batchCount: 100, batchBytes: MAX_BYTES, messageBytes: MAX_BYTES, lanesPerRoute: LANES },
    groupTemplate: undefined,
    target: undefined,
  };
  /** Undefined: the collector has done what was asked. */
  const send = async (
    method: 'HEAD' | 'POST',
    body: string,
    signal: AbortSignal,
  ): Promise<DeliveryError | undefined> => {
    try {
      const request = { method, path: url.pathname + url.search, headers, body: Buffer.from(body) };
      const { status } = await client.request(request, signal);
      return failureOf(status);
    } catch (error) {
      if (!(error instanceof NoReplyError)) throw error;
      const hint = `${error.message} — is the collector up, and its URL right?`;
      return { kind: 'retryable', scope: 'route', code: error.code, hint };
    }
  };
  return {
    routeOf: () => route,
    sizeOf: (message) => message.end - message.start + 1,
    async deliver(batch, signal) {
      const failure = await send('POST', `{"data":[${batch.map(textOf).join(',')}]}`, signal);
      return batch.map(() => failure ?? 'delivered');
    },
    async check(signal) {
      const failure = await send('HEAD', '', signal);
      if (failure === undefined) return;
      const { code, hint } = failure;
      throw new TailraceError(`collector ${route.id}: ${code}`, { code, kind: 'retryable', hint });
    },
    close: () => client.close(),
  };
}

const textOf = ({ buffer, start, end }: Message): string => buffer.toString('utf8', start, end);

function failureOf(status: number): DeliveryError | undefined {
  if (status === 204) return undefined;
  const code = `HTTP_${status}`;
  const answer = `the collector answers ${status}`;
  switch (status) {
    case 409: // one of the messages it cannot take now
      return { kind: 'retryable', scope: 'batch', code, hint: `${answer}: it asks for the message again` };
    case 413:
    case 422: // one of them it will never take
      return { kind: 'rejected', scope: 'batch', code, hint: `${answer}: it refuses this message` };
    default: // its own trouble, whatever it was sent
      return { kind: 'retryable', scope: 'route', code, hint: `${answer} — look into its log` };
  }
}
