import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import {
  closeConnection,
  connectOrdinary,
  connectReplication,
} from '../../../src/postgres/connection/connection.ts';
import type { DatabaseSettings } from '../../../src/postgres/settings.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let server: EmbeddedPostgres;
let database: TestDatabase;
let settings: DatabaseSettings;
let locales: string;
/** Does this machine know how Japan writes money? Debian's package `locales` has the sources. */
let hasJapan = true;

beforeAll(async () => {
  locales = mkdtempSync(join(tmpdir(), 'tailrace-locales-'));
  chmodSync(locales, 0o755);
  try {
    execFileSync('localedef', ['-i', 'ja_JP', '-f', 'UTF-8', join(locales, 'ja_JP.UTF-8')], {
      stdio: 'ignore',
    });
  } catch {
    hasJapan = false;
  }
  process.env['LOCPATH'] = locales;
  server = await startEmbeddedPostgres({ settings: { lc_monetary: hasJapan ? 'ja_JP.UTF-8' : 'POSIX' } });
  delete process.env['LOCPATH'];
});
afterAll(async () => {
  await server?.remove();
  rmSync(locales, { recursive: true, force: true });
});

beforeEach(async () => {
  database = await createTestDatabase(server.url());
  settings = databaseSettings(database);
  await database.client.query('alter role postgres reset all');
  return () => database.drop();
});

/** What both kinds of session answer, which is the same. */
async function inBoth(sql: string, of = settings): Promise<string> {
  const ordinary = await connectOrdinary(of, of.hosts[0]!);
  const { client: replication } = await connectReplication(of, of.hosts[0]!);
  try {
    const [one, other] = await Promise.all(
      [ordinary, replication].map(async (client) => {
        const { rows } = await client.query<{ text: string }>(`select (${sql})::text as text`);
        return rows[0]!.text;
      }),
    );
    expect(other).toBe(one);
    return one!;
  } finally {
    await Promise.all([closeConnection(ordinary), closeConnection(replication)]);
  }
}

const MONEY = `current_setting('lc_monetary')`;

describe('money', () => {
  test('has the decimals of the server, whatever the role sets', async ({ skip }) => {
    if (!hasJapan) skip('this machine cannot compile the locale ja_JP');
    const stored = `'1234'::money`;
    const { rows } = await database.client.query<{ text: string }>(`select ${stored}::text as text`);
    await database.client.query(`alter role postgres set lc_monetary = 'C'`);
    expect(await inBoth(stored)).toBe(rows[0]!.text);
    expect(rows[0]!.text).toMatch(/1,234$/);
  });

  test('is the database’s where it says so, else the server’s, over what the role sets here or everywhere', async () => {
    const ofServer = hasJapan ? 'ja_JP.UTF-8' : 'POSIX';
    const { client, name } = database;
    expect(await inBoth(MONEY)).toBe(ofServer);
    await client.query(`alter role postgres set lc_monetary = 'C'`);
    expect(await inBoth(MONEY)).toBe(ofServer);
    await client.query(`alter role postgres in database ${name} set lc_monetary = 'C.utf8'`);
    expect(await inBoth(MONEY)).toBe(ofServer);
    await client.query(`alter role all set lc_monetary = 'C.utf8'`);
    expect(await inBoth(MONEY)).toBe('C.utf8');
    await client.query(`alter database ${name} set lc_monetary = 'C'`);
    expect(await inBoth(MONEY)).toBe('C');
    await client.query(
      `alter role postgres in database ${name} reset lc_monetary; alter role all reset lc_monetary`,
    );
    expect(await inBoth(MONEY)).toBe('C');
    await client.query(
      `alter database ${name} reset lc_monetary; alter role postgres set lc_monetary = 'POSIX'`,
    );
    expect(await inBoth(MONEY)).toBe(ofServer);
  });

  test('that only the role’s setting tells of is a fault, and each cure mends it', async () => {
    const { client, name } = database;
    await client.query(`create role "Reader ""1" login password 'postgres'`);
    try {
      const reader = { ...settings, username: 'Reader "1' };
      const open = async (): Promise<void> =>
        closeConnection(await connectOrdinary(reader, reader.hosts[0]!));
      for (const where of ['', `in database ${name} `]) {
        await client.query(`alter role "Reader ""1" ${where}set lc_monetary = 'C'`);
        const fault = await open().then(
          () => undefined,
          (error: unknown) => error as { code: string; hint: string },
        );
        expect(fault).toMatchObject({ code: 'MONEY_LOCALE_UNKNOWN' });
        const [reset, ofDatabase] = fault!.hint.split(' or say what the database counts in: ');
        await client.query(ofDatabase!.replace('…', 'C'));
        await open();
        await client.query(`alter database ${name} reset lc_monetary`);
        await client.query(reset!);
        await open();
      }
      await client.query(
        `alter role "Reader ""1" set lc_monetary = 'POSIX'; grant pg_read_all_settings to "Reader ""1"`,
      );
      await expect(open()).rejects.toMatchObject({ code: 'MONEY_LOCALE_UNKNOWN' });
    } finally {
      await client.query('drop role "Reader ""1"');
    }
  });

  test('of a role that may not open a session without a database is read in the server’s files', async () => {
    const { client } = database;
    await client.query(`create role files superuser noreplication login password 'postgres'`);
    await client.query(`alter role files set lc_monetary = 'POSIX'`);
    const files = { ...settings, username: 'files' };
    const opened = await connectOrdinary(files, files.hosts[0]!);
    const { rows } = await opened.query<{ lc_monetary: string }>('show lc_monetary');
    expect(rows[0]!.lc_monetary).not.toBe('POSIX');
    await closeConnection(opened);
    await client.query('drop role files');
  });
});

