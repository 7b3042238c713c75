import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer } from '../../support/server.ts';
import { tablePattern } from '../../../src/core/selection.ts';
import { connectOrdinary } from '../../../src/postgres/connection/connection.ts';
import { faultOf, type Finding } from '../../../src/postgres/preflight/finding.ts';
import { inspectIam } from '../../../src/postgres/preflight/iam.ts';
import { inspectDatabase } from '../../../src/postgres/preflight/preflight.ts';
import { readPublication } from '../../../src/postgres/preflight/publication.ts';
import { createPublication } from '../../../src/postgres/preflight/publication-changes.ts';
import { makeSlot } from '../../../src/postgres/preflight/slot-making.ts';
import { isFit, listTables, readTables } from '../../../src/postgres/preflight/tables.ts';
import { namesUs } from '../../../src/postgres/preflight/synchronous.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { patient } from '../../support/messages.ts';
import { connect, createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { waitFor } from '../../support/wait.ts';

let database: TestDatabase;
let client: Client;

beforeAll(async () => {
  database = await createTestDatabase();
  client = database.client;
  await client.query(`
    create table users (id int primary key, email text);
    create table "Mixed Case" (id int primary key);
    create table keyless (note text);
    create table nothing (id int primary key);
    alter table nothing replica identity nothing;
    create table whole (note text);
    alter table whole replica identity full;
    create table by_index (code text not null unique);
    alter table by_index replica identity using index by_index_code_key;
    create table deferred (id int primary key deferrable);
    create table parts (id int primary key, at date) partition by range (id);
    create table parts_low partition of parts for values from (0) to (100);
  `);
});
afterAll(() => database.drop());

const names = (...tables: readonly string[]) => tables.map((table) => ({ schema: 'public', table }));
const wanted = async (on: Client, tables: Parameters<typeof readTables>[1]) =>
  (await readTables(on, tables)).map((state) => ({ ...state, assured: false }));
const table = (...tables: readonly string[]) => [{ includeTables: names(...tables).map(tablePattern) }];
const users = table('users');
const none = { createIfNotExists: false };

const faults = (findings: readonly Finding[]) => findings.filter((finding) => !finding.ok);
const codes = (findings: readonly Finding[]) => faults(findings).map((finding) => finding.code);
const only = (findings: readonly Finding[]): Finding => {
  expect(codes(findings)).toHaveLength(1);
  return faults(findings)[0]!;
};

describe('preflight', () => {
  test('finds nothing wrong where everything can be made', async () => {
    expect(codes(await inspectDatabase(databaseSettings(database), users))).toEqual([]);
  });

  test('warns of a database whose bytes nobody checks', async () => {
    await client.query("create database unchecked encoding 'SQL_ASCII' template template0");
    const settings = { ...databaseSettings(database), database: 'unchecked' };
    const findings = await inspectDatabase(settings, []);
    expect(codes(findings)).toContain('ENCODING_UNCHECKED');
    expect(faults(findings).find(({ title }) => title === 'encoding')?.cure).toContain('ENCODING UTF8');
    await client.query('drop database unchecked with (force)');
  });

  test('lists every fault at once, each with its SQL', async () => {
    const settings = databaseSettings(database, { slot: none, publication: { ...none, name: 'Pub "x"' } });
    const findings = await inspectDatabase(settings, table('users', 'userz'));
    expect(codes(findings)).toEqual(['SLOT_MISSING', 'PUBLICATION_MISSING', 'TABLE_MISSING']);
    const [slot, publication] = faults(findings);
    expect(slot?.cure).toContain(
      `SELECT pg_create_logical_replication_slot('${settings.slot.name}', 'pgoutput');`,
    );
    // Of the tables that there are: the statement can be run.
    expect(publication?.cure).toBe(
      'as the owner of the tables ("postgres"): CREATE PUBLICATION "Pub ""x""" FOR TABLE ONLY "public"."users"; or publication.create_if_not_exists: true',
    );
    expect(faultOf('shop', findings)).toMatchObject({ code: 'SLOT_MISSING', kind: 'fatal' });
  });

  test('the cures for slot and publication cure', async () => {
    const settings = databaseSettings(database, {
      slot: { ...none, name: `cured_${database.name}` },
      publication: { ...none, name: 'Pub "y"' },
    });
    for (const finding of faults(await inspectDatabase(settings, users))) {
      await client.query(finding.cure!.replace(/^as [^:]*: /, '').split(';')[0]!);
    }
    expect(codes(await inspectDatabase(settings, users))).toEqual([]);
  });

  test.for([
    ['physical', 'SLOT_PHYSICAL', `select pg_create_physical_replication_slot($1)`],
    [
      'of another plugin',
      'SLOT_WRONG_PLUGIN',
      `select pg_create_logical_replication_slot($1, 'test_decoding')`,
    ],
    ['two-phase', 'SLOT_TWO_PHASE', `select pg_create_logical_replication_slot($1, 'pgoutput', false, true)`],
  ] as const)('a slot that is %s is refused by name (C130, C165)', async ([what, code, sql], { skip }) => {
    skip(what === 'two-phase' && (await serverVersion(client)) < 140_000, 'slots know two_phase from 14 on');
    const name = `bad_${what.replaceAll(/\W/g, '_')}_${process.pid}`;
    await client.query(sql, [name]);
    try {
      const finding = only(await inspectDatabase(databaseSettings(database, { slot: { name } }), users));
      expect(finding).toMatchObject({ code, title: `slot "${name}"` });
      expect(finding.cure).toContain(`pg_drop_replication_slot('${name}')`);
    } finally {
      await client.query('select pg_drop_replication_slot($1)', [name]);
    }
  });

  test('a slot of another database is refused by both names (C165)', async () => {
    const other = await createTestDatabase();
    const name = `other_${process.pid}`;
    await other.client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [name]);
    const finding = only(await inspectDatabase(databaseSettings(database, { slot: { name } }), users));
    await other.drop();
    expect(finding.code).toBe('SLOT_OTHER_DATABASE');
    expect(finding.detail).toContain(other.name);
  });

  test('a slot name that Postgres does not allow is refused', async () => {
    const settings = databaseSettings(database, { slot: { name: 'Not-A-Slot' } });
    expect(only(await inspectDatabase(settings, users)).code).toBe('SLOT_NAME');
  });

  test.each([
    ['without a primary key', 'keyless', 'ALTER TABLE "public"."keyless" ADD PRIMARY KEY'],
    ['with identity NOTHING', 'nothing', 'ALTER TABLE "public"."nothing" REPLICA IDENTITY DEFAULT'],
    // It has a primary key already.
    ['whose primary key is deferrable', 'deferred', 'ALTER TABLE "public"."deferred" REPLICA IDENTITY FULL;'],
  ])('a table %s is reported with the cures that mend it', async (_, name, cure) => {
    const finding = only(await inspectDatabase(databaseSettings(database), table(name)));
    expect(finding).toMatchObject({ code: 'TABLE_WITHOUT_IDENTITY', severity: 'warning' });
    expect(finding.cure).toContain(cure);
    expect(finding.cure).toContain(`ALTER TABLE "public"."${name}" REPLICA IDENTITY FULL;`);
  });

  test.each(['whole', 'by_index', 'Mixed Case', 'parts', 'parts_low'])(
    'a table like %s is fit',
    async (name) => {
      expect(codes(await inspectDatabase(databaseSettings(database), table(name)))).toEqual([]);
    },
  );

  test('a table that the publication lacks is reported with the SQL that adds it (C168)', async () => {
    await client.query('create publication narrow for table users');
    const settings = databaseSettings(database, { publication: { name: 'narrow' } });
    const finding = only(await inspectDatabase(settings, table('whole')));
    expect(finding.code).toBe('TABLE_NOT_PUBLISHED');
    await client.query(finding.cure!);
    expect(codes(await inspectDatabase(settings, table('whole')))).toEqual([]);
  });

  test('a publication that keeps updates to itself is reported', async () => {
    await client.query(`create publication inserts for table users with (publish = 'insert')`);
    const settings = databaseSettings(database, { publication: { name: 'inserts' } });
    const finding = only(await inspectDatabase(settings, users));
    expect(finding).toMatchObject({ code: 'PUBLICATION_PARTIAL', severity: 'warning' });
    await client.query(finding.cure!);
    expect(codes(await inspectDatabase(settings, users))).toEqual([]);
  });

  test('a role without REPLICATION, and one that owns nothing, get their cures (C171)', async () => {
    await client.query(`create role weak_${database.name} login password 'weak'`);
    const settings = databaseSettings(database, { username: `weak_${database.name}`, password: 'weak' });
    const findings = await inspectDatabase(settings, users);
    expect(codes(findings)).toEqual([
      'REPLICATION_NOT_ALLOWED',
      'PUBLICATION_NOT_ALLOWED',
      'TABLE_NOT_OWNED',
      'REPLICATION_NOT_ALLOWED',
    ]);
    expect(faults(findings)[0]?.cure).toContain(`ALTER ROLE "weak_${database.name}" WITH REPLICATION;`);
    await client.query(`drop role weak_${database.name}`);
  });

  test('a stream that RDS does not let in by IAM is told before it is tried', async () => {
    const settings = databaseSettings(database, { password: { from: 'rds_iam', useTaskRole: false } });
    const inspect = async (asked = settings): Promise<readonly Finding[]> => {
      const session = await connect(database.url);
      try {
        return await inspectIam(session, asked);
      } finally {
        await session.end();
      }
    };
    const set = (value: string) =>
      client.query(`alter database ${database.name} set rds.iam_auth_for_replication = '${value}'`);
    expect(await inspect()).toEqual([]);
    await set('0');
    expect(await inspect()).toMatchObject([
      { code: 'IAM_REPLICATION_OFF', cure: expect.stringContaining('rds.iam_auth_for_replication = 1') },
    ]);
    expect(await inspect(databaseSettings(database))).toEqual([]);
    await set('1');
    expect(await inspect()).toMatchObject([{ ok: true, title: 'rds.iam_auth_for_replication' }]);
    await client.query(`alter database ${database.name} reset rds.iam_auth_for_replication`);
  });

  test.each([
    ['a wrong password', { password: 'wrong' }, 'PASSWORD_REFUSED'],
    ['no password', { password: '' }, 'PASSWORD_REFUSED'],
    [
      'the password with a line break',
      { password: 'postgres\n' },
      'PASSWORD_REFUSED',
      'ends with a line break',
    ],
    ['a role with a line break', { username: 'postgres\n' }, 'PASSWORD_REFUSED', 'line break'],
    ['a database with a line break', { database: 'postgres\r\n' }, 'DATABASE_MISSING', 'line break'],
    ['a database that is not there', { database: 'nowhere' }, 'DATABASE_MISSING'],
    ['TLS where the server has none', { tls: { mode: 'require' } as const }, 'TLS_MISSING'],
    ['a closed port', { hosts: [{ host: '127.0.0.1', port: 1 }] }, 'ECONNREFUSED'],
  ])('%s is one finding that says so (C171)', async (_, changes, code, cure = '') => {
    const finding = only(await inspectDatabase(databaseSettings(database, changes), users));
    expect(finding.code).toBe(code);
    expect(finding.cure).toBeTruthy();
    expect(finding.cure).toContain(cure);
    expect(JSON.stringify(finding)).not.toContain('wrong');
  });
});

