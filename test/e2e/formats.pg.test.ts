// Formats whose way through the service is their own: another content type, headers, keys that change.
import { beforeEach, expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { startWebhookServer, type WebhookServer } from '../support/webhook-server.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

let server: WebhookServer;
beforeEach(async () => {
  server = await startWebhookServer();
  return () => server.stop();
});

type Event = { readonly id: string; readonly type: string; readonly subject: string; readonly data: Change };
type Change = {
  readonly op: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly source: { readonly snapshot: string };
};

test('cloudevents around debezium reach a webhook in batches and in binary mode: rows that were there, changes, a changed key', async () => {
  const { client } = world.database;
  await client.query(`create table pets (id int primary key, name text); insert into pets values (1, 'cat')`);
  const sink = (name: string, extra: string, to: string) => ({
    name,
    tables: ['pets'],
    extra: `format: cloudevents\ndata_format: debezium\ninitial_backfill: true\nbatch_size: 10\n${extra}`,
    to: `type: webhook\nurl: ${server.url}/${name}\n${to}`,
  });
  const sinks = [
    sink('batched', '', ''),
    sink('single', 'cloudevents: { content_mode: binary }', 'batch: false'),
  ];
  await world.start({ config: world.config({ sinks }) });
  const requestsOf = (name: string) => server.requests.filter(({ path }) => path === `/${name}`);
  const eventsOf = () => requestsOf('batched').flatMap(({ body }) => JSON.parse(body) as Event[]);
  await waitFor(() => eventsOf().length === 1 && requestsOf('single').length === 1, 'the row that was there');

  await client.query(
    `insert into pets values (2, 'dög'); update pets set id = 3 where id = 2; delete from pets where id = 1`,
  );
  await waitFor(() => eventsOf().length === 5 && requestsOf('single').length === 5, 'the changes');
  const changes = eventsOf().map(({ type, subject, data }) => [
    type,
    subject,
    data.op,
    data.before,
    data.after,
    data.source.snapshot,
  ]);
  expect(changes).toHaveLength(5);
  expect(changes).toEqual(
    expect.arrayContaining([
      ['tailrace.read', '1', 'r', null, { id: 1, name: 'cat' }, 'incremental'],
      ['tailrace.insert', '2', 'c', null, { id: 2, name: 'dög' }, 'false'],
      ['tailrace.delete', '2', 'd', { id: 2, name: null }, null, 'false'],
      ['tailrace.insert', '3', 'c', null, { id: 3, name: 'dög' }, 'false'],
      ['tailrace.delete', '1', 'd', { id: 1, name: null }, null, 'false'],
    ]),
  );
  expect(new Set(requestsOf('batched').map(({ headers }) => headers['content-type']))).toEqual(
    new Set(['application/cloudevents-batch+json']),
  );

  const singles = requestsOf('single');
  expect(new Set(singles.map(({ headers }) => headers['content-type']))).toEqual(
    new Set(['application/json']),
  );
  // The same events, but for the read, as each sink had its own backfill.
  const told = ({ id, type, subject, data }: Event) => [
    type === 'tailrace.read' ? '' : id,
    type,
    subject,
    data.op,
  ];
  const inHeaders = singles.map(({ headers, body }) => ({
    id: headers['ce-id'] as string,
    type: headers['ce-type'] as string,
    subject: headers['ce-subject'] as string,
    data: JSON.parse(body) as Change,
  }));
  expect(new Set(inHeaders.map(told))).toEqual(new Set(eventsOf().map(told)));
});
