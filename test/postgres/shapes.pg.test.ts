// Shapes of composite types as a real catalog has them: who made them what they are, and who is about to change them.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lookAtAttributes, lookAtShapes, type Shape } from '../../src/postgres/shapes/look.ts';
import { connect, createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database.drop());

const sql = (text: string) => database.client.query(text);

async function oidOf(type: string): Promise<number> {
  const { rows } = await database.client.query<{ oid: number }>('select $1::regtype::oid::int as oid', [
    type,
  ]);
  return rows[0]!.oid;
}
async function shapeOf(type: string): Promise<Shape> {
  const oid = await oidOf(type);
  return (await lookAtShapes(database.client, [oid])).seen.get(oid)!;
}
async function xid(statements: string): Promise<number> {
  await sql('begin');
  await sql(statements);
  const { rows } = await database.client.query<{ xid: number }>(
    'select pg_current_xact_id()::text::int8::float8 as xid',
  );
  await sql('commit');
  return rows[0]!.xid;
}

test('a shape has all that is inside, and who created the last of it while nothing is altered', async () => {
  const first = await xid('create type addr as (street text, zip int); create domain home as addr');
  expect((await shapeOf('addr')).createdBy).toBe(first);
  const second = await xid(`create type mood as enum ('fine'); create type person as (homes home[], m mood)`);
  const person = await shapeOf('person');
  expect(person.createdBy).toBe(second);
  expect([...person.types.values()].map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual(
    ['composite person', 'array _home', 'domain home', 'composite addr', 'enum mood'].toSorted(),
  );
  expect(person.relations.size).toBe(2);
  await sql('alter type addr rename attribute zip to code');
  expect((await shapeOf('person')).createdBy).toBeUndefined();
  expect((await shapeOf('person')).version).not.toBe(person.version);
});

test.each([
  ['add attribute b int'],
  ['drop attribute a'],
  ['rename attribute a to b'],
  ['alter attribute a type text'],
])('a type with one attribute is not as it was created after: %s', async (action) => {
  await sql('create type one as (a int)');
  expect((await shapeOf('one')).createdBy).toBeTypeOf('number');
  await sql(`alter type one ${action}`);
  expect((await shapeOf('one')).createdBy).toBeUndefined();
});

test('a table’s row type is a shape; one without attributes too; what holds no composite is none', async () => {
  const made = await xid(
    `create table t (id int primary key, note text); create type empty as (); create type mood as enum ('a')`,
  );
  expect(await shapeOf('t')).toMatchObject({ createdBy: made });
  await sql('create index on t (note); analyze t');
  expect(await shapeOf('t')).toMatchObject({ createdBy: made });
  expect(await shapeOf('empty')).toMatchObject({ createdBy: made });
  await sql('alter table t add column more int');
  expect((await shapeOf('t')).createdBy).toBeUndefined();
  expect(await shapeOf('mood')).toBeUndefined();
  expect(await shapeOf('int4')).toBeUndefined();
});

test('a look tells whose attributes are other ones, and who has a type for himself', async () => {
  await sql('create type addr as (street text); create type other as (x int)');
  const { relations } = await shapeOf('addr');
  const [relation] = relations.keys();
  const first = await lookAtAttributes(database.client, [relation!]);
  expect(first.seen).toEqual(relations);
  expect(first.locked).not.toContain(relation);
  const session = await connect(database.url);
  await session.query('begin; alter type addr rename attribute street to road');
  const during = await lookAtAttributes(database.client, [relation!]);
  expect(during.seen).toEqual(relations);
  expect(during.locked).toContain(relation);
  await session.query('commit');
  await session.end();
  const after = await lookAtAttributes(database.client, [relation!]);
  expect(after.locked).not.toContain(relation);
  expect(after.seen.get(relation!)).not.toBe(first.seen.get(relation!));
  expect(after.walAfter).toBeGreaterThan(first.walAfter);
  await sql('drop type addr');
  expect((await lookAtAttributes(database.client, [relation!])).seen.get(relation!)).toBeNull();
});
