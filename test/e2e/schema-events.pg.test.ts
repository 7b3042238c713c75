// `ddl: events`: what changed in a table's schema arrives before the first row that was written since, once, in the order of the log.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd({ createMissing: true });
const sql = (text: string) => world.database.client.query(text);

type Told = {
  readonly action: string;
  readonly record: Readonly<Record<string, unknown>>;
  readonly schema?: {
    readonly changes: readonly ({ readonly change: string } & Readonly<Record<string, unknown>>)[];
    readonly before: unknown;
    readonly after: unknown;
  };
  readonly metadata: {
    readonly table_name: string;
    readonly idempotency_key: string;
    readonly partition?: { readonly table_name: string };
  };
};

const bodies = (queue: string): unknown[] =>
  world.recorder.messagesOf(queue).map(({ body }) => JSON.parse(body) as unknown);
const messages = (queue: string): Told[] => bodies(queue) as Told[];
const arrived = (queue: string, count: number) =>
  waitFor(() => messages(queue).length >= count, `${count} messages of ${queue}`);

/** One line a message: the row, or what changed. */
const brief = ({ action, record, schema, metadata }: Told): string => {
  const of = metadata.partition === undefined ? '' : ` of ${metadata.partition.table_name}`;
  const said = schema?.changes.map(({ change, ...what }) => `${change} ${JSON.stringify(what)}`).join(', ');
  return `${metadata.table_name} ${action}${of} ${said ?? JSON.stringify(record)}`;
};

const EVENTS = 'ddl: events\nactions: [insert, update, delete, truncate]';

test('a changed schema is told before the first row with it, inside a transaction and across a kill, once, and to who asks', async () => {
  await sql(`create table ord (id int primary key, a text, b int, secret text)`);
  const source = '{ include_tables: ["public.ord*"] }';
  const narrow = `${EVENTS}\ntables: [{ name: ord*, columns: [b] }]`;
  const config = world.config({
    sinks: [
      { name: 'told', queue: 'told.fifo', tables: [], source, extra: EVENTS },
      { name: 'plain', queue: 'plain.fifo', tables: [], source },
      { name: 'narrow', queue: 'narrow.fifo', tables: [], source, extra: narrow },
      { name: 'flat', queue: 'flat.fifo', tables: ['ord'], extra: 'ddl: events\nformat: pg2sqs' },
    ],
  });
  await world.start({ config });
  await sql(`insert into ord values (1, 'x', 1)`);
  await arrived('told.fifo', 1);
  await sql(`begin; update ord set b = 2; alter table ord add c numeric(6, 2) not null default 1;
    update ord set b = 3; alter table ord drop a; update ord set b = 4; commit`);
  await arrived('told.fifo', 6);
  // None of these changes how a row looks.
  await sql('analyze ord; create index on ord (b); alter table ord add d text; alter table ord drop d');
  await sql('update ord set b = 5');
  await arrived('told.fifo', 7);
  await sql('alter table ord rename c to price');
  await sql('update ord set b = 6');
  await arrived('told.fifo', 9);
  await world.service.kill();
  await sql('alter table ord alter b type bigint');
  await sql('truncate ord');
  await sql('alter table ord rename to orders');
  await sql(`insert into orders values (2, 7, null, 1)`);
  await world.start({ config });
  await arrived('told.fifo', 13);
  await world.service.stop();
  await world.start({ config });
  await sql('delete from orders');
  await arrived('told.fifo', 14);
  expect(messages('told.fifo').map(brief)).toEqual([
    'ord insert {"id":1,"a":"x","b":1,"secret":null}',
    'ord update {"id":1,"a":"x","b":2,"secret":null}',
    'ord schema column_added {"column":"c"}',
    'ord update {"id":1,"a":"x","b":3,"secret":null,"c":"1.00"}',
    'ord schema column_dropped {"column":"a"}',
    'ord update {"id":1,"b":4,"secret":null,"c":"1.00"}',
    'ord update {"id":1,"b":5,"secret":null,"c":"1.00"}',
    'ord schema column_renamed {"from":"c","to":"price"}',
    'ord update {"id":1,"b":6,"secret":null,"price":"1.00"}',
    'ord schema column_retyped {"column":"b","from":"integer","to":"bigint"}',
    'ord truncate {}',
    'orders schema table_renamed {"from":{"table_schema":"public","table_name":"ord"},"to":{"table_schema":"public","table_name":"orders"}}',
    'orders insert {"id":2,"b":7,"secret":null,"price":"1.00"}',
    'orders delete {"id":2}',
  ]);
  const keys = messages('told.fifo').map(({ metadata }) => metadata.idempotency_key);
  expect(new Set(keys).size).toBe(keys.length);
  const columns = (...more: object[]) => [
    { name: 'id', type: 'integer', nullable: false },
    ...more,
    { name: 'secret', type: 'text', nullable: true },
  ];
  const price = { name: 'price', type: 'numeric(6,2)', nullable: false };
  const b = { name: 'b', type: 'integer', nullable: true };
  expect(messages('told.fifo')[7]!.schema).toMatchObject({
    before: { table_schema: 'public', table_name: 'ord', columns: [...columns(b), { ...price, name: 'c' }] },
    after: { table_schema: 'public', table_name: 'ord', columns: [...columns(b), price], key: ['id'] },
  });
  // Its messages never had the other columns.
  await arrived('narrow.fifo', 11);
  expect(messages('narrow.fifo').flatMap((message) => (message.schema ? [brief(message)] : []))).toEqual([
    'ord schema column_retyped {"column":"b","from":"integer","to":"bigint"}',
    expect.stringContaining('orders schema table_renamed'),
  ]);
  await arrived('plain.fifo', 8);
  expect(messages('plain.fifo').every(({ action }) => ['insert', 'update', 'delete'].includes(action))).toBe(
    true,
  );
  await arrived('flat.fifo', 11);
  const flat = bodies('flat.fifo') as { kind?: string; schema?: Told['schema'] }[];
  expect(flat.map(({ kind, schema }) => schema?.changes[0]!.change ?? kind)).toEqual([
    'insert',
    'update',
    'column_added',
    'update',
    'column_dropped',
    'update',
    'update',
    'column_renamed',
    'update',
    'column_retyped',
    'table_renamed',
  ]);
  expect(flat.every(({ kind, schema }) => (schema === undefined) === (kind !== 'schema'))).toBe(true);
});

