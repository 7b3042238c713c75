// A pg2sqs user changes the image's name and nothing else: the documented environment and YAML, with a local endpoint.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTestDatabase, waitFor, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsEmulator, type ReceivedMessage, type SqsEmulator } from '../support/fauxqs.ts';

let database: TestDatabase;
let emulator: SqsEmulator;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  emulator = await startSqsEmulator();
  directory = createWorkDirectory();
  await database.client.query(`
    create table users (
      id serial primary key, email varchar not null, created_at timestamp default now())`);
  await database.client.query('create publication users_pub for table users');
  await database.client.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [database.name]);
});

afterEach(async ({ task }) => {
  await service?.end(task);
  service = undefined;
  await emulator.stop();
  await database.drop();
  directory.remove();
});

const arrived = (queue: string, count: number): Promise<ReceivedMessage[]> =>
  waitFor(() => {
    const messages = emulator.messagesOf(queue);
    return messages.length >= count ? messages : undefined;
  }, `${count} messages in ${queue}`);

/** The example of pg2sqs' documentation, with this database and this endpoint. */
const environment = (): Record<string, string> => ({
  PG2SQS_POSTGRES_STANDBYTIMEOUT: '35s',
  PG2SQS_POSTGRES_RECEIVETIMEOUT: '35s',
  PG2SQS_POSTGRES_CONN_DATABASE: database.name,
  PG2SQS_POSTGRES_CONN_HOST: database.host,
  PG2SQS_POSTGRES_CONN_PORT: String(database.port),
  PG2SQS_POSTGRES_CONN_USER: 'postgres',
  PG2SQS_POSTGRES_CONN_PASSWORD: 'postgres',
  PG2SQS_POSTGRES_REPL_PUB: 'users_pub',
  PG2SQS_POSTGRES_REPL_SLOT: database.name,
  PG2SQS_FLUSHINTERVAL: '1s',
  PG2SQS_FLUSHWORKERS: '5',
  PG2SQS_MAXWRITEQUEUESIZE: '10000',
  PG2SQS_WRITETIMEOUT: '10s',
  PG2SQS_SHUTDOWNTIMEOUT: '20s',
  PG2SQS_STATSINTERVAL: '30s',
  PG2SQS_RETRYPOLICY_MAXRETRIES: '5',
  PG2SQS_RETRYPOLICY_MAXCONNECTIONRETRIES: '0',
  PG2SQS_RETRYPOLICY_INITIALBACKOFF: '15s',
  PG2SQS_RETRYPOLICY_MULTIPLIER: '1',
  PG2SQS_RETRYPOLICY_JITTER: '0.4',
  PG2SQS_RETRYPOLICY_MAXBACKOFF: '120s',
  PG2SQS_T_0_NAME: 'public.users',
  PG2SQS_T_0_COLUMNS: 'all',
  PG2SQS_T_0_Q_NAME: 'users.fifo',
  PG2SQS_T_0_Q_GROUPID: '${%table%}${id}',
  PGWALK_LIC_PG2SQS: 'any-licence',
  AWS_REGION: 'us-east-1',
  AWS_ENDPOINT_URL_SQS: emulator.url,
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  SERVER_PORT: '0',
});

test('the documented environment delivers the documented message, and makes the queue', async () => {
  service = startService({ directory: directory.path, env: environment() });
  await service.ready();
  await database.client.query("insert into users (email) values ('alice@example.com')");
  const [message] = await arrived('users.fifo', 1);
  expect(message!.body).toMatch(
    /^\{"id":1,"email":"alice@example\.com","created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z","kind":"insert"\}$/,
  );
  expect(message!.group).toBe('users1');
  expect(service.log.filter(({ msg }) => /PGWALK_LIC_PG2SQS/.test(msg ?? '')).length).toBe(1);
  expect(JSON.stringify(service.log)).not.toContain('any-licence');
  expect(await service.stop()).toBe(0);
});

