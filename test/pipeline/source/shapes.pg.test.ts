// Types that change while rows that have them are on their way: each value stands under the names that its type had when it was
// written, or is Postgres' text.
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../../../src/store/sqlite.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import { remembersShapes } from '../../../src/postgres/shapes/remembering.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { renderValue } from '../../support/decode.ts';
import {
  createSourceDirectory,
  startTestSource,
  type LoggedRow,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

let database: TestDatabase;
let directory: SourceDirectory;
let source: TestSource | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createSourceDirectory();
  source = undefined;
  await sql(`create type addr as (street text, city text, zip int);
    create table t (id int primary key, a addr);
    create table plain (id int primary key, note text)`);
});
afterEach(async () => {
  await source?.stop();
  directory.remove();
  await database.drop();
});

const sql = (text: string, client: Client = database.client) => client.query(text);

/** Looks happen at the start and where rows ask for them, at no time in between. */
async function start(
  settings: Parameters<typeof databaseSettings>[1] = {},
  options: Parameters<typeof startTestSource>[2] = {},
): Promise<TestSource> {
  source = startTestSource(
    databaseSettings(database, {
      ...settings,
      publication: { refreshIntervalMs: 0, ...settings.publication },
    }),
    directory,
    options,
  );
  source.ended.catch(() => undefined);
  await source.ready;
  return source;
}

async function stop(): Promise<void> {
  await source!.stop();
  await source!.ended;
  source = undefined;
}

let markers = 1_000_000;

/** The rows that are logged by now, but for the markers; waits until all that is committed is. */
async function rows(): Promise<readonly LoggedRow[]> {
  const marker = String(++markers);
  await sql(`insert into plain values (${marker}, 'marker')`);
  return waitFor(async () => {
    const log = await source!.read();
    const last = log.rows.at(-1);
    return (
      last?.table === 'plain' &&
      last.values[0] === marker &&
      log.rows.filter(({ values }) => values[1] !== 'marker')
    );
  }, 'the log to have everything');
}

/** The value of a column as a sink renders it. */
function valueOf({ relation, values }: LoggedRow, column = 'a'): unknown {
  const place = relation.columns.findIndex(({ name }) => name === column);
  const text = values[place]!;
  return JSON.parse(renderValue(relation.columns[place]!.type, text, { types: relation.types }));
}

const values = async (column = 'a'): Promise<readonly unknown[]> =>
  (await rows()).map((row) => valueOf(row, column));

/** Whatever was read before this has been judged: what comes next is of another batch. */
const settle = async (): Promise<void> => void (await rows());

