// Which tables a sink reads, end to end: patterns, tables that come, go and are renamed, publications of others, key changes.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore } from '../../src/store/sqlite.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { connect } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

/** Tables that come while the service runs are found at the next look. */
const QUICK = 'refresh_interval: 100ms';

const sql = (text: string) => world.database.client.query(text);
const bodies = (): (ChangeMessage & { metadata: { table_schema: string; key_change?: unknown } })[] =>
  world.recorder.messages.map(({ body }) => JSON.parse(body) as never);
/** `schema.table action id` of what arrived, in order. */
const arrived = (): string[] =>
  bodies().map(
    ({ action, record, metadata }) =>
      `${metadata.table_schema}.${metadata.table_name} ${action} ${String(record['id'])}`,
  );
const receive = (...expected: readonly string[]): Promise<unknown> =>
  waitFor(
    () => expected.every((text) => arrived().includes(text)),
    `${expected.join(', ')} among ${arrived().join(', ')}`,
  );
const status = async () => (await world.service.health()).databases[0]!;
/** The publication carries the table: what is written from now on is streamed. */
const published = (table: string): Promise<unknown> =>
  waitFor(async () => {
    const { rows } = await sql(
      `select from pg_publication_tables where schemaname || '.' || tablename = '${table}'`,
    );
    return rows.length === 1;
  }, `${table} to be published`);
const warned = (text: string): Promise<unknown> =>
  waitFor(
    async () => (await status()).warnings.some((warning) => warning.includes(text)),
    `a warning of ${text}`,
  );

const start = (source: string, extra = '') =>
  world.start({
    config: world.config({ publication: QUICK, sinks: [{ tables: [], source, extra }] }),
  });

test('tables that match a pattern and are made later are streamed without a restart, from a recorded position (C102)', async () => {
  await sql(`
    create schema tenant_a; create table tenant_a.orders (id int primary key);
    create table tenant_a.other (id int primary key); create table orders (id int primary key)`);
  await start('{ include_tables: ["tenant_*.orders"], exclude_schemas: ["tenant_x*"] }');
  await sql(
    'insert into tenant_a.orders values (1); insert into tenant_a.other values (1); insert into orders values (1)',
  );
  await sql(`
    create schema tenant_b; create table tenant_b.orders (id int primary key);
    create schema tenant_xy; create table tenant_xy.orders (id int primary key)`);
  await published('tenant_b.orders');
  await sql(
    'insert into tenant_b.orders values (2); insert into tenant_xy.orders values (2); insert into tenant_a.orders values (3)',
  );
  await receive('tenant_a.orders insert 1', 'tenant_b.orders insert 2', 'tenant_a.orders insert 3');
  expect(arrived()).toHaveLength(3);
  await waitFor(async () => (await status()).tables === 2, 'the status to count both tables');
  const { joinedTables, warnings } = await status();
  expect(joinedTables).toMatchObject([
    { schema: 'tenant_a', table: 'orders' },
    { schema: 'tenant_b', table: 'orders', from: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) },
  ]);
  expect(warnings).toEqual([]);
  expect(await world.service.stop()).toBe(0);
  const store = openStore(join(world.directory, 'data', 'tailrace.db'));
  expect(store.streamedTables.list('shop')).toEqual(joinedTables);
  store.close();
});

test('a pattern that no table matches yet makes an empty publication, and the first table joins it', async () => {
  await start('{ include_schemas: [later] }');
  await warned('carries no table');
  await sql('create schema later; create table later."Odd Name" (id int primary key)');
  await published('later.Odd Name');
  await sql('insert into later."Odd Name" values (1)');
  await receive('later.Odd Name insert 1');
  expect(world.service.log.some(({ msg }) => msg?.startsWith('tables joined the publication'))).toBe(true);
});

test('a table without an identity is left out with both cures, so that UPDATE goes on there, and joins once it has one', async () => {
  await sql('create table users (id int primary key); create table events (id int)');
  await start('{ exclude_tables: [ignored] }');
  await warned(
    'ALTER TABLE "public"."events" ADD PRIMARY KEY (…); or ALTER TABLE "public"."events" REPLICA IDENTITY FULL;',
  );
  await sql('insert into events values (1); update events set id = 2');
  await sql('create table ignored (id int primary key); alter table events replica identity full');
  await published('public.events');
  await sql(
    'insert into events values (3); update events set id = 4 where id = 3; insert into ignored values (1)',
  );
  await receive('public.events insert 3', 'public.events update 4');
  expect(arrived()).toHaveLength(2);
  await waitFor(async () => (await status()).warnings.length === 0, 'the warning to go');
});

