// What a role needs, and no more: each right that is lacking is found before anything is made, and the cure, run as whom it names, mends it.
import type { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tablePattern, type Selection } from '../../../src/core/selection.ts';
import { closeConnection } from '../../../src/postgres/connection/connection.ts';
import { findPrimary } from '../../../src/postgres/connection/hosts.ts';
import type { Finding } from '../../../src/postgres/preflight/finding.ts';
import { inspectDatabase, preflight } from '../../../src/postgres/preflight/preflight.ts';
import { createPublication } from '../../../src/postgres/preflight/publication-changes.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { connect, createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
/** A superuser. */
let client: Client;
let reader: string;
let owner: string;
let opened: Client[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  client = database.client;
  [reader, owner] = [`Reader ${database.name}`, `Owner ${database.name}`];
  await client.query(`
    create role "${reader}" login replication password 'weak';
    create role "${owner}" login password 'weak';
    revoke all on database ${database.name} from public;
    grant connect on database ${database.name} to "${reader}", "${owner}";
    create schema app authorization "${owner}";
    create table app.orders (id int primary key, customer int);
    alter table app.orders owner to "${owner}";
  `);
});
afterEach(async () => {
  await Promise.all(opened.map((it) => it.end()));
  opened = [];
  await client.query(`drop publication if exists of_rights; drop owned by "${reader}", "${owner}" cascade`);
  await client.query(`drop role "${reader}"; drop role "${owner}"`);
  await database.drop();
});

const ORDERS: readonly Selection[] = [{ includeTables: [tablePattern({ schema: 'app', table: 'orders' })] }];
const settingsOf = (changes: Parameters<typeof databaseSettings>[1] = {}) =>
  databaseSettings(database, {
    username: reader,
    password: 'weak',
    ...changes,
    publication: { name: 'of_rights', ...changes.publication },
  });

const faults = (findings: readonly Finding[]) => findings.filter((finding) => !finding.ok);
const inspect = async (changes: Parameters<typeof databaseSettings>[1] = {}, selections = ORDERS) =>
  faults(await inspectDatabase(settingsOf(changes), selections));
const codes = (findings: readonly Finding[]) => findings.map(({ code }) => code);

const connectAs = async (role: string): Promise<Client> => {
  const url = new URL(database.url);
  [url.username, url.password] = [encodeURIComponent(role), 'weak'];
  const connection = await connect(url.href);
  opened.push(connection);
  return connection;
};

/** Runs the first way that a cure names, as whom it names. */
async function run(cure: string | undefined): Promise<void> {
  const [, who, sql] = /^as (.*?): (.*?;)/.exec(cure ?? '') ?? [];
  if (who === undefined || sql === undefined) throw new Error(`nobody is named in: ${cure}`);
  const isOwner = who === `the owner of the tables ("${owner}")` || who === 'the owner of the schema';
  // The test's database belongs to the superuser.
  await (isOwner ? await connectAs(owner) : client).query(sql);
}

/** Makes the publication as the service does at its start. */
async function make(): Promise<void> {
  const settings = settingsOf();
  const primary = await findPrimary(settings);
  try {
    const { tables } = await preflight(primary.client, settings, ORDERS);
    await createPublication(primary.client, settings, { states: tables.states, mayBeEmpty: false });
  } finally {
    await closeConnection(primary.client);
  }
}

test('where the owner made the publication, LOGIN, REPLICATION and CONNECT are all that the role needs', async () => {
  await client.query(`grant create on database ${database.name} to "${owner}"`);
  const before = await inspect();
  expect(codes(before)).toEqual(['PUBLICATION_NOT_ALLOWED', 'TABLE_NOT_OWNED']);
  // Nobody is made a member of the owner first, nor given CREATE.
  for (const { cure } of before) expect(cure).toMatch(/^as the owner of the tables .*: CREATE PUBLICATION/);
  await run(before[0]!.cure);
  expect(await inspect()).toEqual([]);
  expect(await inspect({ publication: { createIfNotExists: false } })).toEqual([]);
  const reading = await connectAs(reader);
  await expect(reading.query('select from app.orders')).rejects.toMatchObject({ code: '42501' });
});

test('where the owner may make no publication, a superuser is named, whose statement mends it', async () => {
  const [publication] = await inspect({ publication: { createIfNotExists: false } });
  expect(publication).toMatchObject({
    code: 'PUBLICATION_MISSING',
    cure: expect.stringMatching(/^as a superuser: /),
  });
  await run(publication!.cure);
  expect(await inspect()).toEqual([]);
});

test('a role that owns the tables and lacks CREATE is told so, and makes the publication once it has it', async () => {
  await client.query(`alter table app.orders owner to "${reader}"; grant usage on schema app to "${reader}"`);
  const [fault, ...others] = await inspect();
  expect(others).toEqual([]);
  expect(fault).toMatchObject({
    code: 'PUBLICATION_NOT_ALLOWED',
    severity: 'error',
    cure: expect.stringMatching(/^as the owner of the database: GRANT CREATE ON DATABASE/),
  });
  await run(fault!.cure);
  expect(await inspect()).toEqual([]);
  await make();
  expect(await inspect()).toEqual([]);
});

