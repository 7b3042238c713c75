import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadSettings } from '../../../src/config/load.ts';
import { namedTables } from '../../../src/core/selection.ts';
import type { SqsConfig } from '../../../src/sinks/sqs/config.ts';
import { queueRoute } from '../../../src/sinks/sqs/routes.ts';
import { faultsOf, loadFiles } from '../load-config.ts';

const examples = resolve(import.meta.dirname, '../../../examples/pg2sqs');

const base = {
  PG2SQS_POSTGRES_CONN_HOST: 'localhost',
  PG2SQS_POSTGRES_CONN_DATABASE: 'shop',
  PG2SQS_POSTGRES_CONN_USER: 'streamer',
  PG2SQS_POSTGRES_REPL_PUB: 'shop_pub',
  PG2SQS_POSTGRES_REPL_SLOT: 'shop_slot',
  PG2SQS_T_0_NAME: 'users',
  PG2SQS_T_0_Q_NAME: 'users.fifo',
  PG2SQS_T_0_Q_GROUPID: '${id}',
};

const load = (env: Record<string, string>) => loadFiles({}, { env: { ...base, ...env } });

/** The environment that compose gives a service: `$$` is a dollar. https://docs.docker.com/reference/compose-file/interpolation/ */
function composeEnvironment(file: string, service: string): Record<string, string> {
  const compose = parse(readFileSync(file, 'utf8')) as {
    services: Record<string, { environment: Record<string, unknown> }>;
  };
  const interpolate = (text: string): string =>
    text.replaceAll(/\$(\$|\{\w+:-([^}]*)\})/g, (_match, kind: string, fallback: string) =>
      kind === '$' ? '$' : fallback,
    );
  return Object.fromEntries(
    Object.entries(compose.services[service]!.environment).map(([name, value]) => [
      name,
      interpolate(String(value)),
    ]),
  );
}

test('a compose file of which only the image changed works', async () => {
  const env = composeEnvironment(resolve(examples, 'docker-compose.yml'), 'pg2sqs');
  const { settings, notes, source } = await loadFiles({}, { env });
  expect(source).toBe('PG2SQS_* variables');
  expect(settings).toMatchObject({
    shutdownTimeoutMs: 20_000,
    statsIntervalMs: 30_000,
    logLevel: 'info',
    databases: [
      {
        name: 'postgres',
        hosts: [{ host: 'postgres', port: 5432 }],
        username: 'postgres',
        password: 'example',
        tls: { mode: 'prefer' },
        slot: { name: 'accounts_slot', createIfNotExists: false, ack: 'delivered' },
        publication: { name: 'accounts_pub', createIfNotExists: false },
        statusIntervalMs: 35_000,
        receiveTimeoutMs: 60_000,
        maxConnectionRetries: 0,
        reconnect: { initialBackoffMs: 15_000, multiplier: 1, jitter: 0.4, maxBackoffMs: 120_000 },
      },
    ],
    sinks: [
      {
        name: 'public.accounts',
        database: 'postgres',
        format: 'pg2sqs',
        sameGroup: 'ordered',
        selection: { includeTables: [{ schema: ['public'], table: ['accounts'] }] },
        values: { numeric: 'float' },
        maxRetryCount: 5,
        retry: { initialBackoffMs: 15_000, multiplier: 1, jitter: 0.4, maxBackoffMs: 120_000 },
        maxBuffered: 10_000,
        destination: {
          type: 'sqs',
          config: {
            create_if_not_exists: true,
            timeout: 10_000,
            lanes: 5,
            tables: { 'public.accounts': { queue_name: 'accounts.fifo', group_id: '${%table%}${id}' } },
          },
        },
      },
    ],
  });
  expect(notes).toEqual([
    expect.stringMatching(/^PG2SQS_FLUSHINTERVAL is accepted without effect/),
    expect.stringMatching(/^PGWALK_LIC_PG2SQS is accepted without effect/),
    expect.stringMatching(/TLS mode "prefer"/),
  ]);
  expect(JSON.stringify(notes)).not.toContain('a-licence-key');
});

