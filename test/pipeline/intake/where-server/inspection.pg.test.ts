// Filters beside the server: what it would refuse is found before a row comes, and nothing of a filter runs there.
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { loadFilterParser, type FilterParser } from '../../../../src/functions/where/parser.ts';
import { inspectFilters } from '../../../../src/pipeline/intake/where-server/inspection.ts';
import type { PlacedFilter, SinkSettings } from '../../../../src/pipeline/settings.ts';
import { HAS_ROW_FILTERS } from '../../../../src/postgres/versions.ts';
import { isNote } from '../../../../src/postgres/preflight/finding.ts';
import { databaseSettings, serverVersion } from '../../../support/database-settings.ts';
import { createTestDatabase } from '../../../support/postgres.ts';

const place = 'tailrace.yaml:5:5  sinks[users].where';

let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
});

const filterOf = (text: string): PlacedFilter => ({ ...parse(text), place });

test('a filter is compared with the catalog, and with what the server makes of it', async () => {
  const database = await createTestDatabase();
  await database.client.query(`
    create schema kinds; create type kinds.mood as enum ('sad', 'ok'); create domain kinds.positive as int check (value > 0);
    create table orders (id int primary key, "Status" text, mood kinds.mood, size kinds.positive, price money, code char(3), tags text[]);
    create table others (id int primary key, mood text)`);
  const settings = databaseSettings(database);
  const inspectedBy = async (where: PlacedFilter, tables: readonly string[] = ['orders']) => {
    const includeTables = tables.map((table) => ({ schema: ['public'], table: [table] }));
    const sink = {
      name: 'users',
      database: settings.name,
      selection: { includeTables },
      tables: [],
      actions: ['insert'],
      where,
    } as unknown as SinkSettings;
    return inspectFilters(settings, [sink]);
  };
  const inspected = (text: string, tables?: readonly string[]) => inspectedBy(filterOf(text), tables);
  const fine = [
    `"Status" = 'paid' and mood > 'sad' and size > 1 and code = 'ab' and 'x' = any (tags)`,
    `old.id = new.id or meta.annotations->>'source' is null or meta.commit_timestamp > '2026-01-01 00:00:00Z' -- done`,
    `meta.table = 'orders' and meta.schema <> 'x' and meta.action in ('insert')`,
  ];
  for (const text of fine) expect(await inspected(text)).toMatchObject([{ ok: true }]);
  const refused = async (text: string, tables?: readonly string[]) =>
    (await inspected(text, tables)).map(({ code, detail }) => `${code} ${detail}`).join('\n');
  expect(await refused(`id > 0 and\n  mood = 'okay'`)).toMatch(
    /^WHERE_REFUSED .*line 2, column 10 of it: .*okay/,
  );
  expect(await refused(`'é😀' <> "Status" and mood = 'okay'`)).toContain('line 1, column 30');
  expect(await refused('siez > 1')).toMatch(/^WHERE_UNUSABLE .*did you mean "size"/);
  expect(await refused('price is null')).toContain('money');
  expect(await refused('old."Status" is null')).toContain('REPLICA IDENTITY FULL');
  expect(await refused('mood is null and size > 0', ['orders', 'others'])).toMatch(
    /^WHERE_UNUSABLE .*public\.others/,
  );
  // A fault of our own is none of the server's.
  const broken = { ...filterOf('id > 0'), syntax: undefined } as unknown as PlacedFilter;
  await expect(inspectedBy(broken)).rejects.toThrow(TypeError);
  // A sink without a filter asks nobody.
  expect(await inspectFilters({ ...settings, hosts: [] }, [])).toEqual([]);
  await database.drop();
});

