// What `doctor` says of initial backfills: which right is missing, with the cure, which mends it.
import { expect, test } from 'vitest';
import { inspectInitialBackfills } from '../../../src/pipeline/service/initial-backfill-findings.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { createTestDatabase } from '../../support/postgres.ts';

const sink = (initial: SinkSettings['backfill']['initial']): SinkSettings =>
  ({
    name: 'users',
    database: 'shop',
    selection: { includeTables: [{ schema: ['public'], table: ['users', ''] }] },
    backfill: { initial, limits: { queryTimeoutMs: 5000 } },
  }) as unknown as SinkSettings;

test('rights and policies that would keep it from reading are told, and nothing where none is wanted', async () => {
  const database = await createTestDatabase();
  const role = `reader_${database.name}`;
  await database.client.query(`create table users (id int primary key) partition by list (id);
    create table users_1 partition of users for values in (1); create table users_log (id int primary key);
    alter table users_log enable row level security; create policy own on users_log using (false);
    create role ${role} login password 'postgres'`);
  const settings = databaseSettings(database, { username: role });
  const inspect = async (initial: SinkSettings['backfill']['initial']) =>
    inspectInitialBackfills(settings, [sink(initial)]);
  expect(await inspect(undefined)).toEqual([]);
  const sql = (text: string) => database.client.query(text);
  const [unreadable, hidden, ...others] = await inspect('all');
  expect(others).toEqual([]);
  expect(unreadable).toMatchObject({ ok: false, code: 'TABLE_UNREADABLE' });
  expect(unreadable!.detail).toContain('public.users_1');
  expect(hidden).toMatchObject({ ok: false, code: 'ROW_SECURITY' });
  expect(hidden!.detail).toMatch(/public\.users_log .*policy "own"/);
  await sql(unreadable!.cure!);
  await sql(/ALTER ROLE .*;/.exec(hidden!.cure!)![0]);
  // Whose policies do not hide anything any more still needs the right to read.
  const [log, ...more] = await inspect('all');
  expect([log!.code, more]).toEqual(['TABLE_UNREADABLE', []]);
  await sql(log!.cure!);
  expect(await inspect('all')).toEqual([
    expect.objectContaining({ ok: true, detail: 'public.users, public.users_log can be read' }),
  ]);
  expect(await inspect([{ schema: 'public', table: 'usrs' }])).toMatchObject([
    { code: 'TABLE_UNKNOWN', detail: 'there is no table public.usrs; did you mean "public.users"?' },
  ]);
  await sql(`drop owned by ${role}; drop role ${role}`);
  await database.drop();
});
