// The real service and tail, over a Unix-domain socket that a URL names, with libpq's parameters and a publication of an odd name.
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { startCli } from '../support/cli.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';
import { startWebhookServer } from '../support/webhook-server.ts';

let server: EmbeddedPostgres;
let database: TestDatabase;
let sockets: string;
const directory = createWorkDirectory();

beforeAll(async () => {
  sockets = join(directory.path, 'so ck:ts+');
  mkdirSync(sockets);
  // The server may run as another user.
  for (const path of [directory.path, sockets]) chmodSync(path, 0o777);
  server = await startEmbeddedPostgres({ settings: { unix_socket_directories: sockets } });
  database = await createTestDatabase(server.url());
  await database.client.query('create table users (id int primary key, name text)');
});
afterAll(async () => {
  await database?.drop();
  await server?.remove();
  directory.remove();
});

const PARAMETERS =
  'sslmode=require&channel_binding=prefer&target_session_attrs=read-write&connect_timeout=10&options=-c%20geqo%3Doff';
const ODD_NAME = `O'd"d\\Name`;

/** As in libpq, in the place of the host or as a parameter. */
const urls = (): [string, string] => [
  `postgresql://postgres:postgres@${encodeURIComponent(sockets)}:${server.port}/${database.name}?${PARAMETERS}`,
  `postgresql://postgres:postgres@/${database.name}?${PARAMETERS}&host=${encodeURIComponent(sockets)}&port=${server.port}`,
];

test('the service streams over a socket, through a publication of its own whose name has a backslash and quotes (C106)', async (context) => {
  const webhook = await startWebhookServer();
  onTestFinished(() => webhook.stop());
  const service = startService({
    directory: directory.path,
    config: `
databases:
  - name: shop
    url: ${JSON.stringify(urls()[0])}
    slot: { name: ${database.name}, create_if_not_exists: true }
    publication: { name: ${JSON.stringify(ODD_NAME)}, create_if_not_exists: true }
sinks: [{ name: hook, destination: { type: webhook, url: "${webhook.url}" } }]
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
`,
  });
  onTestFinished(() => service.end(context.task));
  await service.ready();
  await database.client.query(`insert into users values (1, 'Ada')`);
  await waitFor(() => webhook.taken.length === 1, 'the row');
  expect(JSON.parse(webhook.taken[0]!)).toMatchObject({ action: 'insert', record: { id: 1, name: 'Ada' } });
  const notes = service.log.filter(({ msg }) => msg?.includes('passed over')).map(({ msg }) => msg);
  expect(notes).toEqual([
    expect.stringMatching(/^databases\[shop\]\.url: connect_timeout, options are passed over/),
  ]);
  const { rows } = await database.client.query('select pubname from pg_publication');
  expect(rows).toEqual([{ pubname: ODD_NAME }]);
});

test('tail takes such URLs and names too', async () => {
  await database.client.query(`create publication "b\\'x" for table users`);
  const tail = startCli(['tail', urls()[1], '--publication', `b\\'x`]);
  await waitFor(() => tail.stderr().includes('streaming'), 'tail to stream');
  expect(tail.stderr()).toContain('connect_timeout, options are passed over');
  await database.client.query(`insert into users values (2, 'Bob')`);
  await waitFor(() => tail.stdout() !== '', 'the row');
  expect(JSON.parse(tail.stdout())).toMatchObject({ record: { id: 2 } });
  tail.interrupt();
  expect(await tail.code).toBe(0);
});
