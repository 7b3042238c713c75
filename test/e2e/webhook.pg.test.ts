// Postgres to webhooks: real Postgres, the real process, an endpoint that breaks in every way that HTTP knows.
import { Webhook } from 'standardwebhooks';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { selfSignedCertificate } from '../support/tls.ts';
import { waitFor } from '../support/wait.ts';
import {
  startWebhookServer,
  type WebhookFault,
  type WebhookRequest,
  type WebhookServer,
} from '../support/webhook-server.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

const world = endToEnd();

let server: WebhookServer;
beforeEach(async () => {
  server = await startWebhookServer();
  return () => server.stop();
});

const SECRET = `whsec_${Buffer.from('s'.repeat(32)).toString('base64')}`;
const QUICK = 'retry: { initial_backoff: 20ms, max_backoff: 100ms }';

const config = (destination: string, extra = ''): string =>
  world.config({
    sinks: [{ tables: TABLES, extra: `${QUICK}\n${extra}`, to: `type: webhook\n${destination}` }],
  });

/** Random transactions; answers how many changes they made. */
function writer(seed: number): (transactions: number) => Promise<number> {
  const random = seededRandom(seed);
  let version = 0;
  return async (transactions) => {
    let events = 0;
    for (let done = 0; done < transactions; done++) {
      events += await writeTransaction(world.database.client, {
        random,
        count: 1 + Math.floor(random() * 100),
        ids: { from: 0, to: 300 },
        nextVersion: () => ++version,
      });
    }
    return events;
  };
}

const takenReplica = (from: WebhookServer = server): Replica =>
  Replica.of(from.taken.map((body) => ({ body })));

const keyOf = (message: string): string =>
  (JSON.parse(message) as { metadata: { idempotency_key: string } }).metadata.idempotency_key;

/** Counted by key: an endpoint that loses answers is sent messages again. */
const distinct = (): number => new Set(server.taken.map(keyOf)).size;

const settled = (events: number) =>
  waitFor(async () => {
    const [sink] = (await world.service.health()).sinks;
    return sink!.delivered + sink!.deadLettered >= events ? sink : undefined;
  }, `${events} changes to be settled`);

test('an endpoint that fails in every way is sent every change, signed, in order, and repeats only what lost its answer (C246)', async () => {
  await createTables(world.database.client);
  const random = seededRandom(7);
  const faults: readonly WebhookFault[] = [
    { kind: 'answer', status: 500 },
    { kind: 'answer', status: 503, body: 'x'.repeat(100_000) },
    { kind: 'answer', status: 302, headers: { location: 'http://127.0.0.1:1/' } },
    { kind: 'truncate', takes: true },
    { kind: 'truncate', takes: false },
    { kind: 'reset', when: 'before' },
    { kind: 'reset', when: 'after' },
  ];
  let lostAnswers = 0;
  const verifier = new Webhook(SECRET);
  server.decide = (request) => {
    verifier.verify(request.body, request.headers as Record<string, string>);
    const fault = random() < 0.15 ? faults[Math.floor(random() * faults.length)] : undefined;
    const takes =
      fault?.kind === 'truncate' ? fault.takes : fault?.kind === 'reset' && fault.when === 'after';
    if (takes) lostAnswers += request.messages.length;
    return fault;
  };
  server.failNext({ kind: 'answer', status: 429, headers: { 'retry-after': '1' } });
  server.failNext({ kind: 'hang' });
  server.failNext({ kind: 'trickle' });
  await world.start({
    config: config(
      `url: ${server.url}/hook\ntimeout: 6s\nsigning_secrets: [${SECRET}]\nheaders: { content-encoding: gzip }`,
      'batch_size: 20\nsame_group: ordered\nmax_retry_count: 2',
    ),
  });
  const events = await writer(8)(40);
  const sink = await settled(events);
  expect(sink).toMatchObject({ delivered: events, deadLettered: 0, inversions: 0 });
  expect(sink.failedRequests).toBeGreaterThan(0);
  const replica = takenReplica();
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBeLessThanOrEqual(lostAnswers);
  await replica.compareWith(world.database.client);
  expect(server.requests.every(({ headers }) => headers['content-encoding'] === 'gzip')).toBe(true);
  expect(await world.service.stop()).toBe(0);
});

