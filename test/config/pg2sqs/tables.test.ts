import { describe, expect, test } from 'vitest';
import { namedTables } from '../../../src/core/selection.ts';
import type { SqsConfig } from '../../../src/sinks/sqs/config.ts';
import { faultLines, faultsOf, loadFiles, type Files } from '../load-config.ts';

const head = `
postgres:
  conn: { host: localhost, database: depot, user: reader, password: secret }
  repl: { slot: depot_slot, pub: depot_pub }
`;

const variables = {
  PG2SQS_POSTGRES_CONN_HOST: 'localhost',
  PG2SQS_POSTGRES_CONN_DATABASE: 'depot',
  PG2SQS_POSTGRES_CONN_USER: 'reader',
  PG2SQS_POSTGRES_REPL_PUB: 'depot_pub',
  PG2SQS_POSTGRES_REPL_SLOT: 'depot_slot',
};

type Env = Readonly<Record<string, string>>;

/** Tables, their columns and their queues, in the order of the sinks. */
async function tablesOf(text: string | undefined, env: Env = {}, files: Files = {}) {
  const { settings, notes } = await loadFiles(
    { ...files, ...(text !== undefined && { '/srv/config.yaml': head + text }) },
    { env: text === undefined ? { ...variables, ...env } : env },
  );
  const tables = settings.sinks.flatMap(({ selection, tables: options, destination }) =>
    namedTables(selection).map(({ schema, table }) => ({
      name: `${schema}.${table}`,
      columns: options.find(({ pattern }) => pattern.table[0] === table)?.columns,
      queues: (destination.config as SqsConfig).tables[`${schema}.${table}`],
    })),
  );
  return { tables, notes: notes.filter((note) => !note.includes('TLS')) };
}

describe('tables in the file', () => {
  test('may be a mapping of names to settings, with options that concern nothing here', async () => {
    const { tables, notes } = await tablesOf(`
tables:
  parcels:
    columns: [id, weight]
    options:
      compression: none
      "odd key": 1
    queue:
      name: parcels.fifo
      groupID: \${id}
      delete: { name: parcels-gone.fifo }
  depot.scans:
    columns: [all]
    queue: { url: https://sqs.eu-west-1.amazonaws.com/123456789012/scans }
    update: { name: scans-changed }
    options: {}
`);
    expect(tables).toEqual([
      {
        name: 'public.parcels',
        columns: ['id', 'weight'],
        queues: {
          queue_name: 'parcels.fifo',
          group_id: '${id}',
          delete: { queue_name: 'parcels-gone.fifo', group_id: '${id}' },
        },
      },
      {
        name: 'depot.scans',
        queues: {
          queue_url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/scans',
          update: { queue_name: 'scans-changed' },
        },
      },
    ]);
    expect(notes).toEqual([
      'tables.parcels.options, tables.depot.scans.options are accepted without effect: no option concerns queues',
    ]);
  });

  test('may be a list with options inside or beside', async () => {
    const { tables, notes } = await tablesOf(`
tables:
  - parcels:
      queue: { name: a }
      options: { compression: none }
  - scans:
    queue: { name: b }
    options: { compression: none }
`);
    expect(tables.map(({ name }) => name)).toEqual(['public.parcels', 'public.scans']);
    expect(notes).toEqual([
      'tables[0].parcels.options, tables[1].options are accepted without effect: no option concerns queues',
    ]);
  });

  test.each([
    [
      'tables: parcels',
      '5:9 tables tables are expected, by their names: "schema.table:", then columns and queue',
    ],
    ['tables: { parcels: q }', '5:20 tables.parcels the settings of a table are expected: columns and queue'],
    ['tables: { parcels: }', '5:11 tables.parcels this table has no queue: give queue.name (Q_NAME)'],
    ['tables: { parcels: { queue: { nam: q } } }', '5:31 tables.parcels.queue.nam unknown key'],
    [
      'tables: { parcels: { queue: { name: q } }, public.parcels: { queue: { name: r } } }',
      '5:44 tables.public.parcels public.parcels is named twice',
    ],
  ])('%s is told at its place', async (text, line) => {
    const lines = await faultLines(loadFiles({ '/srv/config.yaml': head + text }));
    expect(lines).toContain(line);
  });

  test('that are misspelt name the nearest key', async () => {
    const text = `${head}tables:\n  parcels:\n    colums: [all]\n    queue: { nme: q }\n`;
    expect(await faultsOf(loadFiles({ '/srv/config.yaml': text }))).toMatchObject([
      { line: 6, column: 3, path: 'tables.parcels', message: expect.stringContaining('no queue') },
      { line: 7, column: 5, path: 'tables.parcels.colums', nearest: 'columns' },
      { line: 8, column: 14, path: 'tables.parcels.queue.nme', nearest: 'queue.name' },
    ]);
  });
});

