// The soak's three receivers: a queue, a webhook and workers that pull, each failing as often as it is told, and each
// counting what it took.
import { QueueAccounting, type AccountingFigures } from '../endpoint/accounting.ts';
import { readMessage, type ReadMessage } from '../endpoint/message.ts';
import { startFaultProxy, type Fault } from '../../test/support/fault-proxy.ts';
import { PullClient } from '../../test/support/pull-workers.ts';
import { startSqsRecorder } from '../../test/support/sqs-recorder.ts';
import { startWebhookServer, type WebhookFault } from '../../test/support/webhook-server.ts';

export type Receiver = {
  readonly name: string;
  /** The destination, as YAML in one line; more of the sink. */
  readonly destination: string;
  readonly options: string;
  figures(): AccountingFigures;
  /** Faults injected so far; changes that may come again for what went wrong after they were taken. */
  readonly counts: { faults: number; mayRepeat: number };
  stop(): Promise<void>;
};

const RETRY = 'retry: { initial_backoff: 20ms, max_backoff: 500ms }';
const FORGET_INTERVAL_MS = 500;
const WORKERS = 8;
const PULL_BATCH = 100;
/** Of the faults of a worker: a message that is forgotten until its lease ends, instead of given back. */
const FORGOTTEN_SHARE = 0.05;

const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!;

/** A receiver whose messages carry no deduplication id and no group: the key and the row stand for them. */
function keyedAccounting(): { accept(body: string): void; figures(): AccountingFigures } {
  const accounting = new QueueAccounting();
  const message: ReadMessage = { id: 0, commitLsn: 0, index: 0, action: '', key: '' };
  return {
    accept(body) {
      readMessage(body, message);
      accounting.accept(String(message.id), message.key, body);
    },
    figures: () => accounting.figures(),
  };
}

/** A FIFO queue: what comes again is not in it. */
export async function queueReceiver(faultShare: number): Promise<Receiver> {
  const recorder = await startSqsRecorder({ createMissing: true });
  const proxy = await startFaultProxy(recorder.url);
  const accounting = new QueueAccounting();
  recorder.onMessage = ({ group = '', dedup = '', body }) => void accounting.accept(group, dedup, body);
  const counts = { faults: 0, mayRepeat: 0 };
  const faults: readonly Fault[] = [
    { kind: 'error', status: 500, code: 'InternalError' },
    { kind: 'error', status: 400, code: 'ThrottlingException' },
    { kind: 'error', status: 503, code: 'ServiceUnavailable' },
    { kind: 'reset', when: 'before' },
    { kind: 'reset', when: 'after' },
    { kind: 'malformed', body: '<html>It works!</html>' },
    { kind: 'entries', refuse: (_, index) => index % 3 === 1, senderFault: false },
    { kind: 'hang' },
    { kind: 'trickle' },
  ];
  proxy.decide = ({ action }) => {
    if (action !== 'SendMessageBatch' || Math.random() >= faultShare) return undefined;
    counts.faults++;
    return pick(faults);
  };
  const forgetting = setInterval(() => proxy.forget(), FORGET_INTERVAL_MS);
  return {
    name: 'queue',
    destination: `{ type: sqs, queue_name: soak.fifo, region: us-east-1, emulator_base_url: "${proxy.url}", timeout: 5s }`,
    options: RETRY,
    figures: () => accounting.figures(),
    counts,
    stop: async () => {
      clearInterval(forgetting);
      await proxy.stop();
      await recorder.stop();
    },
  };
}

/** At least once: what was taken before its answer was lost comes again. */
export async function webhookReceiver(faultShare: number): Promise<Receiver> {
  const server = await startWebhookServer();
  const accounting = keyedAccounting();
  const counts = { faults: 0, mayRepeat: 0 };
  const faults: readonly WebhookFault[] = [
    { kind: 'answer', status: 500, body: 'x'.repeat(1000) },
    { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
    { kind: 'answer', status: 302, headers: { location: 'http://127.0.0.1:1/' } },
    { kind: 'truncate', takes: true },
    { kind: 'truncate', takes: false },
    { kind: 'reset', when: 'before' },
    { kind: 'reset', when: 'after' },
    { kind: 'hang' },
    { kind: 'trickle' },
  ];
  server.decide = ({ messages }) => {
    if (Math.random() >= faultShare) return undefined;
    counts.faults++;
    const fault = pick(faults);
    const takes = fault.kind === 'truncate' ? fault.takes : fault.kind === 'reset' && fault.when === 'after';
    if (takes) counts.mayRepeat += messages.length;
    return fault;
  };
  const count = (): void => {
    for (const body of server.taken) accounting.accept(body);
    server.forget();
  };
  const counting = setInterval(count, FORGET_INTERVAL_MS);
  return {
    name: 'webhook',
    destination: `{ type: webhook, url: "${server.url}/hook", timeout: 5s }`,
    options: `batch_size: 20, ${RETRY}`,
    figures: () => {
      count();
      return accounting.figures();
    },
    counts,
    stop: async () => {
      clearInterval(counting);
      await server.stop();
    },
  };
}

/** Workers that give back and forget; what they have acknowledged does not come again. */
export function pullReceiver(faultShare: number): Receiver & { work(apiUrl: string): void } {
  const accounting = keyedAccounting();
  const counts = { faults: 0, mayRepeat: 0 };
  const stopped = new AbortController();
  const workers: Promise<void>[] = [];
  const round = async (client: PullClient): Promise<void> => {
    const messages = await client.receive({ batchSize: PULL_BATCH, waitFor: '2s' }, stopped.signal);
    const failed = messages.filter(() => Math.random() < faultShare);
    const done = messages.filter((message) => !failed.includes(message));
    const back = failed.filter(() => Math.random() >= FORGOTTEN_SHARE);
    counts.faults += failed.length;
    for (const { data } of done) accounting.accept(JSON.stringify(data));
    if (back.length > 0) await client.nack(...back);
    if (done.length === 0) return;
    counts.mayRepeat += done.length;
    await client.ack(...done);
    counts.mayRepeat -= done.length;
  };
  const worker = async (client: PullClient): Promise<void> => {
    while (!stopped.signal.aborted) await round(client).catch(() => undefined);
  };
  return {
    name: 'pull',
    destination: '{ type: sequin_stream, visibility_timeout_ms: 3000 }',
    options: '',
    figures: () => accounting.figures(),
    counts,
    work(apiUrl) {
      for (let i = 0; i < WORKERS; i++) workers.push(worker(new PullClient(apiUrl, 'pull')));
    },
    stop: async () => {
      stopped.abort();
      await Promise.all(workers);
    },
  };
}
