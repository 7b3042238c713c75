// Names that nothing in the database has, in the configuration of a service that runs: said in the status before a row comes.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();
const sql = (text: string) => world.database.client.query(text);
const status = async () => (await world.service.health()).databases[0]!;

test('a column that a table lacks degrades its database by name before a row comes, until it is there; patterns that match nothing are warnings', async () => {
  await sql('create table users (id int primary key, tenant int)');
  await world.start({
    config: world.config({
      publication: 'refresh_interval: 100ms',
      sinks: [
        {
          tables: [],
          source: '{ include_tables: [public.users, "tenant_*.orders"] }',
          extra: 'tables: [{ name: public.users, group_column_names: [tennat] }]',
        },
      ],
    }),
  });
  const { warnings } = await waitFor(async () => {
    const now = await status();
    return now.status === 'degraded' && now.warnings.join('\n').includes('tennat') ? now : undefined;
  }, 'the source to say so');
  const told = warnings.join('\n');
  expect(told).toContain('did you mean "tenant"?');
  expect(told).toContain('include_tables names tenant_*.orders, which no table matches');
  expect(world.recorder.messages).toEqual([]);
  expect(told).toContain('write tenant');

  await sql(`alter table users add column tennat int;
    create schema tenant_a; create table tenant_a.orders (id int primary key)`);
  await waitFor(async () => (await status()).status === 'healthy', 'the source to be well again');
  await sql('insert into users values (1, 2, 3)');
  await waitFor(() => world.recorder.messages.length === 1, 'the row');
  expect(world.recorder.messages[0]!.group).toBe('public.users:3');
});