test('where a role may not name a type of the filter, doctor notes it with the GRANT that lets it', async () => {
  const database = await createTestDatabase();
  const role = `${database.name}_reader`;
  await database.client.query(`
    create schema "Kinds"; create type "Kinds".mood as enum ('sad', 'ok');
    create table orders (id int primary key, mood "Kinds".mood);
    create role ${role} login password 'secret'`);
  const settings = { ...databaseSettings(database), username: role, password: 'secret' };
  const inspected = async (text: string) => {
    const where = filterOf(text);
    const includeTables = [{ schema: ['public'], table: ['orders'] }];
    const sink = {
      name: 'users',
      database: settings.name,
      selection: { includeTables },
      tables: [],
      actions: ['insert'],
      where,
    };
    return inspectFilters(settings, [sink as unknown as SinkSettings]);
  };
  const fine = `mood = 'ok'`;
  const [finding, ...others] = await inspected(fine);
  expect(others).toEqual([]);
  expect(finding).toMatchObject({ ok: false, code: 'WHERE_TYPES_HIDDEN' });
  expect(isNote(finding!)).toBe(true);
  // What does not name the type can be asked.
  expect(await inspected('id > 0')).toMatchObject([{ ok: true }]);
  await database.client.query(finding!.cure!);
  expect(await inspected(fine)).toMatchObject([{ ok: true }]);
  expect(await inspected(`mood = 'none'`)).toMatchObject([{ code: 'WHERE_REFUSED' }]);
  await database.client.query(`drop owned by ${role}; drop role ${role}`);
  await database.drop();
});

test(
  'where every sink of a table has a filter that Postgres takes, doctor has the SQL that makes it a row filter',
  { timeout: 300_000 },
  async (context) => {
    const database = await createTestDatabase();
    onTestFinished(() => database.drop());
    context.skip((await serverVersion(database.client)) < HAS_ROW_FILTERS);
    const settings = databaseSettings(database);
    const publication = settings.publication.name;
    const { client } = database;
    await client.query(`
    create type mood as enum ('sad', 'ok'); create domain positive as int;
    create table "Orders" (id int primary key, status text, amount numeric(10, 2), at timestamptz, name varchar(9), mood mood, size positive,
      tags text[], doc jsonb, code text collate "C");
    alter table "Orders" replica identity full;
    create table plain (id int primary key, status text)`);
    const remade = () =>
      client.query(
        `drop publication if exists "${publication}"; create publication "${publication}" for table "Orders", plain`,
      );
    const advised = async (table: string, ...sinks: readonly (readonly (string | undefined)[])[]) => {
      const placed = (text: string | undefined) => text && filterOf(text);
      const includeTables = [{ schema: ['public'], table: [table] }];
      const found = await inspectFilters(
        settings,
        sinks.map(([where, own], i) => {
          const tables = own === undefined ? [] : [{ pattern: includeTables[0], where: placed(own) }];
          const sink = {
            actions: ['insert'],
            name: `s${i}`,
            database: settings.name,
            selection: { includeTables },
            tables,
            where: placed(where),
          };
          return sink as unknown as SinkSettings;
        }),
      );
      expect(found.filter((finding) => !finding.ok && !isNote(finding))).toEqual([]);
      return found.find(({ code }) => code === 'WHERE_PUBLISHABLE');
    };
    const taken = [
      `status = 'paid' and amount > 100 -- large ones`,
      `status in ('a', 'b') or name = 'a' or name like 'x%' or lower(status) is not null`,
      `amount between 1 and 5 and at > '2026-01-01 00:00:00Z' and not (id = 1)`,
      `coalesce(status, 'x') is distinct from 'y' and case when id > 1 then true else amount / 2 > 1 end`,
      `doc ->> 'a' = 'b' and doc @> '{"a": 1}' and 'x' = any (tags) and tags @> '{a}'`,
      `at - '2026-01-01 00:00:00Z' > '1 day' and (at at time zone 'UTC') + interval '1 month' > '2026-01-01'`,
      `code < 'b' and md5(status) <> 'x' and length(name) + 1 > 2 and extract(year from at at time zone 'UTC') > 2000`,
      `nullif(status, 'x') = 'y' and id % 2 = 0 and round(amount) > 1 and status || 'x' <> 'y'`,
    ];
    for (const text of taken) {
      await remade();
      const advice = await advised('Orders', [text]);
      await client.query(advice!.cure!);
      const { rows } = await client.query(
        `select rowfilter from pg_publication_tables where tablename = 'Orders'`,
      );
      expect(rows).toMatchObject([{ rowfilter: expect.any(String) as unknown }]);
    }
    // It has one now.
    expect(await advised('Orders', ['id > 1'])).toBeUndefined();
    await remade();
    const both = await advised('Orders', ['id > 1', `status = 'a'`], [`status = 'b'`]);
    expect(both!.cure).toContain(`WHERE (((id > 1) AND (status = 'a')) OR ((status = 'b')))`);
    await client.query(both!.cure!);
    await remade();
    // Not of all sinks, or not one that a row filter may be.
    expect(await advised('Orders', ['id > 1'], [undefined])).toBeUndefined();
    for (const text of [
      "mood = 'ok'",
      'size > 1',
      "meta.action = 'insert'",
      'new.id > old.id',
      "status || id = 'x'",
      'id::text = status',
      "at + interval '1 hour' > '2026-01-01 00:00:00Z'",
    ])
      expect([text, await advised('Orders', [text])]).toEqual([text, undefined]);
    // A column outside the replica identity would make the application's UPDATE fail.
    expect(await advised('plain', [`status = 'x'`])).toBeUndefined();
    const byKey = await advised('plain', ['id > 1']);
    await client.query(byKey!.cure!);
    await client.query(`insert into plain values (1, 'x'); update plain set status = 'y'; delete from plain`);
  },
);