describe('while rows come', () => {
  test('a value stands under the names of its time, after each ALTER TYPE', async () => {
    await start();
    const steps = [
      [`insert into t values (1, ('Main St', 'Rome', 123))`, { street: 'Main St', city: 'Rome', zip: 123 }],
      ['alter type addr rename attribute city to town'],
      [`insert into t values (2, ('Main St', 'Rome', 123))`, { street: 'Main St', town: 'Rome', zip: 123 }],
      ['alter type addr add attribute country text'],
      [
        `insert into t values (3, ('Main St', 'Rome', 123, 'IT'))`,
        { street: 'Main St', town: 'Rome', zip: 123, country: 'IT' },
      ],
      ['alter type addr drop attribute street'],
      [`insert into t values (4, ('Rome', 123, 'IT'))`, { town: 'Rome', zip: 123, country: 'IT' }],
    ] as const;
    const expected: unknown[] = [];
    for (const [statement, value] of steps) {
      await sql(statement);
      // The first row after a change is of the batch that shows it: it cannot be told from one before.
      if (value === undefined) await sql(`insert into t values (${100 + expected.length}, null)`);
      else expected.push(value);
      await settle();
    }
    const found = (await rows()).filter(({ values: [, a] }) => a !== null).map((row) => valueOf(row));
    expect(found).toEqual(expected);
  });

  test('rows between two looks that differ are text, counted and said; others go on', async () => {
    await start();
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await settle();
    await sql(`begin; insert into t values (2, ('Main St', 'Rome', 123));
      alter type addr drop attribute street, add attribute note text;
      insert into t values (3, ('Rome', 123, 'a note')); insert into plain values (1000, 'x'); commit`);
    await settle();
    await sql(`insert into t values (4, ('Rome', 123, 'a note'))`);
    const logged = await rows();
    expect(logged.filter(({ table }) => table === 't').map((row) => valueOf(row))).toEqual([
      { street: 'Main St', city: 'Rome', zip: 123 },
      '("Main St",Rome,123)',
      '(Rome,123,"a note")',
      { city: 'Rome', zip: 123, note: 'a note' },
    ]);
    expect(source!.status()).toMatchObject({ unprovedShapes: 2, health: 'healthy' });
    const said = source!.lines.filter(({ msg }) => msg.includes('table public.t: values of addr'));
    expect(said).toHaveLength(1);
    expect(said[0]!.level).toBe(40);
  });

  test('a change that was undone makes two looks differ, too', async () => {
    await start();
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await settle();
    await sql(`alter type addr rename attribute city to town; insert into t values (2, ('Main St', 'Rome', 123));
      alter type addr rename attribute town to city`);
    expect(await values()).toEqual([{ street: 'Main St', city: 'Rome', zip: 123 }, '("Main St",Rome,123)']);
    await sql(`insert into t values (3, ('Main St', 'Rome', 123))`);
    expect((await values()).at(-1)).toEqual({ street: 'Main St', city: 'Rome', zip: 123 });
  });

  test('while somebody has the type for himself, nothing is proved', async () => {
    await start();
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await settle();
    const other = await connect(database.url);
    await sql('begin; alter type addr rename attribute city to town', other);
    // A value that stands in the table already: nobody has to look at the type to copy it.
    await sql('insert into t select 2, a from t where id = 1');
    expect(await values()).toEqual([{ street: 'Main St', city: 'Rome', zip: 123 }, '("Main St",Rome,123)']);
    await sql('rollback', other);
    await other.end();
    await sql('insert into t select 3, a from t where id = 1');
    expect((await values()).at(-1)).toEqual({ street: 'Main St', city: 'Rome', zip: 123 });
  });

  test('a former number’s place does not let a text write members', async () => {
    await start();
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await settle();
    await sql(`alter type addr drop attribute zip, add attribute zip text;
      insert into t values (2, ('x', 'y', '1,"injected":true'))`);
    await settle();
    await sql(`insert into t values (3, ('x', 'y', '1,"injected":true'))`);
    expect((await values()).slice(1)).toEqual([
      String.raw`(x,y,"1,""injected"":true")`,
      { street: 'x', city: 'y', zip: '1,"injected":true' },
    ]);
  });

  test('a look in between proves the first row after an ALTER TYPE', async () => {
    const store = openStore(join(directory.path, 'store.db'));
    await start({ publication: { refreshIntervalMs: 20 } }, { store });
    const look = () => store.looks.newest(databaseSettings(database).name, { proved: true })!;
    for (const [id, statement, value] of [
      [1, 'alter type addr add attribute country text', `('s', 'c', 1, 'IT')`],
      [2, 'alter type addr drop attribute street', `('c', 1, 'IT')`],
      [3, 'alter type addr rename attribute city to town', `('c', 1, 'IT')`],
    ] as const) {
      const before = look().fold;
      await sql(statement);
      await waitFor(() => Promise.resolve(look().fold !== before), 'a look');
      await sql(`insert into t values (${id}, ${value})`);
      await settle();
    }
    expect(await values()).toEqual([
      { street: 's', city: 'c', zip: 1, country: 'IT' },
      { city: 'c', zip: 1, country: 'IT' },
      { town: 'c', zip: 1, country: 'IT' },
    ]);
    expect(source!.status().unprovedShapes).toBe(0);
    await stop();
    store.close();
  });

  test('a type made while the source runs is known from its first row on', async () => {
    await start({ publication: { refreshIntervalMs: 50 } });
    await sql(
      `create type point3 as (x int, y int, z int); create table fresh (id int primary key, p point3)`,
    );
    await waitFor(
      () => Promise.resolve(source!.status().joinedTables.some(({ table }) => table === 'fresh')),
      'the table to join',
    );
    await sql(`insert into fresh values (1, (1, 2, 3))`);
    expect(await values('p')).toEqual([{ x: 1, y: 2, z: 3 }]);
    expect(source!.status().unprovedShapes).toBe(0);
  });

  test('where a type is made, altered and used in one transaction, its rows are text', async () => {
    await sql('create table later (id int primary key)');
    await start();
    await sql(`begin; savepoint a; create type made as (x int); alter table later add column p made;
      insert into later values (1, row(1)); alter type made rename attribute x to y;
      insert into later values (2, row(2)); release a; insert into later values (3, row(3)); commit`);
    expect(await values('p')).toEqual(['(1)', '(2)', '(3)']);
    await sql('insert into later values (4, row(4))');
    expect((await values('p')).at(-1)).toEqual({ y: 4 });
  });
});

