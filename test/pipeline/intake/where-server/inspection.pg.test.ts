// Filters beside the server: what it would refuse is found before a row comes, and nothing of a filter runs there.
import { expect, test } from 'vitest';
import { parseFilters } from '../../../../src/functions/where/parsing.ts';
import { inspectFilters } from '../../../../src/pipeline/intake/where-server/inspection.ts';
import type { PlacedFilter, SinkSettings } from '../../../../src/pipeline/settings.ts';
import { isNote } from '../../../../src/postgres/preflight/finding.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { createTestDatabase } from '../../../support/postgres.ts';

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
      where,
    } as unknown as SinkSettings;
    return inspectFilters(settings, [sink]);
  };
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
    const [where] = await filtersOf([text]);
    const includeTables = [{ schema: ['public'], table: ['orders'] }];
    const sink = { name: 'users', database: settings.name, selection: { includeTables }, tables: [], where };
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