test('partitions made later come by themselves, under the name of their root', async () => {
  await sql(`
    create table parts (id int primary key) partition by range (id);
    create table parts_low partition of parts for values from (0) to (100)`);
  await start('{ include_tables: [parts] }');
  await sql('create table parts_high partition of parts for values from (100) to (200)');
  await sql('insert into parts values (1), (101)');
  await receive('public.parts insert 1', 'public.parts insert 101');
  expect((await status()).warnings).toEqual([]);
});

test('a table that is dropped, or renamed, keeps no other from being followed, also across a restart (C112, C113)', async () => {
  await sql(
    'create table a (id int primary key); create table b (id int primary key); create table c (id int primary key)',
  );
  const source = '{ include_tables: [a, b, c] }';
  await start(source);
  await sql(
    'insert into a values (1); insert into b values (1); drop table a; alter table b rename to b_old',
  );
  await warned('table "public.a": there is no such table');
  await warned('table "public.b": there is no such table');
  // Its new name is not selected.
  await sql('insert into b_old values (2); insert into c values (2)');
  await receive('public.a insert 1', 'public.b insert 1', 'public.c insert 2');
  expect(await world.service.stop()).toBe(0);
  await start(source);
  await sql('create table a (id int primary key, again text); alter table b_old rename to b');
  await published('public.a');
  await sql('insert into a values (3); insert into b values (3); insert into c values (3)');
  await receive('public.a insert 3', 'public.b insert 3', 'public.c insert 3');
  expect(arrived()).toHaveLength(6);
});

test('of a publication that somebody else made the tables are taken as they are', async () => {
  await sql(
    'create table a (id int primary key); create table b (id int primary key); create table later (id int primary key)',
  );
  await sql(`create publication ${world.database.name} for table a, b`);
  await start('{ include_tables: ["*.a", "*.l*"] }');
  await sql('insert into a values (1); insert into b values (1); insert into later values (1)');
  await sql('insert into a values (2)');
  await receive('public.a insert 2');
  expect(arrived()).toEqual(['public.a insert 1', 'public.a insert 2']);
  expect(await status()).toMatchObject({ warnings: [], joinedTables: [], tables: 1 });
  const { rows } = await sql('select tablename from pg_publication_tables order by 1');
  expect(rows.map(({ tablename }: { tablename: string }) => tablename)).toEqual(['a', 'b']);
  // Somebody adds a table: that, too, is taken as it is.
  await sql(`alter publication ${world.database.name} add table later`);
  await sql('insert into later values (2)');
  await receive('public.later insert 2');
});

test('a role that does not own a new table says which SQL its owner runs, and streams it then', async () => {
  const { name } = world.database;
  const weak = `weak_${name}`;
  await sql(
    `create role ${weak} login replication password 'weak'; grant create, connect on database ${name} to ${weak}`,
  );
  await sql(`create schema app authorization ${weak}`);
  const owner = await connect(world.database.url.replace('postgres:postgres@', `${weak}:weak@`));
  await owner.query('create table app.mine (id int primary key)');
  const config = world
    .config({ publication: QUICK, sinks: [{ tables: [], source: '{ include_schemas: [app] }' }] })
    .replace('username: postgres', `username: ${weak}`)
    .replace('password: postgres', 'password: weak');
  await world.start({ config });
  await sql('create table app.theirs (id int primary key)');
  await warned(`as a superuser: ALTER PUBLICATION "${name}" ADD TABLE ONLY "app"."theirs";`);
  await owner.query('insert into app.mine values (1)');
  await receive('app.mine insert 1');
  await sql(`alter publication ${name} add table app.theirs`);
  await sql('insert into app.theirs values (2)');
  await receive('app.theirs insert 2');
  expect((await status()).joinedTables).toMatchObject([{ schema: 'app', table: 'mine' }]);
  await owner.end();
  await world.service.stop();
  await sql(`drop owned by ${weak} cascade; drop role ${weak}`);
});