describe('what types are made of counts as they do', () => {
  const SHAPES = [
    ['an array', 'addr[]', `array[('s', 'c', 1)::addr]`, [{ street: 's', city: 'c', zip: 1 }], ['(s,c,1)']],
    ['a domain', 'home', `('s', 'c', 1)`, { street: 's', city: 'c', zip: 1 }, '(s,c,1)'],
    [
      'an array of domains',
      'home[]',
      `array[('s', 'c', 1)::home]`,
      [{ street: 's', city: 'c', zip: 1 }],
      ['(s,c,1)'],
    ],
    [
      'a composite in a composite',
      'person',
      `('n', ('s', 'c', 1), '{}')`,
      { name: 'n', home: { street: 's', city: 'c', zip: 1 }, other: [] },
      '(n,"(s,c,1)",{})',
    ],
  ] as const;

  test.each(SHAPES)('%s of a type that changes', async (_, type, expression, value, text) => {
    await sql(`create domain home as addr; create type person as (name text, home addr, other addr[]);
      create table u (id int primary key, a ${type})`);
    await start();
    await sql(`insert into u values (1, ${expression})`);
    await settle();
    await sql(
      `alter type addr rename attribute city to town cascade; insert into u values (2, ${expression})`,
    );
    await settle();
    await sql(`insert into u values (3, ${expression})`);
    const renamed = JSON.parse(JSON.stringify(value).replaceAll('"city"', '"town"')) as unknown;
    expect(await values()).toEqual([value, text, renamed]);
  });

  test('a table’s row type changes with the table', async () => {
    await sql('create table u (id int primary key, a plain)');
    await start();
    await sql(`insert into u values (1, (1, 'x'))`);
    await settle();
    await sql(`alter table plain rename column note to words; insert into u values (2, (1, 'x'))`);
    await settle();
    await sql(`insert into u values (3, (1, 'x'))`);
    await settle();
    await sql('alter table plain rename column words to note');
    expect(await values()).toEqual([{ id: 1, note: 'x' }, '(1,x)', { id: 1, words: 'x' }]);
  });

  test('a range of composites is text before and after', async () => {
    await sql('create type addrs as range (subtype = addr); create table u (id int primary key, a addrs)');
    await start();
    const insert = (id: number) => sql(`insert into u values (${id}, addrs(('a', 'b', 1), ('a', 'c', 2)))`);
    await insert(1);
    await settle();
    await sql('alter type addr rename attribute city to town');
    await insert(2);
    const text = '["(a,b,1)","(a,c,2)")';
    expect(await values()).toEqual([text, text]);
    expect(source!.status().unprovedShapes).toBe(0);
  });
});

