// What a backfill asks of a table before it begins: bad input is refused with a cure that mends it, and nothing of it has run.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackfillTableRequest } from '../../../src/core/backfill.ts';
import { TailraceError } from '../../../src/core/errors.ts';
import { inspectBackfillTable, requireConditions } from '../../../src/postgres/backfill/requirements.ts';
import { openReading, readChunks, rowsOf, type TestReading } from '../../support/backfill.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let reading: TestReading;
beforeAll(async () => {
  database = await createTestDatabase();
  await sql('create publication everything for all tables');
  reading = await openReading(database, { publication: 'everything' });
});
afterEach(async () => {
  await sql(
    'drop schema if exists public, secret cascade; create schema public; grant all on schema public to public',
  );
});
afterAll(async () => {
  await reading.close();
  await database.drop();
});

const sql = (text: string) => database.client.query(text);
const users = { schema: 'public', table: 'users' };
const inspect = (request: Partial<BackfillTableRequest> = {}, by = reading) =>
  inspectBackfillTable(by.client, { ...users, ...request }, by.context);

async function refusalOf(request: Partial<BackfillTableRequest>, by = reading): Promise<TailraceError> {
  const refused: unknown = await inspect(request, by).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(refused instanceof TailraceError)) throw refused ?? new Error('it was not refused');
  expect(refused.hint).not.toBe('');
  return refused;
}

const USERS = `create table users (id int primary key, "Status" text, created_at timestamptz);
  insert into users select i, 'paid', now() from generate_series(1, 50) i; analyze users`;

test('a table that can be read is told with what the planner knows of it', async () => {
  await sql(USERS);
  expect(await inspect({ where: `"Status" = 'paid' -- all of them` })).toEqual({
    placed: { ...users, ancestors: [] },
    estimatedRows: 50,
    notes: [],
    key: [{ name: 'id', type: 'pg_catalog.int4' }],
  });
});

test('of a partitioned table its leaves are counted, and a leaf stands under its root', async () => {
  await sql(`create table users (id int primary key, note text) partition by range (id);
    create table low partition of users for values from (0) to (10); create table high partition of users for values from (10) to (99);
    insert into users select i, 'x' from generate_series(1, 50) i; analyze low; analyze high`);
  const whole = await inspect();
  expect(whole).toMatchObject({ estimatedRows: 50, notes: [] });
  const ancestors = [expect.objectContaining({ ...users, published: true })];
  expect(whole.placed).toMatchObject({ schema: 'public', ancestors });
  expect(await inspect({ table: 'high' })).toMatchObject({
    estimatedRows: 41,
    placed: { table: 'high', ancestors },
  });
  await sql('create table empty (id int) partition by list (id)');
  expect(await inspect({ table: 'empty' })).toMatchObject({
    estimatedRows: 0,
    notes: ['public.empty has no partitions'],
  });
});

test('where something else orders the work than one may think, that is said (C206)', async () => {
  await sql(`${USERS}; create table log (line text)`);
  const { notes } = await inspect({ sort: { column: 'created_at', from: '2026-01-01' } });
  expect(notes).toEqual([expect.stringContaining('in the order of its key (id), not of created_at')]);
  expect((await inspect({ table: 'log' })).notes).toEqual([expect.stringContaining('page by page')]);
});

test('where a sorted column begins is judged by its own order, also that of an extension’s type', async () => {
  await sql(`create extension citext schema public; create extension ltree schema public;
    create domain code as citext; create table users (id int primary key, name code, path ltree);
    insert into users values (1, 'a', 'a'), (2, 'B', 'b.c'), (3, 'c', 'c'), (4, null, null)`);
  for (const column of ['name', 'path']) {
    const sort = { column, from: 'b' };
    await inspect({ sort });
    const table = await reading.table('users');
    const where = await requireConditions(reading.client, table, { sort, where: 'id > 0 -- all' });
    const chunks = await readChunks(reading.reader(table, { ...(where !== undefined && { where }) }));
    expect(chunks.flatMap((chunk) => rowsOf(chunk, table)).map(({ id }) => id)).toEqual(['2', '3']);
  }
});

