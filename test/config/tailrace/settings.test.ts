import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { MAX_SINKS_PER_DATABASE } from '../../../src/log/signals.ts';
import { formats } from '../../../src/formats/registry.ts';
import { faultLines, faultsOf, loadFiles, loadText } from '../load-config.ts';

const pg2sqsFile = readFileSync(resolve(import.meta.dirname, '../../../examples/pg2sqs/config.yaml'), 'utf8');

const sameInYaml = `
databases:
  - name: shop
    hostname: [db-1, db-2]
    database: shop
    username: streamer
    password: secret
    slot: { name: shop_slot, ack: delivered, failover: unaltered }
    publication: { name: shop_pub }
    connection:
      status_interval: 30s
      max_retry_count: 10
      retry: &retry { initial_backoff: 10s, multiplier: 2.0, jitter: 0.1, max_backoff: 30s }
sinks:
  - &sink
    name: public.orders
    database: shop
    source: { include_tables: [orders] }
    tables: [{ name: orders, columns: [id, state, total] }]
    format: pg2sqs
    values: { numeric: string }
    commit_time_column: committed_at
    same_group: ordered
    max_retry_count: 10
    retry: *retry
    max_buffered: 10000
    destination: &destination
      type: sqs
      create_if_not_exists: true
      lanes: 4
      timeout: 5s
      tables:
        public.orders:
          queue_name: orders.fifo
          insert: { queue_name: orders.fifo, group_id: "\${%table%}-\${id}" }
          update: { queue_name: orders.fifo, group_id: "\${%table%}-\${id}" }
          delete: { queue_url: "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-deleted" }
  - <<: *sink
    name: sales.invoices
    source: { include_tables: [sales.invoices] }
    tables: []
    destination:
      <<: *destination
      tables:
        sales.invoices:
          queue_name: invoices.fifo
          group_id: "\${%table%}-\${id}"
          update: { queue_name: invoices-changed.fifo, group_id: "\${id}" }
stats_interval: 1m
shutdown_timeout: 30s
`;

const smallVariables = {
  PG2SQS_POSTGRES_CONN_HOST: 'localhost',
  PG2SQS_POSTGRES_CONN_DATABASE: 'shop',
  PG2SQS_POSTGRES_CONN_USER: 'streamer',
  PG2SQS_POSTGRES_CONN_PASSWORD: 'secret',
  PG2SQS_POSTGRES_CONN_TLS_ROOTCERT: 'ca.pem',
  PG2SQS_POSTGRES_REPL_PUB: 'shop_pub',
  PG2SQS_POSTGRES_REPL_SLOT: 'shop_slot',
  PG2SQS_T_0_NAME: 'users',
  PG2SQS_T_0_Q_NAME: 'users.fifo',
};

const smallInYaml = `
databases:
  - name: shop
    hostname: localhost
    database: shop
    username: streamer
    password: secret
    tls: { ca: ca.pem }
    slot: { name: shop_slot, ack: delivered, failover: unaltered }
    publication: { name: shop_pub }
sinks:
  - name: public.users
    database: shop
    source: { include_tables: [public.users] }
    format: pg2sqs
    same_group: ordered
    destination: { type: sqs, create_if_not_exists: true, tables: { public.users: { queue_name: users.fifo } } }
`;

const PEM = '-----BEGIN CERTIFICATE-----';

test('a file of pg2sqs and the tailrace.yaml that says the same give the same settings', async () => {
  const { settings } = await loadFiles({ '/srv/config.yaml': pg2sqsFile });
  expect((await loadText(sameInYaml)).settings).toEqual(settings);
});

test('what neither says has the same default, in variables of pg2sqs and in tailrace.yaml', async () => {
  const { settings } = await loadFiles({ '/srv/ca.pem': PEM }, { env: smallVariables });
  const same = await loadFiles({ '/srv/tailrace.yaml': smallInYaml, '/srv/ca.pem': PEM });
  expect(same.settings).toEqual(settings);
  expect(settings.databases[0]).toMatchObject({
    tls: { mode: 'verify-full', ca: { from: 'file', file: '/srv/ca.pem' } },
    statusIntervalMs: 10_000,
    receiveTimeoutMs: 60_000,
    reconnect: { initialBackoffMs: 200, multiplier: 2, maxBackoffMs: 30_000, jitter: 0.2 },
    maxConnectionRetries: 0,
  });
  expect(settings.sinks[0]).toMatchObject({
    values: formats.pg2sqs.values,
    formatOptions: {},
    retry: { initialBackoffMs: 200, multiplier: 2, maxBackoffMs: 180_000, jitter: 0.2 },
    maxParked: 100_000,
  });
});

test('variables over a file of pg2sqs are the tailrace.yaml with that value in it (C256)', async () => {
  const env = { PG2SQS_FLUSHWORKERS: '9', PG2SQS_POSTGRES_RECEIVETIMEOUT: '90' };
  const { settings } = await loadFiles({ '/srv/config.yaml': pg2sqsFile }, { env });
  const text = sameInYaml
    .replace('lanes: 4', 'lanes: 9')
    .replace('status_interval: 30s', 'status_interval: 30s\n      receive_timeout: 90s');
  expect((await loadText(text)).settings).toEqual(settings);
});