describe('a backlog', () => {
  test('written before ALTER TYPE and read after it is text', async () => {
    await start();
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await settle();
    await stop();
    await sql(`insert into t values (2, ('Main St', 'Rome', 123)); alter type addr drop attribute zip, add attribute note int;
      insert into t values (3, ('Main St', 'Rome', 7))`);
    await start();
    await sql(`insert into t values (4, ('Main St', 'Rome', 7))`);
    expect(await values()).toEqual([
      { street: 'Main St', city: 'Rome', zip: 123 },
      '("Main St",Rome,123)',
      '("Main St",Rome,7)',
      { street: 'Main St', city: 'Rome', note: 7 },
    ]);
    expect(source!.status().unprovedShapes).toBe(2);
  });

  test('keeps its shapes where nothing was altered in between', async () => {
    // An altered type: that it is as it was created does not prove it.
    await sql('alter type addr rename attribute city to town');
    await start();
    await stop();
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await start();
    expect(await values()).toEqual([{ street: 'Main St', town: 'Rome', zip: 123 }]);
    expect(source!.status().unprovedShapes).toBe(0);
  });

  test('of a slot that was there before is proved where types are as they were created', async () => {
    const { slot, publication } = databaseSettings(database);
    await sql(`create publication ${publication.name} for table t, plain`);
    await sql(`select pg_create_logical_replication_slot('${slot.name}', 'pgoutput')`);
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await start();
    expect(await values()).toEqual([{ street: 'Main St', city: 'Rome', zip: 123 }]);
  });

  test('of a slot that was there before is text where a type was altered, nobody knows when', async () => {
    const { slot, publication } = databaseSettings(database);
    await sql(`create publication ${publication.name} for table t, plain`);
    await sql(`select pg_create_logical_replication_slot('${slot.name}', 'pgoutput')`);
    await sql(`alter type addr rename attribute city to town`);
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await start();
    expect(await values()).toEqual(['("Main St",Rome,123)']);
  });

  test('a transaction that began before an ALTER TYPE and ends after it is told apart row by row', async () => {
    await start();
    await sql(`insert into t values (1, ('Main St', 'Rome', 123))`);
    await settle();
    const long = await connect(database.url);
    await sql('begin; insert into t select 2, a from t where id = 1', long);
    await sql('alter type addr rename attribute city to town');
    await sql('insert into t select 3, a from t where id = 1');
    await settle();
    await sql('insert into t select 4, a from t where id = 1', long);
    await sql('commit', long);
    await long.end();
    await sql('insert into t select 5, a from t where id = 1');
    const found = new Map((await rows()).map((row) => [row.values[0], valueOf(row)]));
    expect(found.get('2')).toBe('("Main St",Rome,123)');
    expect(found.get('3')).toBe('("Main St",Rome,123)');
    // A server may go on in such a transaction with what it remembers.
    expect(found.get('4')).toBe('("Main St",Rome,123)');
    expect(found.get('5')).toEqual({ street: 'Main St', town: 'Rome', zip: 123 });
  });

  test('behind such a transaction a value has the attributes of its time, on servers that remember the older ones, too', async () => {
    await start();
    const long = await connect(database.url);
    await sql(`begin; insert into t values (1, ('Main St', 'Rome', 123))`, long);
    await sql('alter type addr drop attribute street, add attribute note text');
    await sql(`insert into t values (2, ('Rome', 123, 'a note')); commit`, long);
    await long.end();
    await sql(`insert into t values (3, ('Rome', 123, 'a note'))`);
    await settle();
    await sql(`insert into t values (4, ('Rome', 123, 'a note'))`);
    const found = new Map((await rows()).map((row) => [row.values[0], valueOf(row)]));
    expect(found.get('1')).toBe('("Main St",Rome,123)');
    expect(found.get('4')).toEqual({ city: 'Rome', zip: 123, note: 'a note' });
    const remembers = remembersShapes(await serverVersion(database.client));
    expect(source!.status().reconnects).toBe(remembers ? 1 : 0);
  });
});