describe('a server that is set up wrongly', () => {
  test('wal_level, a role taken for a synchronous standby and an invalidated slot are named with their cures (C163, C169)', async () => {
    const server = await startTestServer({
      settings: { synchronous_standby_names: '*', wal_level: 'logical', max_slot_wal_keep_size: '1MB' },
    });
    const admin = await connect(server.url());
    try {
      const settings = databaseSettings(
        { name: 'postgres', host: '127.0.0.1', port: server.port },
        { slot: { name: 'lost' } },
      );
      await admin.query(`set synchronous_commit = local; create table users (id int primary key)`);
      await admin.query(`select pg_create_logical_replication_slot('lost', 'pgoutput')`);
      expect(codes(await inspectDatabase(settings, users))).toEqual(['SYNCHRONOUS_STANDBY']);
      for (let i = 0; i < 3; i++) {
        await admin.query('insert into users values ($1)', [i]);
        await admin.query('select pg_switch_wal()');
      }
      await admin.query('checkpoint');
      expect(codes(await inspectDatabase(settings, users))).toEqual([
        'SLOT_INVALIDATED',
        'SYNCHRONOUS_STANDBY',
      ]);
      await admin.query(`select pg_drop_replication_slot('lost')`);
      await admin.end();
      await server.stop();
      await server.start({ wal_level: 'replica', synchronous_standby_names: '' });
      expect(codes(await inspectDatabase(settings, users))).toEqual(['WAL_LEVEL']);
    } finally {
      await admin.end().catch(() => undefined);
      await server.remove();
    }
  });
});

