// The role that the service connects by is altered while it runs, end to end: what is refused says what mends it, and it goes on.
import { beforeEach, expect, inject, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { connect } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const sql = (text: string) => world.database.client.query(text);
const arrived = (): unknown[] =>
  world.recorder.messages.map(({ body }) => (JSON.parse(body) as ChangeMessage).record['id']);
const status = async () => (await world.service.health()).databases[0]!;

let role: string;
let config: string;
beforeEach(async () => {
  const { name } = world.database;
  role = `role_${name}`;
  await sql(`create role ${role} login replication password 'secret';
    create role owner_${name}; grant owner_${name} to ${role}; grant create on database ${name} to owner_${name};
    grant usage, create on schema public to owner_${name};
    create table t (id int primary key); alter table t owner to owner_${name}`);
  config = world
    .config({ sinks: [{ tables: ['t'] }] })
    .replace('username: postgres', `username: ${role}`)
    .replace('password: postgres', 'password: secret');
  // Roles are the server's, and stay after the database.
  return async () => {
    const admin = await connect(inject('postgresUrl'));
    await admin.query(`drop role ${role}, owner_${name}`);
    await admin.end();
  };
});

const disconnect = () =>
  sql(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`);

test('whose password has run out is refused with a cure that mends that, too', async () => {
  await world.start({ config });
  await sql(`alter role ${role} valid until '2020-01-01'`);
  await disconnect();
  const { cure } = await waitFor(
    async () => (await status()).troubles.find(({ reason }) => reason.includes('refused the password')),
    'the password to be refused',
  );
  await sql(/ALTER ROLE .*;/.exec(cure!)![0].replace('…', 'secret'));
  await sql('insert into t values (1)');
  await waitFor(() => arrived().length === 1, 'the change');
  expect(arrived()).toEqual([1]);
});

test('that becomes another one by SET role, when it connects, replicates as before', async () => {
  await sql(`alter role ${role} set role = owner_${world.database.name}`);
  await world.start({ config });
  await sql('insert into t values (1)');
  await waitFor(() => arrived().length === 1, 'the change');
  // In sessions as everybody else has them it is the other one that makes things.
  const { rows } = await sql(`select pg_get_userbyid(pubowner) as owner from pg_publication`);
  expect(rows).toEqual([{ owner: `owner_${world.database.name}` }]);
});