test('each partition tells by itself, under the name that its rows have, and so does a table that took another’s name', async () => {
  await sql(`create table parts (id int primary key) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (10);
    create table parts_2 partition of parts for values from (10) to (20);
    create table again (id int primary key, a text)`);
  const config = world.config({
    sinks: [{ name: 'told', queue: 'told.fifo', tables: ['parts', 'again'], extra: EVENTS }],
    publication: 'refresh_interval: 100ms',
  });
  await world.start({ config });
  await sql(`insert into parts values (1), (11); insert into again values (1, 'x')`);
  await arrived('told.fifo', 3);
  await sql('alter table parts add v int');
  await sql('insert into parts values (2), (12), (3)');
  await arrived('told.fifo', 8);
  await sql('drop table again; create table again (id int primary key, b text)');
  const published = async (): Promise<boolean> => {
    const { rows } = await sql(
      `select 1 from pg_publication_tables where pubname = '${world.database.name}' and tablename = 'again'`,
    );
    return rows.length > 0;
  };
  await waitFor(published, 'the new table in the publication');
  await sql(`insert into again values (2, 'y')`);
  await arrived('told.fifo', 10);
  const lines = messages('told.fifo').map(brief);
  expect(lines.filter((line) => line.startsWith('parts')).toSorted()).toEqual([
    'parts insert {"id":11}',
    'parts insert {"id":12,"v":null}',
    'parts insert {"id":1}',
    'parts insert {"id":2,"v":null}',
    'parts insert {"id":3,"v":null}',
    'parts schema of parts_1 column_added {"column":"v"}',
    'parts schema of parts_2 column_added {"column":"v"}',
  ]);
  for (const [partition, row] of [
    ['parts_1', 'parts insert {"id":2,"v":null}'],
    ['parts_2', 'parts insert {"id":12,"v":null}'],
  ]) {
    const told = lines.indexOf(`parts schema of ${partition} column_added {"column":"v"}`);
    expect(told).toBeLessThan(lines.indexOf(row!));
  }
  expect(lines.filter((line) => line.startsWith('again'))).toEqual([
    'again insert {"id":1,"a":"x"}',
    'again schema column_dropped {"column":"a"}, column_added {"column":"b"}',
    'again insert {"id":2,"b":"y"}',
  ]);
});

test('rows of one transaction with DDL between them come each with the columns that it had, across a kill in the middle', async () => {
  await sql(
    `create table st (id int primary key, a text, step int); create publication ${world.database.name} for all tables`,
  );
  const source = '{ include_tables: ["public.st*"] }';
  const config = world.config({
    sinks: [{ name: 'told', queue: 'told.fifo', tables: [], source, extra: EVENTS }],
  });
  await world.start({ config });
  const isHalf = (): boolean => messages('told.fifo').length >= 4;
  world.recorder.answer = (action) =>
    action === 'SendMessageBatch' && isHalf() ? { status: 503, code: 'ServiceUnavailable' } : undefined;
  await sql(`begin; insert into st values (1, 'x', 0);
    alter table st add b int; update st set step = 1, b = 2;
    alter table st drop a; update st set step = 2;
    alter table st alter b type text; update st set step = 3;
    alter table st rename b to c; update st set step = 4;
    alter table st rename to st2; update st2 set step = 5;
    drop table st2; create table st (id int primary key, z text); insert into st values (1, 'z'); commit`);
  await waitFor(isHalf, 'half of the transaction');
  await world.service.kill();
  world.recorder.answer = undefined;
  await world.start({ config });
  await arrived('told.fifo', 13);
  const lines = messages('told.fifo').map(brief);
  // What was dropped and what was made under its old name are two tables.
  const renamed = lines.filter((line) => line.startsWith('st2'));
  expect(renamed).toEqual([
    expect.stringContaining('st2 schema table_renamed'),
    'st2 update {"id":1,"step":5,"c":"2"}',
  ]);
  expect(lines.filter((line) => !renamed.includes(line))).toEqual([
    'st insert {"id":1,"a":"x","step":0}',
    'st schema column_added {"column":"b"}',
    'st update {"id":1,"a":"x","step":1,"b":2}',
    'st schema column_dropped {"column":"a"}',
    'st update {"id":1,"step":2,"b":2}',
    'st schema column_retyped {"column":"b","from":"integer","to":"text"}',
    'st update {"id":1,"step":3,"b":"2"}',
    'st schema column_dropped {"column":"b"}, column_added {"column":"c"}',
    'st update {"id":1,"step":4,"c":"2"}',
    'st schema column_dropped {"column":"step"}, column_dropped {"column":"c"}, column_added {"column":"z"}',
    'st insert {"id":1,"z":"z"}',
  ]);
});