test('what only the schema or a check of all entries finds is told at its variable, or at its line', async () => {
  const env: Record<string, string> = { ...smallVariables, PG2SQS_POSTGRES_CONN_TLS_ROOTCERT: '' };
  for (let table = 1; table <= MAX_SINKS_PER_DATABASE; table++) {
    env[`PG2SQS_T_${table}_NAME`] = `t${table}`;
    env[`PG2SQS_T_${table}_Q_NAME`] = `q${table}`;
  }
  expect(await faultsOf(loadFiles({}, { env }))).toEqual([
    {
      file: 'environment',
      path: 'PG2SQS_POSTGRES_CONN_DATABASE',
      message: `one database can have ${MAX_SINKS_PER_DATABASE} sinks at most`,
    },
  ]);
  const text = pg2sqsFile
    .replace("slot: 'shop_slot'", "slot: 'Shop Slot'")
    .replace('groupID: ${id}', 'groupID: ${%id%}');
  expect(await faultLines(loadFiles({ '/srv/config.yaml': text }))).toEqual([
    expect.stringMatching(/^10:11 postgres\.repl\.slot a slot name has lower-case letters/),
    expect.stringMatching(/^38:16 tables\[1\]\.update\.groupID .*there is no macro %id%/),
  ]);
});

test('a key of one format is a fault beside another, and says what that has instead', async () => {
  const text = sameInYaml.replaceAll('format: pg2sqs', 'format: sequin');
  expect(await faultLines(loadText(text))).toContainEqual(
    expect.stringMatching(
      /sinks\[.*\]\.commit_time_column this needs `format: pg2sqs`; the sequin format has metadata/,
    ),
  );
});

test('the longest wait is never below the first, and a length of time is never 0 where silence would end a connection', async () => {
  const retry = sameInYaml.replace('max_backoff: 30s', 'max_backoff: 1s');
  const { settings } = await loadText(retry);
  expect(settings.sinks[0]?.retry).toMatchObject({ initialBackoffMs: 10_000, maxBackoffMs: 10_000 });
  const zero = sameInYaml.replace('status_interval: 30s', 'receive_timeout: 0');
  expect(await faultLines(loadText(zero))).toEqual([
    expect.stringMatching(/databases\[shop\]\.connection\.receive_timeout a duration above 0/),
  ]);
});

test('a standby is read from where the primary is named beside it, with what is not said as for the standby', async () => {
  const settingsOf = async (more: string) =>
    (
      await loadText(`
databases:
  - name: shop
    hostname: db-2,db-3:5433
    port: 6432
    database: app
    username: reader
    password: secret
    tls: { mode: require }
    slot_name: a
    publication_name: b
${more}
sinks:
  - { name: s, destination: { type: sqs, queue_name: q } }
`)
    ).settings.databases[0]!;
  const { primary, hosts } = await settingsOf('    primary: { hostname: db-1 }');
  expect(hosts).toEqual([
    { host: 'db-2', port: 6432 },
    { host: 'db-3', port: 5433 },
  ]);
  expect(primary).toMatchObject({
    hosts: [{ host: 'db-1', port: 5432 }],
    database: 'app',
    username: 'reader',
    password: 'secret',
    tls: { mode: 'require' },
  });
  const own =
    'primary: { hostname: db-1, port: 7, database: c, username: owner, password: x, ssl: false, ipv6: false }';
  expect((await settingsOf(`    ${own}`)).primary).toMatchObject({
    hosts: [{ host: 'db-1', port: 7 }],
    database: 'c',
    username: 'owner',
    password: 'x',
    tls: { mode: 'disable' },
  });
  expect((await settingsOf('    primary: null')).primary).toBeUndefined();
});

test('standbys of a barrier have the port of the hosts, and a time limit needs them', async () => {
  const text = (more: string): string =>
    `databases: [{ name: shop, hostname: db-1, port: 6432, database: app, slot_name: a, publication_name: b, ${more} }]\nsinks: [{ name: s, destination: { type: sqs, queue_name: q } }]`;
  const { settings } = await loadText(text("barrier: 'db-2,db-3:5433', barrier_timeout: 30s"));
  expect(settings.databases[0]!.barrier).toEqual({
    hosts: [
      { host: 'db-2', port: 6432 },
      { host: 'db-3', port: 5433 },
    ],
    timeoutMs: 30_000,
  });
  expect(await faultsOf(loadText(text('barrier_timeout: 30s')))).toMatchObject([
    { path: 'databases[shop].barrier_timeout', message: 'barrier is needed beside barrier_timeout' },
  ]);
});

test('transactions in progress are streamed where that is written, within a limit', async () => {
  const slotOf = async (slot: string) =>
    (
      await loadText(`
databases:
  - { name: shop, hostname: localhost, database: shop, slot: { name: s${slot} }, publication: { name: p } }
sinks: []
`)
    ).settings.databases[0]!.slot.streaming;
  expect(await slotOf('')).toBeUndefined();
  expect(await slotOf(', streaming: off, max_spooled: 1GB')).toBeUndefined();
  expect(await slotOf(', streaming: on')).toEqual({ maxSpooledBytes: 4 * 1024 ** 3 });
  expect(await slotOf(', streaming: on, max_spooled: 1GB')).toEqual({ maxSpooledBytes: 1024 ** 3 });
});