test('tables in variables are numbered as one likes, with holes', async () => {
  const { tables } = await tablesOf(undefined, {
    PG2SQS_T_10_NAME: 'third',
    PG2SQS_T_10_Q_NAME: 'c',
    PG2SQS_T_7_NAME: 'second',
    PG2SQS_T_7_Q_NAME: 'b',
    PG2SQS_T_3_NAME: 'first',
    PG2SQS_T_3_Q_NAME: 'a',
  });
  expect(tables.map(({ name, queues }) => [name, queues])).toEqual([
    ['public.first', { queue_name: 'a' }],
    ['public.second', { queue_name: 'b' }],
    ['public.third', { queue_name: 'c' }],
  ]);
});

describe('tables in the file and in variables', () => {
  const file = `
tables:
  - parcels:
      columns: [id, weight]
      queue:
        name: parcels.fifo
        groupID: \${id}
        insert: { name: parcels-new.fifo }
  - depot.scans:
      columns: [all]
      queue: { name: scans }
`;

  test('are the same by their names, whatever their numbers', async () => {
    const { tables } = await tablesOf(file, {
      PG2SQS_T_0_NAME: 'depot.scans',
      PG2SQS_T_0_Q_NAME: 'other-scans',
      PG2SQS_T_4_NAME: 'drivers',
      PG2SQS_T_4_COLUMNS: 'id, name',
      PG2SQS_T_4_Q_NAME: 'drivers',
      PG2SQS_T_5_NAME: 'public.parcels',
      PG2SQS_T_5_COLUMNS: 'id',
    });
    expect(tables).toEqual([
      {
        name: 'public.parcels',
        columns: ['id'],
        queues: {
          queue_name: 'parcels.fifo',
          group_id: '${id}',
          insert: { queue_name: 'parcels-new.fifo', group_id: '${id}' },
        },
      },
      { name: 'depot.scans', queues: { queue_name: 'other-scans' } },
      { name: 'public.drivers', columns: ['id', 'name'], queues: { queue_name: 'drivers' } },
    ]);
  });

  test('one that variables give whole stands in the place of the file’s: nothing of that is left', async () => {
    const { tables } = await tablesOf(file, {
      PG2SQS_T_0_NAME: 'parcels',
      PG2SQS_T_0_COLUMNS: 'all',
      PG2SQS_T_0_Q_NAME: 'elsewhere.fifo',
    });
    expect(tables[0]).toEqual({ name: 'public.parcels', queues: { queue_name: 'elsewhere.fifo' } });
  });

  test('faults stand where the setting was written', async () => {
    const env = { PG2SQS_T_2_NAME: 'parcels', PG2SQS_T_2_Q_GROUPID: '${%tabel%}', PG2SQS_T_9_COLUMNS: 'id' };
    expect(await faultsOf(loadFiles({ '/srv/config.yaml': head + file }, { env }))).toMatchObject([
      {
        file: 'environment',
        path: 'PG2SQS_T_2_Q_GROUPID',
        message: expect.stringContaining('no macro %tabel%'),
      },
      { file: 'environment', path: 'PG2SQS_T_9_NAME', message: expect.stringContaining('this is missing') },
    ]);
  });

  test('a table that variables name twice is a fault', async () => {
    const env = {
      PG2SQS_T_0_NAME: 'parcels',
      PG2SQS_T_0_Q_NAME: 'a',
      PG2SQS_T_1_NAME: 'public.parcels',
      PG2SQS_T_1_Q_NAME: 'b',
    };
    expect(await faultsOf(loadFiles({ '/srv/config.yaml': head + file }, { env }))).toMatchObject([
      { path: 'PG2SQS_T_1_NAME', message: 'public.parcels is named twice' },
    ]);
  });
});
