// SendMessageBatch of ten 400-byte messages, 32 requests in flight: our client, and the SDK's for comparison.
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { pino } from 'pino';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { literal } from '../../src/core/encoding.ts';
import { toLsn } from '../../src/core/lsn.ts';
import type { Message } from '../../src/core/message.ts';
import { sqs } from '../../src/sinks/sqs/sqs.ts';
import { BenchQueue } from '../endpoint/queue.ts';
import { startEndpointServer } from '../endpoint/server.ts';
import type { Stage } from './stage.ts';

const LANES = 32;
const MESSAGES = 10;
const REQUESTS = 10_000;
const ROUNDS = 3;
const QUEUE = 'bench.fifo';
const TEXTS = Array.from({ length: MESSAGES }, (_, index) => bodyOf(1, index));
/** As the sink wants them. */
const BODIES = TEXTS.map((text) => literal(text, 'json-string').bytes);

if (!isMainThread) await serve();

/** The endpoint has a thread of its own: only the client's CPU counts. */
async function serve(): Promise<void> {
  const queue = new BenchQueue(process.cpuUsage());
  const { url } = await startEndpointServer(() => queue);
  parentPort!.postMessage(url);
}

export async function stages(): Promise<Stage[]> {
  const worker = new Worker(import.meta.filename);
  const url = await new Promise<string>((done) => worker.once('message', done));
  const own = await cpuPerMessage(REQUESTS, await tailraceClient(url));
  const sdk = await cpuPerMessage(REQUESTS / 10, sdkClient(url));
  await worker.terminate();
  return [
    { stage: 'request', usPerRow: own, note: 'ten messages of 400 bytes: JSON, signature, HTTP, answer' },
    { stage: 'request (AWS SDK)', usPerRow: sdk, note: 'for comparison: the same' },
  ];
}

type Send = (request: number) => Promise<unknown>;

async function cpuPerMessage(requests: number, send: Send): Promise<number> {
  let next = 0;
  const lane = async (until: number): Promise<void> => {
    while (next < until) await send(next++);
  };
  const run = (until: number) => Promise.all(Array.from({ length: LANES }, () => lane(until)));
  let best = Infinity;
  // The first round is the compiler's.
  for (let round = 0; round <= ROUNDS; round++) {
    const cpu = process.threadCpuUsage();
    const first = next;
    await run(first + requests);
    const { user, system } = process.threadCpuUsage(cpu);
    if (round > 0) best = Math.min(best, (user + system) / (next - first) / MESSAGES);
  }
  return best;
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
  const route = sink.routeOf({ schema: 'public', table: 'users', action: 'insert' })!;
  const signal = new AbortController().signal;
  const stamp = Date.now();
  const messageOf = (request: number, index: number): Message => {
    const buffer = BODIES[index]!;
    const idempotencyKey = `${stamp}-1-${request}-${index}`;
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
      idempotencyKey,
      writeKey: (writer) => writer.latin1(idempotencyKey),
      groupId: undefined,
      commitTimeUs: 0n,
      row: undefined,
    };
  };
  return async (request) => {
    const batch = Array.from({ length: MESSAGES }, (_, index) => messageOf(request, index));
    const outcomes = await sink.deliver(batch, signal, route);
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
    if (reply.Successful?.length !== MESSAGES) throw new Error(JSON.stringify(reply.Failed));
  };
}