describe('what is refused', () => {
  test('an unknown table or column, with the nearest name', async () => {
    await sql(USERS);
    expect(await refusalOf({ table: 'usres' })).toMatchObject({
      code: 'TABLE_UNKNOWN',
      message: 'there is no table public.usres; did you mean "public.users"?',
    });
    expect(await refusalOf({ sort: { column: 'creatd_at' } })).toMatchObject({
      code: 'COLUMN_UNKNOWN',
      message: 'public.users has no column "creatd_at"; did you mean "created_at"?',
      hint: 'it has id, Status, created_at',
    });
  });

  test.each([
    ['a view', 'create view users as select 1 as id'],
    ['a materialized view', 'create materialized view users as select 1 as id'],
    ['an unlogged table', 'create unlogged table users (id int primary key)'],
  ])('%s, of which nothing is streamed', async (what, statement) => {
    await sql(statement);
    const { code, message } = await refusalOf({});
    expect([code, message]).toEqual(['TABLE_UNKNOWN', expect.stringContaining(`public.users is ${what}:`)]);
  });

  test('a partitioned table of which the publication carries some partitions, by the first that it does not', async () => {
    await sql(`create table users (id int primary key) partition by list (id); create table low partition of users for values in (1);
      create table high partition of users for values in (2); create publication half for table low`);
    const half = await openReading(database, { publication: 'half' });
    expect(await refusalOf({}, half)).toMatchObject({
      code: 'TABLE_NOT_PUBLISHED',
      message: 'the publication "half" does not carry public.high',
    });
    expect((await inspect({ table: 'low' }, half)).notes).toEqual([]);
    await half.close();
    await sql('drop publication half');
  });

  test('a table that the publication does not carry', async () => {
    await sql(`${USERS}; create publication little`);
    const little = await openReading(database, { publication: 'little' });
    expect(await refusalOf({}, little)).toMatchObject({ code: 'TABLE_NOT_PUBLISHED' });
    await little.close();
    await sql('drop publication little');
  });

  test.each([
    [`"Status" = 'paid' and\n  stats = 1`, 'line 2, column 3 of it: column "stats" does not exist'],
    [`"Status" = 'paid`, 'line 1, column 12 of it: unterminated quoted string'],
    ['id', 'argument of AND must be type boolean'],
    ['id > 0) or (true', 'syntax error at or near ")"'],
    ['id > 0; drop table users', 'syntax error at or near ";"'],
    ['true) limit 0; --', 'syntax error at or near'],
    ['true then 1 end from only public.users r --', 'syntax error'],
    ['id > 0 /*', 'unterminated /* comment'],
    ['count(*) > 0', 'aggregate functions are not allowed in WHERE'],
    [`pg_sleep('x') is null`, 'invalid input syntax'],
    ['created_at > 5', 'operator does not exist'],
    ['id = $2', 'parameter $1'],
  ])('a filter that Postgres does not take, at its place: %s', async (where, message) => {
    await sql(USERS);
    const refusal = await refusalOf({ where });
    expect(refusal.code).toBe('FILTER_REFUSED');
    expect(refusal.message).toContain(message);
    // Its session goes on.
    expect((await inspect()).estimatedRows).toBe(50);
  });

  test('a filter is not run while it is looked at', async () => {
    await sql(`${USERS}; create table ran (n int); create function mark() returns boolean language plpgsql volatile
      as $$ begin insert into public.ran values (1); return true; end $$`);
    await inspect({ where: 'public.mark()' });
    await inspect({ where: '(select public.mark())' });
    expect((await sql('select * from ran')).rows).toEqual([]);
  });

  test('a start that is no value of its column', async () => {
    await sql(USERS);
    const start = (from: string, column = 'created_at') => refusalOf({ sort: { column, from } });
    expect(await start('soon')).toMatchObject({
      code: 'START_REFUSED',
      message: expect.stringContaining(
        'public.users.created_at cannot begin at "soon": invalid input',
      ) as string,
    });
    expect(await start(`x' or true --`, 'id')).toMatchObject({ code: 'START_REFUSED' });
    await sql('alter table users add j json');
    expect(await start('{}', 'j')).toMatchObject({ code: 'START_REFUSED' });
  });

  test('keys that are none of its rows could have', async () => {
    await sql(
      `create table users (id int, region text, primary key (region, id)); create table log (line text)`,
    );
    await inspect({
      keys: [
        ['eu', '1'],
        ["it's", '2'],
      ],
    });
    expect(await refusalOf({ keys: [['eu', '1'], ['eu']] })).toMatchObject({
      code: 'KEY_REFUSED',
      message: 'the key ["eu"] has 1 parts: that of public.users has 2',
      hint: 'give a value each for region, id',
    });
    expect(await refusalOf({ keys: [['eu', 'one']] })).toMatchObject({
      code: 'KEY_REFUSED',
      message: expect.stringContaining('invalid input syntax') as string,
    });
    expect(await refusalOf({ table: 'log', keys: [['1']] })).toMatchObject({ code: 'KEY_MISSING' });
  });
});