test('queues per action, the commit time field and the missing kind are as documented (C236, C237)', async () => {
  const { rows } = await database.client.query<{ version: string }>('show track_commit_timestamp');
  expect(rows[0]).toEqual({ track_commit_timestamp: 'off' });
  service = startService({
    directory: directory.path,
    env: {
      ...environment(),
      PG2SQS_SQS_COMMITTIMECOLUMN: 'lastupdated',
      PG2SQS_T_0_COLUMNS: 'id, email',
      PG2SQS_T_0_Q_DELETE_NAME: 'user-deleted.fifo',
      PG2SQS_T_0_Q_DELETE_GROUPID: 'deletes',
    },
  });
  await service.ready();
  await database.client.query("insert into users (email) values ('a@example.com')");
  await database.client.query("update users set email = 'b@example.com'");
  await database.client.query('delete from users');
  const kept = await arrived('users.fifo', 2);
  const time = String.raw`"lastupdated":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"`;
  expect(kept.map(({ body }) => body)).toEqual([
    expect.stringMatching(new RegExp(`^\\{"id":1,"email":"a@example\\.com",${time},"kind":"insert"\\}$`)),
    expect.stringMatching(new RegExp(`^\\{"id":1,"email":"b@example\\.com",${time},"kind":"update"\\}$`)),
  ]);
  const deleted = await arrived('user-deleted.fifo', 1);
  expect(deleted[0]!.body).toMatch(new RegExp(`^\\{"id":1,${time}\\}$`));
  expect(deleted[0]!.group).toBe('deletes');
});

test('a pg2sqs YAML file works as it is, and the environment wins over it', async () => {
  writeFileSync(
    join(directory.path, 'config.yaml'),
    `
postgres:
  conn: { host: "${database.host}", port: "${database.port}", database: "wrong", user: postgres, password: postgres }
  repl: { slot: "${database.name}", pub: users_pub }
  numericMode: string
tables:
  - public.users:
      columns: [all]
      queue:
        name: users
flushInterval: "500ms"
retryPolicy: { maxRetries: 10, maxConnectionRetries: 0, initialBackoff: "10s", multiplier: 2.0, jitter: 0.1, maxBackoff: "30s" }
`,
  );
  service = startService({
    directory: directory.path,
    env: {
      PG2SQS_POSTGRES_CONN_DATABASE: database.name,
      AWS_ENDPOINT_URL_SQS: emulator.url,
      SERVER_PORT: '0',
    },
  });
  await service.ready();
  await database.client.query("insert into users (email) values ('c@example.com')");
  const [message] = await arrived('users', 1);
  expect(JSON.parse(message!.body)).toMatchObject({ id: 1, email: 'c@example.com', kind: 'insert' });
});

test('a file of variables, which ENV_FILE names, brings the settings and AWS’ own, and statistics have their old names', async () => {
  const { AWS_REGION, AWS_ENDPOINT_URL_SQS, ...settings } = environment();
  const lines = Object.entries({ ...settings, AWS_REGION, AWS_ENDPOINT_URL_SQS }).map(
    ([name, value]) => `${name}=${value}`,
  );
  writeFileSync(join(directory.path, 'pg2sqs.env'), `# pg2sqs\n${lines.join('\n')}\n`);
  service = startService({
    directory: directory.path,
    env: { ENV_FILE: 'pg2sqs.env', PG2SQS_STATSINTERVAL: '200ms' },
  });
  await service.ready();
  await database.client.query("insert into users (email) values ('d@example.com')");
  await arrived('users.fifo', 1);
  const line = await waitFor(
    () => service!.log.find((entry) => Number(entry['pg2sqs_sqs_request_total{queue="users.fifo"}']) > 0),
    'statistics of the queue',
  );
  expect(line).toMatchObject({
    msg: 'statistics',
    pg2sqs_tx_total: 1,
    pg2sqs_lsn_last_processed: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
    'pg2sqs_sqs_failure_total{queue="users.fifo"}': 0,
  });
});
