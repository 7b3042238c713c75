// Filters beside the server: what it would refuse is found before a row comes, and nothing of a filter runs there.
import { expect, test } from 'vitest';
import { parseFilters } from '../../../src/functions/where/parsing.ts';
import { inspectFilters } from '../../../src/pipeline/intake/where-check.ts';
import type { PlacedFilter, SinkSettings } from '../../../src/pipeline/settings.ts';
import { isNote } from '../../../src/postgres/preflight/finding.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { createTestDatabase } from '../../support/postgres.ts';

const place = 'tailrace.yaml:5:5  sinks[users].where';

async function filtersOf(texts: readonly string[]): Promise<PlacedFilter[]> {
  return (await parseFilters(texts)).map((parsed, i) => {
    if (parsed.kind === 'fault') throw new Error(`${texts[i]!}: ${parsed.fault.message}`);
    return { ...parsed.filter, place };
  });
}

test('a filter is compared with the catalog, and with what the server makes of it', async () => {
  const database = await createTestDatabase();
  await database.client.query(`
    create schema kinds; create type kinds.mood as enum ('sad', 'ok'); create domain kinds.positive as int check (value > 0);
    create table orders (id int primary key, "Status" text, mood kinds.mood, size kinds.positive, price money, code char(3), tags text[]);
    create table others (id int primary key, mood text)`);
  const settings = databaseSettings(database);
  const inspected = async (text: string, tables: readonly string[] = ['orders']) => {
    const [where] = await filtersOf([text]);
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
  const fine = [
    `"Status" = 'paid' and mood > 'sad' and size > 1 and code = 'ab' and 'x' = any (tags)`,
    `old.id = new.id or meta.annotations->>'source' is null or meta.commit_timestamp > '2026-01-01 00:00:00Z' -- done`,
    `meta.table = 'orders' and meta.schema <> 'x' and meta.action in ('insert')`,
  ];
  for (const text of fine)
    expect((await inspected(text)).filter(({ severity }) => severity === 'error')).toMatchObject([
      { ok: true },
    ]);
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
  // A sink without a filter asks nobody.
  expect(await inspectFilters({ ...settings, hosts: [] }, [])).toEqual([]);
  await database.drop();
});

test('what a replica identity keeps from a filter is a note with the cure, which mends it', async () => {
  const database = await createTestDatabase();
  await database.client.query(`
    create table "Or ders" (id int primary key, note text, size int, short varchar(10), amount numeric);
    create table small (id int primary key, size int, short varchar(10));
    create table parts (id int primary key, note text) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (10)`);
  const settings = databaseSettings(database);
  const [where, ofNote] = await filtersOf([
    `size > 1 and note <> 'x' and short <> '' and amount > 0`,
    `note <> 'x' and id > 0`,
  ]);
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
  const [ofSmall] = await filtersOf([`size > 1 and short <> ''`]);
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
