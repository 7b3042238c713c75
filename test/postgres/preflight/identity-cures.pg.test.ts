// Every cure that is printed for a table's identity is run here, and mends the table that it names.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectDatabase } from '../../../src/postgres/preflight/preflight.ts';
import { cureOf } from '../../../src/postgres/preflight/identity-cures.ts';
import { isFit, needsStored, readTables, type WantedTable } from '../../../src/postgres/preflight/tables.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { makeShape, runWrites, SHAPES, type TableShape } from '../../support/table-shapes.ts';

let database: TestDatabase;
let major: number;

beforeAll(async () => {
  database = await createTestDatabase();
  major = Math.floor((await serverVersion(database.client)) / 10_000);
  await sql('create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing');
});
afterAll(() => database.drop());

const sql = (text: string) => database.client.query(text);

const stateOf = async (schema: string): Promise<WantedTable | undefined> => {
  const [state] = await readTables(database.client, [{ schema, table: 't' }]);
  return state && { ...state, assured: false };
};

let count = 0;
async function made(shape: TableShape): Promise<string> {
  const schema = `cured_${count++}`;
  await makeShape(database.client, schema, shape);
  return schema;
}

/** The columns are for the reader to choose. */
const filledIn = (cure: string): string => cure.replaceAll('(…)', '(id)');
const isSql = (text: string): boolean => /^(ALTER|CREATE) /.test(text);

describe('the cures of', () => {
  test.each(SHAPES.map((shape) => [shape.name, shape] as const))('%s', async (_, shape) => {
    if ((shape.since ?? 0) > major) return;
    const schema = await made(shape);
    const state = await stateOf(schema);
    if (state === undefined || isFit(state) || shape.assured === true) return;
    const cures = cureOf(state).split(' or ').filter(isSql);
    // One with a foreign partition can have no key, one with a deferrable key no other: only its sink's word mends it.
    expect(cures.length > 0 || state.foreign || state.deferrable).toBe(true);
    for (const index of cures.keys()) {
      // Each by itself, on a table of its own.
      const other = await made(shape);
      const cure = cureOf((await stateOf(other))!)
        .split(' or ')
        .filter(isSql)[index]!;
      await sql(filledIn(cure));
      const cured = (await stateOf(other))!;
      // A root that is FULL, or whose partitions have keys, still says nothing of the partitions to come.
      expect([cure, isFit({ ...cured, assured: !cured.laterFit })]).toEqual([cure, true]);
      await sql(`create publication pub_${other} for table only ${other}.t`);
      const outcomes = await runWrites(database.client, other, shape);
      expect([cure, ...outcomes]).toEqual([cure, 'ok', 'ok', 'ok']);
      await sql(`drop publication pub_${other}`);
    }
  });
});

test('a cure names the partition that it mends, not the root, and a foreign partition needs none', async () => {
  const schema = await made({
    name: '',
    make: `create table t (id int, a int) partition by range (id); alter table t replica identity full;
      create table t1 partition of t (primary key (id)) for values from (0) to (10);
      create table t2 partition of t for values from (10) to (20);
      create foreign table t3 partition of t for values from (20) to (30) server nowhere`,
  });
  expect(cureOf((await stateOf(schema))!)).toBe(
    `ALTER TABLE "${schema}"."t2" ADD PRIMARY KEY (…); or ALTER TABLE "${schema}"."t2" REPLICA IDENTITY FULL;`,
  );
  await sql(`ALTER TABLE "${schema}"."t2" ADD PRIMARY KEY (id);`);
  expect(cureOf((await stateOf(schema))!)).toContain('partitions_have_identity: true');
});

test('a generated column that only stands beside the key in its index asks for nothing', async () => {
  const schema = await made({
    name: '',
    make: `create table t (id int, a int, g int generated always as (id * 2) stored, primary key (id) include (g))`,
  });
  expect(needsStored([(await stateOf(schema))!])).toBe(false);
});

test('in somebody’s publication a generated column that is not sent has its cure, and a key without one in deletes is said', async () => {
  const name = `theirs_${database.name}`;
  await sql(`create table g (id int not null, g int generated always as (id * 2) stored primary key);
    insert into g values (1); create publication ${name} for table g`);
  const settings = databaseSettings(database, { publication: { name } });
  const inspect = async () =>
    (await inspectDatabase(settings, [{ includeTables: [{ schema: ['public'], table: ['g'] }] }])).filter(
      ({ ok }) => !ok,
    );
  const [finding] = await inspect();
  const [code, text, refused] =
    major < 18
      ? ['KEY_NOT_SENT', 'a delete comes without it', false]
      : ['TABLE_WITHOUT_IDENTITY', 'a stored generated column, which the publication does not send', true];
  expect(finding).toMatchObject({
    code,
    severity: 'warning',
    detail: expect.stringContaining(text) as string,
  });
  const isRefused = await sql('update g set id = 2').then(
    () => false,
    () => true,
  );
  expect(isRefused).toBe(refused);
  await sql(finding!.cure!.slice(0, finding!.cure!.indexOf(';') + 1));
  await sql('update g set id = 3');
  // Before 18 nothing brings that column; the others come.
  expect((await inspect()).map((left) => left.code)).toEqual(refused ? [] : ['KEY_NOT_SENT']);
});