test('a file is read in both shapes that the documents show', async () => {
  const { settings } = await loadSettings({ configFile: 'config.yaml', cwd: examples, env: {} });
  expect(settings.sinks.map((sink) => sink.destination.config)).toMatchObject([
    {
      timeout: 5000,
      tables: {
        'public.orders': {
          queue_name: 'orders.fifo',
          insert: { queue_name: 'orders.fifo', group_id: '${%table%}-${id}' },
          update: { queue_name: 'orders.fifo', group_id: '${%table%}-${id}' },
          delete: { queue_url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders-deleted' },
        },
      },
    },
    {
      tables: {
        'sales.invoices': {
          queue_name: 'invoices.fifo',
          group_id: '${%table%}-${id}',
          update: { queue_name: 'invoices-changed.fifo', group_id: '${id}' },
        },
      },
    },
  ]);
  expect(settings.sinks[0]).toMatchObject({
    selection: { includeTables: [{ schema: ['public'], table: ['orders'] }] },
    tables: [{ pattern: { schema: ['public'], table: ['orders'] }, columns: ['id', 'state', 'total'] }],
    formatOptions: { commit_time_column: 'committed_at' },
    values: { numeric: 'string' },
  });
  expect(settings.sinks[1]?.selection).toEqual({
    includeTables: [{ schema: ['sales'], table: ['invoices'] }],
  });
  expect(settings.databases[0]?.hosts.map(({ host }) => host)).toEqual(['db-1', 'db-2']);
});

test('variables win over the file, and the file is found where pg2sqs looks for it', async () => {
  const text = readFileSync(resolve(examples, 'config.yaml'), 'utf8');
  const env = { PG2SQS_POSTGRES_CONN_HOST: 'elsewhere', PG2SQS_WRITETIMEOUT: '7' };
  for (const path of ['/etc/opt/pg2sqs/config.yaml', '/srv/config.yaml']) {
    const { settings } = await loadFiles({ [path]: text }, { env });
    expect(settings.databases[0]).toMatchObject({ hosts: [{ host: 'elsewhere' }], username: 'streamer' });
    expect(settings.sinks[0]?.destination.config).toMatchObject({ timeout: 7000 });
  }
  const named = await loadFiles({ '/a.yaml': text }, { env: { PG2SQS_CONFIG_PATH: '/a.yaml' } });
  expect(named.source).toBe('/a.yaml');
});

describe('tables and queues', () => {
  test('tables that share a queue share a sink, also by way of a third one', async () => {
    const { settings } = await load({
      PG2SQS_T_1_NAME: 'lonely',
      PG2SQS_T_1_Q_NAME: 'lonely',
      PG2SQS_T_2_NAME: 'orders',
      PG2SQS_T_2_Q_NAME: 'orders.fifo',
      PG2SQS_T_3_NAME: 'bridge',
      PG2SQS_T_3_Q_INSERT_URL: 'https://sqs.eu-west-1.amazonaws.com/123456789012/users.fifo',
      PG2SQS_T_3_Q_DELETE_NAME: 'orders.fifo',
    });
    expect(
      settings.sinks.map((sink) => [sink.name, namedTables(sink.selection).map(({ table }) => table)]),
    ).toEqual([
      ['public.users', ['users', 'orders', 'bridge']],
      ['public.lonely', ['lonely']],
    ]);
  });

  test('a queue of one action takes the group of its table, but only FIFO queues have groups', async () => {
    const { settings } = await load({
      PG2SQS_T_0_Q_UPDATE_NAME: 'changed.fifo',
      PG2SQS_T_0_Q_DELETE_NAME: 'gone',
    });
    const config = settings.sinks[0]?.destination.config as SqsConfig;
    const route = (action: 'insert' | 'update' | 'delete') =>
      queueRoute(config, { schema: 'public', table: 'users', action });
    expect(route('insert')).toMatchObject({ queue: 'users.fifo', groupTemplate: '${id}' });
    expect(route('update')).toMatchObject({ queue: 'changed.fifo', groupTemplate: '${id}' });
    expect(route('delete')).toMatchObject({ queue: 'gone', groupTemplate: undefined });
  });

  test('a table with queues for some actions only wants these', async () => {
    const { PG2SQS_T_0_Q_NAME: _, ...env } = base;
    const { settings } = await loadFiles({}, { env: { ...env, PG2SQS_T_0_Q_INSERT_NAME: 'new.fifo' } });
    expect(settings.sinks[0]?.actions).toEqual(['insert']);
  });

  test('columns are a list with commas, or all', async () => {
    expect((await load({ PG2SQS_T_0_COLUMNS: 'id, email' })).settings.sinks[0]?.tables[0]?.columns).toEqual([
      'id',
      'email',
    ]);
    expect((await load({ PG2SQS_T_0_COLUMNS: 'all' })).settings.sinks[0]?.tables[0] ?? {}).not.toHaveProperty(
      'columns',
    );
  });

  test('a constant group is noted', async () => {
    const { notes } = await load({ PG2SQS_T_0_Q_GROUPID: 'everything' });
    expect(notes).toEqual([expect.stringContaining('PG2SQS_T_0_Q_GROUPID: "everything" names no column')]);
  });
});

describe('values', () => {
  test('a bare number takes the unit of its setting', async () => {
    const { settings } = await load({
      PG2SQS_SHUTDOWNTIMEOUT: '20',
      PG2SQS_STATSINTERVAL: '1m',
      PG2SQS_POSTGRES_STANDBYTIMEOUT: '15',
      PG2SQS_FLUSHINTERVAL: '500',
    });
    expect(settings).toMatchObject({
      shutdownTimeoutMs: 20_000,
      statsIntervalMs: 60_000,
      databases: [{ statusIntervalMs: 15_000 }],
    });
  });

  test('without a limit of retries there is none, and unset sizes are ours', async () => {
    const { settings } = await load({});
    expect(settings.sinks[0]).not.toHaveProperty('maxRetryCount');
    expect(settings.sinks[0]).not.toHaveProperty('maxBuffered');
    expect(settings.sinks[0]?.destination.config).toMatchObject({ lanes: 640 });
  });

  test('certificates make TLS verify everything', async () => {
    const pem = '-----BEGIN CERTIFICATE-----';
    const env = { ...base, PG2SQS_POSTGRES_CONN_TLS_ROOTCERT: 'root.pem' };
    const { settings } = await loadFiles({ '/srv/root.pem': pem }, { env });
    expect(settings.databases[0]?.tls).toEqual({
      mode: 'verify-full',
      ca: { from: 'file', file: '/srv/root.pem' },
    });
  });

  test('DEBUG logs more, an empty variable is none, and profiling is noted', async () => {
    const { settings, notes } = await load({
      PG2SQS_DEBUG: 'true',
      PG2SQS_WATCHXID: '',
      PG2SQS_CPUPROF_ENABLED: 'false',
    });
    expect(settings.logLevel).toBe('debug');
    expect(notes).toEqual([expect.stringMatching(/^PG2SQS_CPUPROF_ENABLED is accepted/)]);
  });

  test('a database with an odd name is called by the letters that a file name can have', async () => {
    const { settings } = await load({ PG2SQS_POSTGRES_CONN_DATABASE: 'My Shop/2' });
    expect(settings.databases[0]).toMatchObject({ name: 'My_Shop_2', database: 'My Shop/2' });
    expect(settings.sinks[0]?.database).toBe('My_Shop_2');
  });
});

describe('faults', () => {
  test.each([
    [{ PG2SQS_WRITETIMEOUT: 'soon' }, 'PG2SQS_WRITETIMEOUT', 'a duration above 0 is expected'],
    [{ PG2SQS_FLUSHWORKERS: '0' }, 'PG2SQS_FLUSHWORKERS', 'a whole number from 1'],
    [{ PG2SQS_RETRYPOLICY_JITTER: '1.5' }, 'PG2SQS_RETRYPOLICY_JITTER', 'a number from 0 to 1'],
    [{ PG2SQS_POSTGRES_NUMERICMODE: 'decimal' }, 'PG2SQS_POSTGRES_NUMERICMODE', 'float or string'],
    [{ PG2SQS_T_0_Q_GROUPID: '${%tabel%}' }, 'PG2SQS_T_0_Q_GROUPID', 'no macro %tabel%'],
    [{ PG2SQS_T_0_Q_NAME: 'spaces in it.fifo' }, 'PG2SQS_T_0_NAME', 'a queue name has'],
    [{ PG2SQS_T_1_Q_NAME: 'c' }, 'PG2SQS_T_1_NAME', 'this is missing'],
    [{ PG2SQS_T_1_NAME: 'c' }, 'PG2SQS_T_1_NAME', 'this table has no queue'],
    [{ PG2SQS_T_1_NAME: 'public.users', PG2SQS_T_1_Q_NAME: 'x' }, 'PG2SQS_T_1_NAME', 'named twice'],
    [{ PG2SQS_POSTGRES_CONN_HOST: '' }, 'PG2SQS_POSTGRES_CONN_HOST', 'this is missing'],
    [
      { PG2SQS_POSTGRES_CONN_TLS_ROOTCERT: '/no/such.pem' },
      'PG2SQS_POSTGRES_CONN_TLS_ROOTCERT',
      'there is no file /no/such.pem',
    ],
  ])('%o is told at its variable', async (env, path, message) => {
    expect(await faultsOf(load(env as Record<string, string>))).toEqual([
      { file: 'environment', path, message: expect.stringContaining(message) },
    ]);
  });

  test('an unknown variable names the nearest one', async () => {
    const faults = await faultsOf(load({ PG2SQS_FLUSHWORKER: '1', PG2SQS_T_0_Q_GRUOPID: 'x' }));
    expect(faults).toMatchObject([
      { path: 'PG2SQS_FLUSHWORKER', nearest: 'PG2SQS_FLUSHWORKERS' },
      { path: 'PG2SQS_T_0_Q_GRUOPID', nearest: 'PG2SQS_T_0_Q_GROUPID' },
    ]);
  });

  test('an unknown key of the file names the nearest one, and stands at its line', async () => {
    const text = readFileSync(resolve(examples, 'config.yaml'), 'utf8')
      .replace('maxRetries', 'maxRetires')
      .replace('columns: [all]', 'colums: [all]')
      .replace(/user: .*/, 'user:');
    expect(await faultsOf(loadFiles({ '/srv/config.yaml': text }))).toMatchObject([
      { path: 'postgres.conn.user (PG2SQS_POSTGRES_CONN_USER)', message: 'this is missing' },
      { path: 'tables[1].colums', nearest: 'columns', line: 32 },
      { path: 'retryPolicy.maxRetires', nearest: 'retryPolicy.maxRetries', line: 50 },
    ]);
  });
});