test('a schema that the owner of a table may not use is named, and USAGE lets the publication be made', async () => {
  await client.query(
    `alter table app.orders owner to "${reader}"; grant create on database ${database.name} to "${reader}"`,
  );
  const [fault, ...others] = await inspect();
  expect(others).toEqual([]);
  expect(fault).toMatchObject({ code: 'SCHEMA_NOT_USABLE', severity: 'error' });
  await run(fault!.cure);
  expect(await inspect()).toEqual([]);
  await make();
});

test.for([
  { how: 'no member', member: '' },
  { how: 'a member that does not inherit', member: 'noinherit' },
] as const)(
  'of a table of another role, $how gets its rights by the second way that is named',
  async ({ member }) => {
    await client.query(`grant create on database ${database.name} to "${reader}"`);
    if (member === 'noinherit')
      await client.query(`alter role "${reader}" noinherit; grant "${owner}" to "${reader}"`);
    const [fault, ...others] = await inspect();
    expect(others).toEqual([]);
    expect(fault!.code).toBe('TABLE_NOT_OWNED');
    await client.query(/GRANT "Owner.*$/.exec(fault!.cure!)![0]);
    expect(await inspect()).toEqual([]);
    await make();
    expect(await inspect()).toEqual([]);
  },
);

test('nobody is advised to be given a superuser’s rights', async () => {
  await client.query(
    `alter table app.orders owner to postgres; grant all on database ${database.name} to public`,
  );
  const [fault] = await inspect();
  expect(fault!.code).toBe('TABLE_NOT_OWNED');
  expect(fault!.cure).not.toContain('GRANT');
  await run(fault!.cure);
  expect(await inspect()).toEqual([]);
});

test('a table that another role makes later is added to our publication by a superuser', async () => {
  await client.query(`
    alter table app.orders owner to "${reader}"; grant usage on schema app to "${reader}";
    grant create on database ${database.name} to "${reader}"`);
  await make();
  await client.query(
    `create table app.later (id int primary key); alter table app.later owner to "${owner}"`,
  );
  const both = [
    ...ORDERS,
    { includeTables: [tablePattern({ schema: 'app', table: 'later' })] },
  ] satisfies Selection[];
  const [fault, ...others] = await inspect({}, both);
  expect(others).toEqual([]);
  expect(fault).toMatchObject({ code: 'TABLE_NOT_OWNED', severity: 'warning' });
  await run(fault!.cure);
  expect(await inspect({}, both)).toEqual([]);
});

test.for(['for all tables', 'for tables in schema app'])(
  'in a publication of a superuser %s the role needs no right at all',
  async (which, { skip }) => {
    skip(
      which.includes('schema') && (await serverVersion(client)) < 150_000,
      'publications know schemas from 15 on',
    );
    await client.query(`create publication of_rights ${which}`);
    expect(await inspect()).toEqual([]);
  },
);

test('a member of a role that may replicate may not, and is told what lets it', async () => {
  await client.query(`alter role "${reader}" noreplication; alter role "${owner}" replication`);
  await client.query(`grant "${owner}" to "${reader}"; create publication of_rights for all tables`);
  const found = await inspect();
  expect(new Set(codes(found))).toEqual(new Set(['REPLICATION_NOT_ALLOWED']));
  await client.query(found[0]!.cure!.split(' (')[0]!);
  expect(await inspect()).toEqual([]);
});

test('CONNECT that PUBLIC has lost is what a role is given', async () => {
  await client.query(`create publication of_rights for all tables`);
  await client.query(`revoke connect on database ${database.name} from "${reader}"`);
  const [fault] = await inspect();
  expect(fault!.code).toBe('CONNECT_NOT_ALLOWED');
  await client.query(fault!.cure!);
  expect(await inspect()).toEqual([]);
});

test.for(['ALTER ROLE', 'ALTER DATABASE'])(
  'a limit of connections that is too low for all that run opens is found, and %s lifts it',
  async (statement) => {
    await client.query('create publication of_rights for all tables');
    const limited = statement === 'ALTER ROLE' ? `role "${reader}"` : `database ${database.name}`;
    await client.query(`alter ${limited} connection limit 1`);
    const [fault] = await inspect();
    expect(fault!.code).toBe('NO_CONNECTION_FREE');
    expect(fault!.cure).toMatch(new RegExp(`^${statement}`));
    await client.query(fault!.cure!.split(' (')[0]!);
    expect(await inspect()).toEqual([]);
  },
);

test('SQL of the user’s that the role may not run is a warning only: it may take the rights from elsewhere', async () => {
  const found = await inspect({ publication: { initSql: 'create publication of_rights for all tables' } });
  expect(found.map(({ code, severity }) => [code, severity])).toEqual([
    ['PUBLICATION_NOT_ALLOWED', 'warning'],
    ['TABLE_NOT_OWNED', 'warning'],
  ]);
});

test('looking makes nothing: no slot, no publication', async () => {
  await client.query(`grant create on database ${database.name} to "${owner}", "${reader}"`);
  await inspect();
  const { rows } = await client.query(
    `select pubname::text as made from pg_publication union all select slot_name from pg_replication_slots where slot_name = $1`,
    [settingsOf().slot.name],
  );
  expect(rows).toEqual([]);
});
