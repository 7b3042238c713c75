// kill -9 at random moments under load, with every kind of sink on the same tables: none loses a change or its order, and
// none repeats more than was in flight.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { HealthDocument } from '../../src/pipeline/service/health.ts';
import { Deliveries } from '../support/deliveries.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { startSqsEmulator } from '../support/fauxqs.ts';
import { startLoad } from '../support/load.ts';
import { workersOverLives } from '../support/pull-workers.ts';
import { consumeQueue, type ConsumedMessage } from '../support/queue-consumer.ts';
import { FAKE_AWS } from '../support/service.ts';
import { snsWire } from '../support/sns-wire.ts';
import { waitFor } from '../support/wait.ts';
import { startWebhookServer } from '../support/webhook-server.ts';
import { createTables, Replica, seededRandom, TABLES, type ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

/** The proof has 200, and prints its figures; what runs every time has a few. */
const PROOF_KILLS = process.env['TAILRACE_TEST_KILLS'];
const KILLS = Number(PROOF_KILLS ?? 6);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 9);
/** Above what a kill takes on a busy machine: start, catch up, deliver. */
vi.setConfig({ testTimeout: 120_000 + KILLS * 15_000 });

const SINKS = ['queue', 'topic', 'hook', 'stream'] as const;
type SinkName = (typeof SINKS)[number];
const LANES = 4;
const BATCH = 10;
const WORKERS = 8;
const CONSUMERS = 2;
const VISIBILITY_MS = 3000;
const TOKEN = 'token-of-the-workers';
const MAX_AHEAD = 3000;
/** Messages of all sinks together between a start and a kill. */
const MAX_MORE = 4000;
/** Share of the kills that come a random time after the start, most likely before anything was delivered. */
const EARLY = 0.2;
const MAX_EARLY_MS = 1200;

/** What came of the service's lives, at the wire. */
type Watch = {
  readonly deliveries: Readonly<Record<SinkName, Deliveries>>;
  /** The number of kills before it. */
  life: number;
  take(sink: SinkName, messages: readonly ChangeMessage[], life?: number): void;
  /** Kills the service in the instant in which the message after so many is handed over. */
  killAfter(messages: number): void;
};

function startWatch(): Watch {
  const strict = (): Deliveries => new Deliveries({ rowMessagesPerRequest: 1 });
  const ordered = (): Deliveries => new Deliveries({ rowMessagesPerRequest: BATCH });
  const deliveries = { queue: strict(), topic: ordered(), hook: ordered(), stream: strict() };
  let left = Infinity;
  const watch: Watch = {
    deliveries,
    life: 0,
    take(sink, messages, life = watch.life) {
      deliveries[sink].take(messages, life);
      left -= messages.length;
      if (left > 0) return;
      left = Infinity;
      world.service.child.kill('SIGKILL');
    },
    killAfter: (messages) => void (left = messages),
  };
  return watch;
}

/** The endpoints of the sinks that push. What passes is told to `watch`, before it is taken and answered. */
async function startEndpoints(watch: Watch) {
  const emulator = await startSqsEmulator();
  const topics = await startFaultProxy(emulator.url, snsWire);
  const hook = await startWebhookServer();
  onTestFinished(async () => {
    await hook.stop();
    await topics.stop();
    await emulator.stop();
  });
  const parse = (bodies: readonly string[]) => bodies.map((body) => JSON.parse(body) as ChangeMessage);
  for (const [sink, proxy] of [
    ['queue', world.proxy],
    ['topic', topics],
  ] as const) {
    proxy.decide = ({ entries }) => {
      if (entries.length > 0) watch.take(sink, parse(entries.map(({ MessageBody }) => MessageBody)));
      return undefined;
    };
  }
  hook.decide = ({ messages }) => {
    watch.take('hook', parse(messages));
    return undefined;
  };
  const inQueue = new Replica();
  world.recorder.onMessage = ({ body }) => inQueue.apply(JSON.parse(body) as ChangeMessage);
  return { emulator, topics, hook, inQueue };
}