test('names of tables, types and functions are written the same whatever the role sets', async () => {
  await database.client.query('create table public.items (id int primary key)');
  await database.client.query('alter role postgres set quote_all_identifiers = on');
  await database.client.query('alter role postgres set search_path = public');
  expect(
    await inBoth(`concat_ws(' ', 'public.items'::regclass, 'pg_class'::regclass, 'numeric'::regtype)`),
  ).toBe('public.items pg_class numeric');
});

test('every setting that a role may change leaves the values of both sessions as they are (C054)', async () => {
  const values = `concat_ws('|', timestamptz '2026-01-02 03:04:05.06+07', date '2026-01-02', interval '1 day 2 hours', 0.1::float8,
    0.1::float4, point(0.1, 2), '\\x00ff'::bytea, 'pg_class'::regclass, 'lower(text)'::regprocedure, 'é', tstzrange('2026-01-02', null),
    (select array_agg(x) from (values (timestamp '2026-01-02'), (null)) v(x)), 'a b'::tsvector, '12'::money, xml '<a>é</a>', 1.50, true)`;
  const before = await inBoth(values);
  // What a role may set and what changes no more than what it costs, or cannot be changed in a session.
  const { rows } = await database.client.query<{ name: string; values: string[] }>(
    `select name, case when vartype = 'bool' then array[case setting when 'on' then 'off' else 'on' end]
       when vartype = 'enum' then enumvals end as values
     from pg_settings where context = 'user' and vartype in ('bool', 'enum') and name !~ '^(debug_|trace_|log_)'
       and name not in ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable', 'ssl_renegotiation_limit', 'default_table_access_method')`,
  );
  const others = {
    datestyle: 'German',
    timezone: 'Asia/Kolkata',
    extra_float_digits: '-5',
    lc_numeric: 'POSIX',
    lc_time: 'POSIX',
    lc_monetary: 'C',
    search_path: 'public',
    client_encoding: 'LATIN1',
    timezone_abbreviations: 'India',
    default_text_search_config: 'pg_catalog.german',
  };
  for (const [name, value] of [
    ...rows.map((row) => [row.name, row.values.at(-1)!] as const),
    ...Object.entries(others),
  ]) {
    await database.client.query(`alter role postgres set ${name} = '${value}'`);
  }
  try {
    expect(rows.length).toBeGreaterThan(50);
    expect(await inBoth(values)).toBe(before);
  } finally {
    await database.client.query('alter role postgres reset all');
  }
});
