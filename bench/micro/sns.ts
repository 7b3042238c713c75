// CPU of one PublishBatch of ten 400-byte messages: our client against the SDK's, 32 requests in flight.
// Run: npx node bench/micro/sns.ts [requests]
import { PublishBatchCommand, SNSClient } from '@aws-sdk/client-sns';
import { pino } from 'pino';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { ByteWriter } from '../../src/core/byte-writer.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { sns } from '../../src/sinks/sns/sns.ts';
import { startSnsRecorder } from '../../test/support/sns-recorder.ts';

const LANES = 32;
const TOPIC_ARN = 'arn:aws:sns:us-east-1:123456789012:bench';
const TEXTS = Array.from({ length: 10 }, (_, index) =>
  JSON.stringify({
    record: { id: index, email: `user${index}@example.com`, note: 'x'.repeat(180) },
    changes: null,
    action: 'insert',
    metadata: { table_schema: 'public', table_name: 'users', commit_idx: index, database_name: 'shop' },
  }),
);
const BODIES = TEXTS.map((text) => Buffer.from(text));

type Send = () => Promise<unknown>;

if (isMainThread) await main(Number(process.argv[2] ?? 10_000));
else await serve();

/** The endpoint has a thread of its own: only the client's CPU counts. */
async function serve(): Promise<void> {
  const recorder = await startSnsRecorder();
  recorder.createTopic('bench');
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

async function measure(
  requests: number,
  send: Send,
): Promise<{ cpuMsPerRequest: number; messagesPerSecond: number }> {
  const run = async (count: number): Promise<void> => {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await send();
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  };
  await run(requests / 5); // the compiler warms up
  const cpu = process.threadCpuUsage();
  const startedAt = performance.now();
  await run(requests);
  const { user, system } = process.threadCpuUsage(cpu);
  const seconds = (performance.now() - startedAt) / 1000;
  return {
    cpuMsPerRequest: Number(((user + system) / 1000 / requests).toFixed(3)),
    messagesPerSecond: Math.round((requests * 10) / seconds),
  };
}

async function tailraceClient(url: string): Promise<Send> {
  const keys = { access_key_id: 'a', secret_access_key: 'b' };
  const config = sns.config.parse({ type: 'sns', topic_arn: TOPIC_ARN, emulator_base_url: url, ...keys });
  const sink = await sns.create(config, { name: 'bench', rewinds: 0, logger: pino({ enabled: false }) });
  const route = sink.routeOf({ schema: 'public', table: 'users', action: 'insert' })!;
  const signal = new AbortController().signal;
  const batch = BODIES.map((buffer, index) => ({
    position: { epoch: 1, commitLsn: toLsn(1n), index },
    buffer,
    start: 0,
    end: buffer.length,
    jsonBytes: buffer.length,
    group: `public.users:${index}`,
    route: TOPIC_ARN,
    action: 'insert' as const,
    schema: 'public',
    table: 'users',
    idempotencyKey: `bench-1-1-${index}`,
    writeKey: (writer: ByteWriter) => writer.latin1(`bench-1-1-${index}`),
    groupId: undefined,
    commitTimeUs: 0n,
    row: undefined,
  }));
  return async () => {
    const outcomes = await sink.deliver(batch, signal, route);
    if (!outcomes.every((outcome) => outcome === 'delivered')) throw new Error(JSON.stringify(outcomes));
  };
}

function sdkClient(url: string): Send {
  const client = new SNSClient({
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    requestHandler: { httpAgent: { maxSockets: LANES } },
  });
  const PublishBatchRequestEntries = TEXTS.map((Message, index) => ({ Id: String(index), Message }));
  const command = (): PublishBatchCommand =>
    new PublishBatchCommand({ TopicArn: TOPIC_ARN, PublishBatchRequestEntries });
  return async () => {
    const reply = await client.send(command());
    if (reply.Successful?.length !== 10) throw new Error(JSON.stringify(reply.Failed));
  };
}