test('options go by exact name, then by the first pattern: columns, actions, groups', async () => {
  const columns = '(id int primary key, account int, secret text)';
  await sql(
    `create table orders ${columns}; create table order_lines ${columns}; create table users ${columns}`,
  );
  await start(
    '{ include_tables: ["order*", users] }',
    `
tables:
  - { name: "order*", columns: [account], group_column_names: [account] }
  - { name: orders, actions: [insert] }
  - { name: "*.order_*", columns: [secret] }`,
  );
  await sql(`
    insert into orders values (1, 7, 's'); delete from orders; insert into order_lines values (2, 7, 's');
    insert into users values (3, 7, 's'); delete from users`);
  await receive('public.orders insert 1', 'public.order_lines insert 2', 'public.users delete 3');
  expect(arrived()).toHaveLength(4);
  const records = new Map(
    bodies().map(({ action, metadata, record }) => [`${metadata.table_name} ${action}`, record]),
  );
  expect(records.get('orders insert')).toEqual({ id: 1, account: 7, secret: 's' });
  expect(records.get('order_lines insert')).toEqual({ id: 2, account: 7 });
  const groups = new Map(
    world.recorder.messages.map(({ body, group }) => [
      (JSON.parse(body) as ChangeMessage).metadata.table_name,
      group,
    ]),
  );
  expect(groups.get('order_lines')).toContain(':7');
  expect(groups.get('orders')).toContain(':1');
});

test('a TRUNCATE of tables that a pattern takes is a barrier of each', async () => {
  await sql(
    'create table t_a (id int primary key); create table t_b (id int primary key); create table u (id int primary key)',
  );
  await start('{ include_tables: ["t_*"] }', 'actions: [insert, truncate]');
  await sql('insert into t_a select generate_series(1, 50); insert into t_b values (1)');
  await sql('truncate t_a, t_b, u');
  await sql('insert into t_a values (1); insert into t_b values (2)');
  await waitFor(() => arrived().length === 55, '55 messages');
  const of = (table: string): string[] => arrived().filter((text) => text.includes(table));
  expect(
    of('t_a')
      .slice(0, 50)
      .every((text) => text.includes('insert')),
  ).toBe(true);
  expect(of('t_a').slice(50)).toEqual(['public.t_a truncate undefined', 'public.t_a insert 1']);
  expect(of('t_b')).toEqual(['public.t_b insert 1', 'public.t_b truncate undefined', 'public.t_b insert 2']);
});

test('split key changes are a delete in the old group and an insert in the new one, each settled by itself', async () => {
  await sql('create table t (id int primary key, note text); create table f (id int primary key, note text)');
  await sql('alter table f replica identity full');
  const sinks = [{ tables: ['t', 'f'], extra: 'key_changes: split' }];
  const config = world.config({ sinks, faulty: true });
  // The delete comes through, its insert does not: after a restart only the insert is sent again.
  let refusing = true;
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && refusing
      ? {
          kind: 'entries',
          senderFault: false,
          refuse: ({ MessageBody }) =>
            MessageBody.includes('"action":"insert"') && MessageBody.includes('key_change'),
        }
      : undefined;
  await world.start({ config });
  await sql(`insert into t values (1, 'a'); insert into f values (1, 'a')`);
  await sql(
    `update t set id = 2, note = 'b'; update t set note = 'c'; update f set note = 'x'; update f set id = 5`,
  );
  await receive('public.t delete 1', 'public.f delete 1', 'public.f update 1');
  await waitFor(
    async () => (await world.service.health()).sinks[0]!.blockedGroups.length === 2,
    'both inserts to fail',
  );
  await world.service.kill();
  refusing = false;
  await world.start({ config });
  await receive('public.t insert 2', 'public.t update 2', 'public.f insert 5');
  const of = (table: string) => bodies().filter(({ metadata }) => metadata.table_name === table);
  expect(of('t').map(({ action, record }) => [action, record])).toEqual([
    ['insert', { id: 1, note: 'a' }],
    ['delete', { id: 1 }],
    ['insert', { id: 2, note: 'b' }],
    ['update', { id: 2, note: 'c' }],
  ]);
  expect(of('f').map(({ action }) => action)).toEqual(['insert', 'update', 'delete', 'insert']);
  const [, gone, come] = of('t') as ChangeMessage[];
  for (const half of [gone, come]) {
    expect(half).toMatchObject({
      changes: null,
      metadata: { key_change: { old: { id: 1 }, new: { id: 2 } } },
    });
  }
  const key = (message: ChangeMessage | undefined): string => message!.metadata.idempotency_key;
  expect([key(gone).slice(-2), key(come).slice(-2)]).toEqual(['-d', '-i']);
  expect(key(gone).slice(0, -2)).toBe(key(come).slice(0, -2));
  expect(bodies().filter(({ metadata }) => metadata.key_change === undefined)).toHaveLength(4);
  const groups = world.recorder.messages
    .filter(({ body }) => body.includes('key_change') && body.includes('"table_name":"t"'))
    .map(({ group }) => group);
  expect(groups[0]).toContain(':1');
  expect(groups[1]).toContain(':2');
  expect(world.recorder.counts.duplicates).toBe(0);
});