type Endpoints = Awaited<ReturnType<typeof startEndpoints>>;

const configOf = ({ topics, hook }: Endpoints): string => {
  const push = { tables: TABLES, extra: `batch_size: ${BATCH}` };
  const ordered = { tables: TABLES, extra: `batch_size: ${BATCH}\nsame_group: ordered` };
  const topic = `type: sns\ntopic_name: changes.fifo\ncreate_if_not_exists: true\nregion: ${FAKE_AWS.AWS_REGION}\nemulator_base_url: ${topics.url}`;
  return world
    .config({
      faulty: true,
      sinks: [
        { name: 'queue', ...push, destination: `lanes: ${LANES}` },
        { name: 'topic', ...ordered, to: `${topic}\nlanes: ${LANES}` },
        { name: 'hook', ...ordered, to: `type: webhook\nurl: ${hook.url}\nlanes: ${LANES}` },
        {
          name: 'stream',
          tables: TABLES,
          type: 'sequin_stream',
          destination: `visibility_timeout_ms: ${VISIBILITY_MS}`,
        },
      ],
    })
    .concat(`api_tokens: [{ name: workers, token: ${TOKEN} }]\n`);
};

/** The slot and the topic must be there before the first change. */
async function prepare(config: string, { emulator }: Endpoints): Promise<string> {
  await world.start({ config });
  await emulator.topicIsThere('changes.fifo');
  const queueUrl = emulator.createQueue('subscribed.fifo');
  emulator.subscribe({
    topic: 'changes.fifo',
    queue: 'subscribed.fifo',
    attributes: { RawMessageDelivery: 'true' },
  });
  expect(await world.service.stop()).toBe(0);
  return queueUrl;
}

/** Who takes from the queue that is subscribed to the topic. */
function startConsumers({ emulator }: Endpoints, queueUrl: string, signal: AbortSignal) {
  const consumed: ConsumedMessage[] = [];
  const process = (message: ConsumedMessage): void => void consumed.push(message);
  const consumers = Array.from({ length: CONSUMERS }, () =>
    consumeQueue({ endpoint: emulator.url, queueUrl, process }, signal),
  );
  return { consumed, ended: Promise.all(consumers) };
}

/** Ends the life of the service at a random moment. */
async function killSometime(watch: Watch, random: () => number): Promise<void> {
  const { service } = world;
  if (random() < EARLY) {
    await sleep(random() * MAX_EARLY_MS);
    await service.kill();
  } else {
    watch.killAfter(1 + Math.floor(random() * MAX_MORE));
    await service.ended;
  }
  expect(service.child.signalCode).toBe('SIGKILL');
  // What the kernel still had of it is read now.
  for (let turn = 0; turn < 3; turn++) await new Promise((done) => setImmediate(done));
  watch.life++;
}

test(`kill -9 costs no sink a change or its order, and repeats at most what was in flight (seed ${SEED}) (C152)`, async () => {
  await createTables(world.database.client);
  const random = seededRandom(SEED);
  const watch = startWatch();
  const endpoints = await startEndpoints(watch);
  const config = configOf(endpoints);
  const queueUrl = await prepare(config, endpoints);

  const stopped = new AbortController();
  onTestFinished(() => stopped.abort());
  const { consumed, ...consumers } = startConsumers(endpoints, queueUrl, stopped.signal);
  const workers = workersOverLives(
    {
      count: WORKERS,
      random,
      stream: 'stream',
      token: TOKEN,
      process: (message, life) => watch.take('stream', [message], life),
    },
    stopped.signal,
  );
  const replicas = SINKS.map((sink) => watch.deliveries[sink].replica);
  const delivered = (): number => Math.min(consumed.length, ...replicas.map(({ changes }) => changes));
  const { client } = world.database;
  const ids = { from: 0, to: 2000 };
  const load = startLoad({ client, random, ids, maxCount: 200, delivered, maxAhead: MAX_AHEAD });

  for (let kill = 0; kill < KILLS; kill++) {
    workers.follow(world.launch({ config }), watch.life);
    await killSometime(watch, random);
  }
  workers.follow(world.launch({ config }), watch.life);
  const changes = await load.stop();
  await waitFor(() => delivered() >= changes, `${changes} changes in every sink`, 100_000);
  const sinks = await settledSinks();
  stopped.abort();
  const [log] = await Promise.all([workers.ended, consumers.ended]);
  expect(await world.service.stop()).toBe(0);

  expect(sinks.map(({ name, deadLettered, inversions }) => [name, deadLettered, inversions])).toEqual(
    SINKS.map((name) => [name, 0, 0]),
  );
  expect(log.returned).toEqual([]);
  await expectExactSets(watch, changes);
  await expectExactQueues({ inQueue: endpoints.inQueue, consumed, changes });
  expectFewRepeats(watch, workers.unanswered);
  if (PROOF_KILLS !== undefined) printFigures(watch, changes);
});

