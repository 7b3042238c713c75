import { onTestFinished } from 'vitest';
import { sinkSuite, type ServerFault, type SinkServer } from '../sink-suite.ts';
import { startWebhookServer, type WebhookFault } from '../support/webhook-server.ts';

sinkSuite('collector', {
  type: 'collector',
  impatient: { timeout_ms: 300 },
  absorbsRepeats: false,
  start: startCollector,
});

/** What a collector answers to a request with these messages; undefined: nothing of its own. */
type Refusal = (messages: readonly string[]) => number | undefined;

async function startCollector(): Promise<SinkServer> {
  const server = await startWebhookServer();
  onTestFinished(() => server.stop());
  const refusals: Refusal[] = [];
  server.decide = ({ body, messages }) => {
    const status = refusals.flatMap((refusal) => refusal(messages) ?? [])[0] ?? 204;
    return { kind: 'answer', status, takes: () => status === 204 && body !== '' };
  };
  const refuse = (status: number, isRefused: (message: string) => boolean): void =>
    void refusals.push((messages) => (messages.some(isRefused) ? status : undefined));
  return {
    url: server.url,
    destination: { url: `${server.url}/lines` },
    received: () => server.taken,
    failNext(fault) {
      if (fault.kind === 'refuse') refusals.push(refusalOf(fault));
      else server.failNext(asFault(fault));
    },
    poison: (text) => refuse(422, (message) => message.includes(text)),
    limitMessages: (bytes) => refuse(413, (message) => Buffer.byteLength(message) > bytes),
    get hanging() {
      return server.hanging;
    },
    down: () => server.down(),
    up: () => server.up(),
  };
}

/** Refuses every request with the message at the index, until it has come alone. */
function refusalOf({ index, lasting }: ServerFault & { kind: 'refuse' }): Refusal {
  let culprit: string | undefined;
  let isOver = false;
  return (messages) => {
    culprit ??= messages[index]!;
    if (isOver || !messages.includes(culprit)) return undefined;
    isOver = messages.length === 1;
    return lasting ? 422 : 409;
  };
}

function asFault(fault: Exclude<ServerFault, { kind: 'refuse' }>): WebhookFault {
  switch (fault.kind) {
    case 'unavailable':
      return { kind: 'answer', status: 503 };
    case 'denied':
      return { kind: 'answer', status: 403 };
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
