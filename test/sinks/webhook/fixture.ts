// Sinks and endpoints for the tests of the webhook sink.
import type { ServerOptions } from 'node:https';
import { onTestFinished } from 'vitest';
import type { SinkContext } from '../../../src/sinks/sink.ts';
import { webhook } from '../../../src/sinks/webhook/webhook.ts';
import type { ServerFault, SinkHarness, SinkServer } from '../../sink-suite.ts';
import { direct, silent, type DirectSink } from '../../support/messages.ts';
import { startWebhookServer, type WebhookFault, type WebhookServer } from '../../support/webhook-server.ts';

/** A sink with this destination; it closes with the test. */
export async function createSink(
  destination: object,
  context: Partial<SinkContext> = {},
): Promise<DirectSink> {
  const config = webhook.config.parse({ type: 'webhook', ...destination });
  const sink = await webhook.create(config, { name: 'users', rewinds: 0, logger: silent, ...context });
  onTestFinished(() => sink.close());
  return direct(sink);
}

export async function endpoint(tls?: ServerOptions): Promise<WebhookServer> {
  const server = await startWebhookServer(tls === undefined ? {} : { tls });
  onTestFinished(() => server.stop());
  return server;
}

/** For the suite of every sink: only with partial acknowledgement can an endpoint refuse one message of several. */
export const webhookHarness: SinkHarness = {
  type: 'webhook',
  impatient: { timeout: '900ms' },
  absorbsRepeats: false,
  start: startServer,
};

async function startServer(): Promise<SinkServer> {
  const server = await endpoint();
  const refusals: ((message: string) => WebhookFault | undefined)[] = [];
  server.decide = ({ messages }) =>
    messages.flatMap((message) => refusals.flatMap((refuse) => refuse(message) ?? []))[0];
  return {
    url: server.url,
    destination: { url: `${server.url}/hook`, partial_acknowledgement: true, on_client_error: 'reject' },
    received: () => server.taken,
    failNext: (fault) => server.failNext(asFault(fault)),
    poison(text) {
      refusals.push((message) => (message.includes(text) ? { kind: 'answer', status: 422 } : undefined));
    },
    limitMessages(bytes) {
      refusals.push((message) =>
        Buffer.byteLength(message) > bytes ? { kind: 'answer', status: 413 } : undefined,
      );
    },
    get hanging() {
      return server.hanging;
    },
    down: () => server.down(),
    up: () => server.up(),
  };
}

function asFault(fault: ServerFault): WebhookFault {
  switch (fault.kind) {
    case 'refuse':
      return {
        kind: 'answer',
        status: 200,
        body: JSON.stringify({ batchItemFailures: [{ itemIndex: fault.index, retry: !fault.lasting }] }),
        takes: (_, index) => index !== fault.index,
      };
    case 'unavailable':
      return { kind: 'answer', status: 503 };
    case 'denied':
      return { kind: 'answer', status: 403, body: 'you may not' };
    case 'garbage':
      return { kind: 'answer', status: 200, body: '<html>It works!</html>' };
    case 'hang':
    case 'trickle':
    case 'reset':
      return fault;
    default:
      return fault satisfies never;
  }
}
