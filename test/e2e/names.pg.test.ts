// Names that nothing in the database has, at a start of the service: refused while nothing is kept yet, said in the status later.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();
const sql = (text: string) => world.database.client.query(text);
const status = async () => (await world.service.health()).databases[0]!;

const config = (column: string, source: string) =>
  world.config({
    publication: 'refresh_interval: 100ms',
    sinks: [
      {
        tables: [],
        source,
        extra: `tables: [{ name: public.users, group_column_names: [${column}] }]`,
      },
    ],
  });
const USERS = '{ include_tables: [public.users] }';

test('a first start with a column that a table lacks is refused before anything is made; later the source is degraded by name, before a row', async () => {
  await sql('create table users (id int primary key, tenant int)');
  const refused = world.launch({ config: config('tennat', USERS) });
  expect(await refused.ended).toBe(1);
  const said = [...refused.printed, ...refused.log.map((entry) => JSON.stringify(entry))].join('\n');
  expect(said).toContain('tennat');
  expect(said).toContain('write tenant in group_column_names');
  const { rows } = await sql(
    'select pubname from pg_publication union all select slot_name from pg_replication_slots where database = current_database()',
  );
  expect(rows).toEqual([]);

  await world.start({ config: config('tenant', USERS) });
  expect((await status()).warnings).toEqual([]);
  await world.service.stop();

  await world.start({
    config: config('tennat', '{ include_tables: [public.users, "tenant_*.orders"] }'),
  });
  const {
    status: health,
    reason,
    cure,
    warnings,
  } = await waitFor(async () => {
    const now = await status();
    return now.state === 'streaming' && now.reason?.includes('tennat') === true ? now : undefined;
  }, 'the source to say so');
  expect(health).toBe('degraded');
  expect(reason).toContain('group_column_names names the column "tennat"');
  expect(cure).toContain('write tenant');
  expect(warnings.join('\n')).toContain('include_tables names tenant_*.orders, which no table matches');
  expect(world.recorder.messages).toEqual([]);

  await sql('alter table users add column tennat int');
  await waitFor(async () => (await status()).status === 'healthy', 'the source to be well again');
});