const settledSinks = () =>
  waitFor(async () => {
    // Without a token it says of each sink no more than how it is.
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answer = await fetch(`${await world.service.apiUrl()}/health`, { headers });
    const { sinks } = (await answer.json()) as HealthDocument;
    const settled = sinks.every(({ lagBytes, pull }) => lagBytes === 0 && (pull?.outstanding ?? 0) === 0);
    return settled && sinks;
  }, 'everything to be settled');

/** Every sink was given the changes that were committed, in the order of each row. */
async function expectExactSets({ deliveries }: Watch, changes: number): Promise<void> {
  const { keys } = deliveries.queue;
  for (const sink of SINKS) {
    const { replica, faults, keys: itsKeys } = deliveries[sink];
    expect({ sink, faults, changes: replica.changes }).toEqual({ sink, faults: [], changes });
    expect(itsKeys.symmetricDifference(keys)).toEqual(new Set());
    await replica.compareWith(world.database.client);
  }
}

/** The consumers of FIFO queues see no repeat. */
async function expectExactQueues(seen: {
  readonly inQueue: Replica;
  readonly consumed: readonly ConsumedMessage[];
  readonly changes: number;
}): Promise<void> {
  // Consumers take groups in any order, so a changed key is right only in the order of the queue.
  const inOrder = seen.consumed.toSorted((a, b) => a.sequence.localeCompare(b.sequence));
  for (const replica of [seen.inQueue, Replica.of(inOrder)]) {
    expect({ changes: replica.changes, repeats: replica.repeats }).toEqual({
      changes: seen.changes,
      repeats: 0,
    });
    await replica.compareWith(world.database.client);
  }
  const last = new Map<string, string>();
  for (const { group, sequence } of seen.consumed) {
    expect(sequence > (last.get(group) ?? '')).toBe(true);
    last.set(group, sequence);
  }
}

/** After each kill: of a sink that pushes, only requests that its lanes had in flight; of the stream, only work without an answer. */
function expectFewRepeats({ deliveries }: Watch, unanswered: readonly number[]): void {
  for (let life = 0; life < KILLS; life++) {
    const where = `repeats after kill ${life + 1} of ${KILLS}`;
    for (const sink of ['queue', 'topic', 'hook'] as const) {
      const { requests } = deliveries[sink].repeatsOf(life);
      expect(requests.size, `${where}: ${sink}`).toBeLessThanOrEqual(LANES);
    }
    const { messages } = deliveries.stream.repeatsOf(life);
    expect(messages, `${where}: stream`).toBeLessThanOrEqual(unanswered[life] ?? 0);
  }
}

function printFigures({ deliveries }: Watch, changes: number): void {
  console.log(
    [
      `seed ${SEED}: ${KILLS} kills, ${changes} changes to each sink`,
      ...SINKS.map((sink) => `${sink}: ${deliveries[sink].describe()}`),
      `repeats that the SQS queue swallowed: ${world.recorder.counts.duplicates}; that its consumers saw: 0`,
    ].join('\n'),
  );
}