describe('a right that is missing', () => {
  const asReader = async (work: (reader: TestReading) => Promise<void>): Promise<void> => {
    await sql(`create role backfill_reader login password 'postgres'`);
    const reader = await openReading(database, { publication: 'everything', username: 'backfill_reader' });
    try {
      await work(reader);
    } finally {
      await reader.close();
      await sql('drop owned by backfill_reader; drop role backfill_reader');
    }
  };

  test('is named with the GRANT that mends it, of each leaf by itself', async () => {
    await sql(`create schema secret; create table users (id int primary key) partition by list (id);
      create table secret."Odd" partition of users for values in (1); create table plain partition of users for values in (2)`);
    await asReader(async (reader) => {
      await sql('grant select on users to backfill_reader');
      for (const table of ['secret.Odd', 'public.plain']) {
        const refusal = await refusalOf({}, reader);
        expect(refusal.code).toBe('TABLE_UNREADABLE');
        expect(refusal.message).toContain(table);
        await sql(refusal.hint!);
      }
      expect((await inspect({}, reader)).notes).toEqual([]);
    });
  });

  test('to some columns is not enough', async () => {
    await sql(USERS);
    await asReader(async (reader) => {
      await sql('grant select (id, "Status", created_at) on users to backfill_reader');
      const refusal = await refusalOf({}, reader);
      expect(refusal.code).toBe('TABLE_UNREADABLE');
      await sql(refusal.hint!);
      const table = await reader.table('users');
      expect((await readChunks(reader.reader(table))).flatMap((chunk) => rowsOf(chunk, table))).toHaveLength(
        50,
      );
    });
  });

  test('to name the types of a key is told with the schemas, and then its rows are read one behind the other', async () => {
    await sql(`create schema secret; create type secret.mood as enum ('b', 'a'); create extension citext schema secret;
      create table users (m secret.mood, c secret.citext, primary key (m, c)); insert into users values ('b', 'x'), ('a', 'x'), ('b', 'Y')`);
    await asReader(async (reader) => {
      await sql('grant select on users to backfill_reader');
      const refusal = await refusalOf({ keys: [['b', 'x']] }, reader);
      expect(refusal.code).toBe('KEY_UNUSABLE');
      await sql(refusal.hint!);
      await inspect({ keys: [['b', 'x']] }, reader);
      const table = await reader.table('users');
      const chunks = await readChunks(reader.reader(table, { limits: { maxRows: 1 } }));
      expect(chunks.flatMap((chunk) => rowsOf(chunk, table)).map(({ m, c }) => `${m} ${c}`)).toEqual([
        'b x',
        'b Y',
        'a x',
      ]);
    });
  });

  test('to see all rows is named with the cure, as a superuser has it (C173)', async () => {
    await sql(
      `${USERS}; alter table users enable row level security; create policy mine on users using (id < 10)`,
    );
    await asReader(async (reader) => {
      await sql('grant select on users to backfill_reader');
      const refusal = await refusalOf({}, reader);
      expect(refusal).toMatchObject({
        code: 'ROW_SECURITY',
        message: expect.stringContaining('"mine"') as string,
      });
      await sql(/ALTER ROLE .*;/.exec(refusal.hint!)![0]);
      expect((await inspect({}, reader)).estimatedRows).toBe(50);
    });
  });

  test('to run what a filter calls is found before a row is read', async () => {
    await sql(`${USERS}; create function public.secret() returns boolean language sql volatile as 'select true';
      revoke all on function public.secret() from public`);
    await asReader(async (reader) => {
      await sql('grant select on users to backfill_reader');
      expect(await refusalOf({ where: 'public.secret()' }, reader)).toMatchObject({ code: 'FILTER_REFUSED' });
      await sql('grant execute on function public.secret() to backfill_reader');
      await inspect({ where: 'public.secret()' }, reader);
    });
  });
});
