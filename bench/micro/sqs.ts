// CPU of one SendMessageBatch of ten 400-byte messages: our client against the SDK's, 32 requests in flight.
// Run: npx node bench/micro/sqs.ts [requests]
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { pino } from 'pino';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { literal } from '../../src/core/encoding.ts';
import { toLsn } from '../../src/core/lsn.ts';
import type { Message } from '../../src/core/message.ts';
import { sqs } from '../../src/sinks/sqs.ts';
import { startSqsRecorder } from '../../test/support/sqs-recorder.ts';

const LANES = 32;
const QUEUE = 'bench.fifo';
const TEXTS = Array.from({ length: 10 }, (_, index) => bodyOf(1, index));
const BODIES = TEXTS.map((text) => literal(text, 'json-string').bytes);

if (isMainThread) await main(Number(process.argv[2] ?? 20_000));
else await serve();

/** The endpoint has a thread of its own: only the client's CPU counts. */
async function serve(): Promise<void> {
  const recorder = await startSqsRecorder({ createMissing: true });
  recorder.onMessage = () => undefined;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort!.postMessage(recorder.url);
}

async function main(requests: number): Promise<void> {
  const worker = new Worker(import.meta.filename);
  const url = await new Promise<string>((done) => worker.once('message', done));
  const rows = [];
  for (let round = 0; round < 3; round++) {
    rows.push({ client: 'tailrace', ...(await measure(requests, await tailraceClient(url))) });
    rows.push({ client: 'sdk', ...(await measure(requests / 10, sdkClient(url))) });
  }
  console.table(rows);
  await worker.terminate();
}

type Send = (request: number) => Promise<unknown>;

async function measure(
  requests: number,
  send: Send,
): Promise<{ cpuMsPerRequest: number; messagesPerSecond: number }> {
  let next = 0;
  const lane = async (until: number): Promise<void> => {
    while (next < until) await send(next++);
  };
  const run = (until: number) => Promise.all(Array.from({ length: LANES }, () => lane(until)));
  await run(requests / 5); // the compiler warms up
  const cpu = process.threadCpuUsage();
  const startedAt = performance.now();
  const first = next;
  await run(first + requests);
  const { user, system } = process.threadCpuUsage(cpu);
  const seconds = (performance.now() - startedAt) / 1000;
  const sent = next - first;
  return {
    cpuMsPerRequest: Number(((user + system) / 1000 / sent).toFixed(3)),
    messagesPerSecond: Math.round((sent * 10) / seconds),
  };
}

function bodyOf(request: number, index: number): string {
  const record = { id: request, email: `user${index}@example.com`, note: 'x'.repeat(180) };
  const metadata = {
    table_schema: 'public',
    table_name: 'users',
    commit_lsn: request,
    commit_idx: index,
    database_name: 'shop',
  };
  return JSON.stringify({ record, changes: null, action: 'insert', metadata });
}

async function tailraceClient(url: string): Promise<Send> {
  const config = sqs.config.parse({
    type: 'sqs',
    queue_name: QUEUE,
    emulator_base_url: url,
    access_key_id: 'a',
    secret_access_key: 'b',
  });
  const sink = await sqs.create(config, { name: 'bench', rewinds: 0, logger: pino({ enabled: false }) });
  const signal = new AbortController().signal;
  const stamp = Date.now();
  const messageOf = (request: number, index: number): Message => {
    const buffer = BODIES[index]!;
    return {
      position: { epoch: 1, commitLsn: toLsn(1n), index },
      buffer,
      start: 0,
      end: buffer.length,
      jsonBytes: TEXTS[index]!.length,
      group: `public.users:${request * 10 + index}`,
      route: QUEUE,
      action: 'insert',
      schema: 'public',
      table: 'users',
      idempotencyKey: `${stamp}-1-${request}-${index}`,
      groupId: undefined,
    };
  };
  return async (request) => {
    const batch = Array.from({ length: 10 }, (_, index) => messageOf(request, index));
    const outcomes = await sink.deliver(batch, signal);
    if (!outcomes.every((outcome) => outcome === 'delivered')) throw new Error(JSON.stringify(outcomes));
  };
}

function sdkClient(url: string): Send {
  const client = new SQSClient({
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    requestHandler: { httpAgent: { maxSockets: LANES } },
  });
  const stamp = Date.now();
  return async (request) => {
    const Entries = TEXTS.map((MessageBody, index) => ({
      Id: String(index),
      MessageBody,
      MessageGroupId: `public.users:${request * 10 + index}`,
      MessageDeduplicationId: `${stamp}-sdk-${request}-${index}`,
    }));
    const reply = await client.send(
      new SendMessageBatchCommand({ QueueUrl: `${url}/000000000000/${QUEUE}`, Entries }),
    );
    if (reply.Successful?.length !== 10) throw new Error(JSON.stringify(reply.Failed));
  };
}