describe('an invalidated slot', () => {
  test.each([
    { reason: 'wal_removed', setting: 'max_slot_wal_keep_size', value: '1MB', mended: '-1', since: 140_000 },
    {
      reason: 'idle_timeout',
      setting: 'idle_replication_slot_timeout',
      value: '1s',
      mended: '0',
      since: 180_000,
    },
  ])(
    'of $reason names the setting that did it, and its cure, run as printed, mends it (C163)',
    async (lost) => {
      const { reason, setting, value, mended } = lost;
      const server = await startTestServer();
      const admin = await connect(server.url());
      try {
        if ((await serverVersion(admin)) < lost.since) return;
        const settings = databaseSettings(
          { name: 'postgres', host: '127.0.0.1', port: server.port },
          { slot: { name: 'lost' } },
        );
        await admin.query(`create table users (id int primary key)`);
        await admin.query(`select pg_create_logical_replication_slot('lost', 'pgoutput')`);
        await admin.query(`alter system set ${setting} = '${value}'`);
        await admin.query('select pg_reload_conf()');
        const finding = await waitFor(async () => {
          await admin.query('insert into users select coalesce(max(id), 0) + 1 from users');
          await admin.query('select pg_switch_wal()');
          await admin.query('checkpoint');
          const found = await inspectDatabase(settings, users);
          return found.find(({ code }) => code === 'SLOT_INVALIDATED');
        }, 'the slot to be invalidated');
        expect(finding.detail).toContain(reason);
        const statements = finding.cure?.match(/\b(?:SELECT|ALTER)\b[^;]*;/g) ?? [];
        expect(statements).toHaveLength(3);
        for (const statement of statements) await admin.query(statement);
        await waitFor(async () => {
          const { rows } = await admin.query<Record<string, string>>(`show ${setting}`);
          return rows[0]![setting] === mended;
        }, 'the setting to hold');
        expect(codes(await inspectDatabase(settings, users))).toEqual([]);
      } finally {
        await admin.end().catch(() => undefined);
        await server.remove();
      }
    },
  );
});