test('what a replica identity keeps from a filter is a note with the cure, which mends it', async () => {
  const database = await createTestDatabase();
  await database.client.query(`
    create table "Or ders" (id int primary key, note text, size int, short varchar(10), amount numeric);
    create table small (id int primary key, size int, short varchar(10));
    create table parts (id int primary key, note text) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (10)`);
  const settings = databaseSettings(database);
  const where = filterOf(`size > 1 and note <> 'x' and short <> '' and amount > 0`);
  const ofNote = filterOf(`note <> 'x' and id > 0`);
  const base = {
    name: 'users',
    database: settings.name,
    actions: ['insert', 'update', 'delete'],
    onAbsent: 'dead_letter',
    deletesOutside: 'deliver',
    whereMoves: 'ignore',
    tables: [],
  };
  const inspected = async (table: string, sink: object) => {
    const includeTables = [{ schema: ['public'], table: [table] }];
    const found = await inspectFilters(settings, [
      { ...base, selection: { includeTables }, ...sink } as unknown as SinkSettings,
    ]);
    expect(found[0]!.ok).toBe(true);
    return found.slice(1);
  };
  const found = await inspected('Or ders', { where });
  expect(found.map(({ code, detail }) => `${code} ${detail}`)).toEqual([
    expect.stringMatching(
      /^WHERE_DELETES_UNJUDGED of public\.Or ders where asks for note, size, short, amount, .*every delete is delivered$/,
    ),
    expect.stringMatching(
      /^WHERE_VALUE_MAY_BE_ABSENT of public\.Or ders where asks for note, short, .*TOAST.*on_absent: dead_letter$/,
    ),
  ]);
  expect(found.every(isNote)).toBe(true);
  const codes = async (table: string, sink: object) =>
    (await inspected(table, sink)).map(({ code, detail }) => `${code} ${/: (.*)$/.exec(detail)![1]!}`);
  expect(await codes('Or ders', { where, actions: ['insert', 'update'] })).toEqual([
    'WHERE_VALUE_MAY_BE_ABSENT on_absent: dead_letter',
  ]);
  expect(await codes('Or ders', { where, whereMoves: 'convert' })).toContain(
    'WHERE_DELETES_UNJUDGED every delete is delivered, and every update of a row outside becomes a delete by key',
  );
  // Nothing of it can lie out of line.
  const ofSmall = filterOf(`size > 1 and short <> ''`);
  expect(await codes('small', { where: ofSmall, actions: ['insert', 'update'] })).toEqual([]);
  const ofParts = await inspected('parts', { where: ofNote });
  expect(ofParts.map(({ cure }) => cure)).toEqual(
    Array(2).fill(`ALTER TABLE "public"."parts_1" REPLICA IDENTITY FULL;`),
  );
  await database.client.query(found[0]!.cure!);
  await database.client.query(ofParts[0]!.cure!);
  expect(await inspected('Or ders', { where })).toEqual([]);
  expect(await inspected('parts', { where: ofNote })).toEqual([]);
  await database.drop();
});