test('a message that is refused becomes a dead letter; what shares its batches arrives once, and its row goes on', async () => {
  await createTables(world.database.client);
  // Closed at first, so that requests carry several changes of a row.
  let open = false;
  server.decide = ({ body }) => {
    if (!open) return { kind: 'answer', status: 503 };
    return body.includes('"note":"poison"') ? { kind: 'answer', status: 422, body: 'row values' } : undefined;
  };
  await world.start({
    config: config(`url: ${server.url}\non_client_error: reject`, 'batch_size: 10\nsame_group: ordered'),
  });
  await world.database.client.query(`
    begin;
    insert into users select i, 1, case when i = 5 then 'poison' else 'good' end from generate_series(1, 50) i;
    update users set version = 2, note = 'better' where id <= 10;
    commit`);
  await waitFor(async () => {
    const [sink] = (await world.service.health()).sinks;
    return sink!.buffered + sink!.parked === 60;
  }, 'all changes to wait');
  open = true;
  const sink = await settled(60);
  const numberOf = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
  expect(server.requests.some(({ body }) => numberOf(body, /"record":\{"id":5,/g) === 2)).toBe(true);
  expect(sink).toMatchObject({ delivered: 59, deadLettered: 1, inversions: 0 });
  const keys = server.taken.map(keyOf);
  expect(new Set(keys).size).toBe(59);
  expect(keys).toHaveLength(59);
  const ofFive = server.taken.filter((message) => message.includes('"record":{"id":5,'));
  expect(ofFive).toEqual([expect.stringContaining('"version":2')]);
  expect(JSON.stringify([world.service.log, world.service.printed])).not.toMatch(/poison|row values/);
});

test('a batch that is taken in part is sent again in part: each change once, a rejected one is kept', async () => {
  await createTables(world.database.client);
  const random = seededRandom(9);
  const rejected = new Set<string>();
  const failuresOf = ({ messages }: WebhookRequest): { itemIdentifier: string; retry?: boolean }[] =>
    messages.flatMap((message) => {
      const itemIdentifier = keyOf(message);
      if (message.includes('"version":17,')) {
        rejected.add(itemIdentifier);
        return { itemIdentifier, retry: false };
      }
      return random() < 0.2 ? { itemIdentifier } : [];
    });
  server.decide = (request) => {
    const batchItemFailures = failuresOf(request);
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    return {
      kind: 'answer',
      status: 200,
      body: JSON.stringify({ batchItemFailures }),
      takes: (message) => !failed.has(keyOf(message)),
    };
  };
  await world.start({
    config: config(
      `url: ${server.url}\npartial_acknowledgement: true`,
      'batch_size: 25\nsame_group: ordered',
    ),
  });
  await world.database.client.query('insert into users select i, i from generate_series(1, 400) i');
  await world.database.client.query('update users set version = version + 1000 where id > 200');
  const sink = await settled(600);
  expect(rejected.size).toBe(1);
  expect(sink).toMatchObject({ delivered: 599, deadLettered: 1, inversions: 0 });
  expect(server.taken).toHaveLength(599);
  expect(distinct()).toBe(599);
  expect(takenReplica().faults).toEqual([]);
});

test('an endpoint that is moved is named with its cure, counts no attempt, and is sent everything once it is right', async () => {
  await createTables(world.database.client);
  let moved = true;
  server.decide = () => (moved ? { kind: 'answer', status: 404 } : undefined);
  const token = 'a-token-that-nobody-may-see';
  await world.start({
    config: config(
      `url: ${server.url}/hook?token=${token}\nencrypted_headers: { Authorization: "Bearer ${token}" }\non_client_error: reject`,
      'max_retry_count: 1',
    ),
  });
  const events = await writer(10)(3);
  const [sink] = await waitFor(async () => {
    const { sinks } = await world.service.health();
    return sinks[0]?.status === 'degraded' && sinks[0].failedRequests > 5 ? sinks : undefined;
  }, 'the sink to say so');
  expect(sink!.reason).toContain(`${server.url}/hook`);
  expect(sink!.reason).toContain('HTTP_404');
  expect(sink!.cure).toContain('http_endpoint_path');
  moved = false;
  expect(await settled(events)).toMatchObject({ delivered: events, deadLettered: 0, retried: 0 });
  expect(server.taken).toHaveLength(events);
  expect(server.requests[0]).toMatchObject({
    path: `/hook?token=${token}`,
    headers: { authorization: `Bearer ${token}` },
  });
  const said = JSON.stringify([world.service.log, world.service.printed, await world.service.health()]);
  expect(said).not.toContain(token);
});

const KILLS = 3;
const LANES = 4;
const BATCH = 10;

test('over https, kill -9 loses nothing, keeps the order, and repeats at most what was in flight', async () => {
  await createTables(world.database.client);
  const certificate = selfSignedCertificate();
  const secure = await startWebhookServer({ tls: certificate });
  onTestFinished(() => secure.stop());
  const text = config(
    `http_endpoint: secure\nhttp_endpoint_path: /changes\nlanes: ${LANES}`,
    `batch_size: ${BATCH}`,
  ).concat(`http_endpoints:
  - name: secure
    url: ${secure.url}
    tls: { ca: ${JSON.stringify(certificate.cert)} }
`);
  await world.start({ config: text });
  expect(await world.service.stop()).toBe(0);
  const write = writer(11);
  let events = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    events += await write(15);
    const from = secure.taken.length;
    world.launch({ config: text });
    await waitFor(() => secure.taken.length > from + 200, 'some messages');
    await world.service.kill();
  }
  world.launch({ config: text });
  await waitFor(() => new Set(secure.taken.map(keyOf)).size >= events, `${events} messages`);
  const replica = takenReplica(secure);
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBeLessThanOrEqual(KILLS * LANES * BATCH);
  await replica.compareWith(world.database.client);
  expect(secure.requests.every(({ path }) => path === '/changes')).toBe(true);
});