describe('synchronous_standby_names', () => {
  test.each([
    ['', false],
    ['*', true],
    ['FIRST 1 (*)', true],
    ['ANY 2 (a, b)', false],
    ['ANY 2 (a, "tailrace:shop")', true],
    ['"Tailrace:Shop"', true],
    ['first, any', false],
    ['"tailrace:shop2"', false],
  ])('%j takes us in: %s', (setting, expected) => {
    expect(namesUs(setting, 'tailrace:shop')).toBe(expected);
  });
});

describe('what is made', () => {
  test('a publication lists the fit tables by name and leaves the others out, so that UPDATE goes on there', async () => {
    const settings = databaseSettings(database, { publication: { name: 'made' } });
    const owner = await connectOrdinary(settings, settings.hosts[0]!);
    const states = await wanted(owner, names('users', 'keyless', 'parts'));
    await createPublication(owner, settings, { states, mayBeEmpty: false });
    const made = await readPublication(owner, 'made');
    await owner.end();
    expect(made).toMatchObject({ viaRoot: false, kept: true, changeable: true });
    expect(made?.entries.map((entry) => entry.table).sort()).toEqual(['parts', 'users']);
    expect(made?.tables.map((entry) => entry.table).sort()).toEqual(['parts', 'parts_low', 'users']);
    await client.query(`insert into keyless values ('a'); update keyless set note = 'b'`);
  });

  test('a publication is made with its comment or not at all: without it, it would be nobody’s', async () => {
    await client.query(`
      create function refuse() returns event_trigger language plpgsql as $$ begin raise 'no comments'; end $$;
      create event trigger no_comments on ddl_command_start when tag in ('COMMENT') execute function refuse();
    `);
    const settings = databaseSettings(database, { publication: { name: 'uncommented' } });
    const states = await wanted(client, names('users'));
    await expect(createPublication(client, settings, { states, mayBeEmpty: false })).rejects.toThrow(
      'no comments',
    );
    expect(await readPublication(client, 'uncommented')).toBeUndefined();
    await client.query('drop event trigger no_comments; drop function refuse');
    await createPublication(client, settings, { states, mayBeEmpty: false });
    expect(await readPublication(client, 'uncommented')).toMatchObject({ kept: true });
  });

  test('the tables of the user are told, and which of them are fit', async () => {
    const states = await wanted(client, await listTables(client));
    expect(states.filter(isFit).map((state) => state.table)).toEqual(
      ['Mixed Case', 'by_index', 'parts', 'parts_low', 'users', 'whole'].sort(),
    );
  });

  test('init_sql runs as given', async () => {
    const settings = databaseSettings(database, {
      publication: {
        name: 'by_hand',
        initSql: 'create publication by_hand for table public.users with (publish = $$insert$$)',
      },
    });
    await createPublication(client, settings, { states: [], mayBeEmpty: false });
    expect((await readPublication(client, 'by_hand'))?.tables).toEqual(names('users'));
  });

  test('a slot is made although the role has a statement timeout (C054)', async () => {
    await client.query(`alter database ${database.name} set statement_timeout = '1ms'`);
    const settings = databaseSettings(database, { slot: { name: `made_${process.pid}`, failover: true } });
    const making = { client, target: settings.hosts[0]!, settings, onWait: () => undefined, signal: patient };
    expect(await makeSlot({ ...making, serverVersion: await serverVersion(client) })).toBeGreaterThan(0n);
    await client.query(`alter database ${database.name} reset statement_timeout`);
  });
});
