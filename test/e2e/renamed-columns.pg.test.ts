// A masked column that gets another name in Postgres, where no change of the table tells of it: what a backfill reads, or has read, does.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd({ createMissing: true });

const sql = (text: string) => world.database.client.query(text);

const config = (rules: string, extra = ''): string =>
  world.config({
    sinks: [
      {
        name: 'rows',
        queue: '"rows.fifo"',
        tables: ['rows'],
        extra: `tables: [{ name: public.rows, ${rules} }]\nretry: { max_backoff: 1s }\n${extra}`,
      },
    ],
  });

const records = (): unknown[] =>
  world.recorder.messages.map(({ body }) => (JSON.parse(body) as { readonly record: unknown }).record);
const receive = (count: number) => waitFor(() => records().length >= count, `${count} messages`, 120_000);
const waitForHalt = () =>
  waitFor(
    async () => {
      const found = (await world.service.health()).sinks[0]!;
      return found.state === 'halted' && found;
    },
    'the sink to halt',
    120_000,
  );

/** Everything that came, and what is said of it. */
const said = async (): Promise<string> =>
  JSON.stringify([
    world.recorder.messages,
    await askCommand(world.service, 'dead-letters', 'list', 'rows'),
    world.service.log,
  ]);

const haltsFor = async (from: string, to: string): Promise<void> => {
  const halted = await waitForHalt();
  expect(halted.reason).toContain(`the column "${from}", whose values stay here, is now called "${to}"`);
  expect(halted.cure).toContain(`name "${to}" beside "${from}" under mask`);
  expect(await said()).not.toContain('planted');
};

test(
  'a backfill that reads a masked column under its new name halts the sink, and goes on with the name',
  { timeout: 300_000 },
  async () => {
    await sql(`create table rows (id int primary key, secret text)`);
    await world.start({ config: config('mask: { secret: redact }') });
    await sql(`insert into rows values (1, 'planted')`);
    await receive(1);
    await sql(`alter table rows rename secret to hidden`);
    await askCommand(world.service, 'backfill', 'start', 'rows');
    await haltsFor('secret', 'hidden');
    expect(await world.service.stop()).toBe(0);

    await world.start({ config: config('mask: { secret: redact, hidden: redact }') });
    await receive(2);
    expect(records()).toEqual([
      { id: 1, secret: '***' },
      { id: 1, hidden: '***' },
    ]);
    expect(await said()).not.toContain('planted');
  },
);

test(
  'of a table that only backfills have read the next one halts the sink, and so does a row of the stream',
  { timeout: 300_000 },
  async () => {
    await sql(`create table rows (id int primary key, secret text); insert into rows values (1, 'planted')`);
    const initial = 'initial_backfill: true';
    await world.start({ config: config('mask: { secret: redact }', initial) });
    await receive(1);
    await sql(`alter table rows rename secret to hidden`);
    await askCommand(world.service, 'backfill', 'start', 'rows');
    await haltsFor('secret', 'hidden');
    expect(await world.service.stop()).toBe(0);

    await world.start({ config: config('mask: { secret: redact, hidden: redact }', initial) });
    await receive(2);
    await sql(`alter table rows rename hidden to third`);
    await sql(`insert into rows values (2, 'planted')`);
    await haltsFor('hidden', 'third');
    expect(records()).toEqual([
      { id: 1, secret: '***' },
      { id: 1, hidden: '***' },
    ]);
    expect(await world.service.stop()).toBe(0);
  },
);

test(
  'a row that is sent again as it stands in the table halts the sink, too',
  { timeout: 300_000 },
  async () => {
    await sql(`create table rows (id int primary key, secret text); insert into rows values (1, 'planted')`);
    await world.start({ config: config('mask: { secret: redact }') });
    await sql(`insert into rows values (2, 'planted')`);
    await receive(1);
    await sql(`alter table rows rename secret to hidden`);
    await askCommand(world.service, 'rewind', 'rows', '--to-row', 'public.rows', '1');
    await haltsFor('secret', 'hidden');
    expect(records()).toEqual([{ id: 2, secret: '***' }]);
  },
);

test(
  'a table of which no row has come yet is known as it was when the service began',
  { timeout: 300_000 },
  async () => {
    await sql(`create table rows (id int primary key, secret text)`);
    await world.start({ config: config('mask: { secret: redact }') });
    await sql(`alter table rows rename secret to hidden`);
    await sql(`insert into rows values (1, 'planted')`);
    await haltsFor('secret', 'hidden');
    expect(records()).toEqual([]);
  },
);
