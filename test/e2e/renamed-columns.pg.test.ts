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

/** Of every table in `public`, with options of one. */
const open = (options: string, extra = ''): string =>
  world.config({
    publication: 'refresh_interval: 100ms',
    sinks: [
      {
        name: 'rows',
        queue: '"rows.fifo"',
        tables: [],
        source: '{ include_schemas: [public] }',
        extra: `tables: [{ name: ${options} }]\n${extra}`,
      },
    ],
  });
const MASKED = 'public.rows, mask: { secret: redact }';
const PARTITIONED = `
  create table rows (id int, secret text, primary key (id)) partition by range (id);
  create table p1 partition of rows for values from (0) to (100000)`;

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

/** Whatever a look at the catalog has to show first: until then rows come as before. */
const haltAtRowOf = async (table: string): Promise<string | undefined> => {
  let id = 10;
  const halted = await waitFor(
    async () => {
      await sql(`insert into ${table} values (${id++}, 'planted')`);
      const found = (await world.service.health()).sinks[0]!;
      return found.state === 'halted' && found;
    },
    'the sink to halt',
    120_000,
  );
  expect(await said()).not.toContain('planted');
  return halted.reason;
};

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

test.each([
  ['columns: [id]', 'that "secret" stays here under that name'],
  ['where: "id > 1"', 'no filter is for that name'],
])(
  'a table with %s alone that gets another name halts the sink',
  { timeout: 300_000 },
  async (options, reason) => {
    await sql(`create table rows (id int primary key, secret text)`);
    await world.start({ config: open(`public.rows, ${options}`) });
    await sql(`insert into rows values (2, 'planted')`);
    await receive(1);
    await sql(`alter table rows rename to people; insert into people values (1, 'planted')`);
    const halted = await waitForHalt();
    expect(halted.reason).toContain(`the table public.rows is now called public.people, and `);
    expect(halted.reason).toContain(reason);
    expect(records()).toHaveLength(1);
  },
);

test.each(['columns: [id]', 'where: "id > 1"'])(
  'a table with %s alone that gets another name before its first row halts the sink',
  { timeout: 300_000 },
  async (options) => {
    await sql(`create table rows (id int primary key, secret text)`);
    await world.start({ config: open(`public.rows, ${options}`) });
    await sql(`alter table rows rename to people; insert into people values (1, 'planted')`);
    const { reason } = await waitForHalt();
    expect(reason).toContain(`the table public.rows is now called public.people, and `);
    expect(records()).toEqual([]);
  },
);

test.each([
  ['after rows of it came', ''],
  ['that only a backfill has read', 'initial_backfill: true'],
])('a masked root of partitions that gets another name, %s', { timeout: 300_000 }, async (_, extra) => {
  await sql(PARTITIONED);
  if (extra !== '') await sql(`insert into rows values (1, 'planted')`);
  await world.start({ config: open(MASKED, extra) });
  if (extra === '') await sql(`insert into rows values (1, 'planted')`);
  await receive(1);
  await sql(`alter table rows rename to people`);
  expect(await haltAtRowOf('people')).toContain('the table public.rows is now called public.people, and ');
});

test(
  'a partition that is detached from a masked root, and comes under its own name, halts the sink',
  { timeout: 300_000 },
  async () => {
    await sql(PARTITIONED);
    await world.start({ config: open(MASKED) });
    await sql(`insert into rows values (1, 'planted')`);
    await receive(1);
    await sql(`alter table rows detach partition p1`);
    expect(await haltAtRowOf('p1')).toContain(
      'the rows of public.p1 came under the name public.rows and come under public.p1 now',
    );
  },
);

test(
  'a masked table that is attached to a root without rules halts the sink',
  { timeout: 300_000 },
  async () => {
    await sql(`create table rows (id int primary key, secret text);
      create table whole (id int primary key, secret text) partition by range (id)`);
    await world.start({ config: open(MASKED) });
    await sql(`insert into rows values (1, 'planted')`);
    await receive(1);
    await sql(`alter table whole attach partition rows for values from (0) to (100000)`);
    expect(await haltAtRowOf('whole')).toContain(
      'the rows of public.rows came under the name public.rows and come under public.whole now',
    );
  },
);

test(
  'a partition that is made after its root’s masked column got another name halts the sink',
  { timeout: 300_000 },
  async () => {
    await sql(PARTITIONED);
    await world.start({ config: config('mask: { secret: redact }') });
    await sql(`alter table rows rename secret to hidden`);
    await sql(`create table p2 partition of rows for values from (100000) to (200000)`);
    await sql(`insert into rows values (100000, 'planted')`);
    await haltsFor('secret', 'hidden');
    expect(await world.service.stop()).toBe(0);

    await world.start({ config: config('mask: { secret: redact, hidden: redact }') });
    await sql(`insert into rows values (1, 'planted')`);
    await receive(2);
    expect(records()).toEqual([
      { id: 100000, hidden: '***' },
      { id: 1, hidden: '***' },
    ]);
  },
);

test(
  'partitions that come and go, and names of what has no rules, halt nothing',
  { timeout: 300_000 },
  async () => {
    await sql(`${PARTITIONED};
      create table own (secret text, id int not null primary key);
      create table plain (id int primary key) partition by range (id);
      create table q1 partition of plain for values from (0) to (100000);
      create table other (id int primary key)`);
    await world.start({ config: open(MASKED) });
    await sql(
      `insert into rows values (1, 'planted'); insert into plain values (1); insert into other values (1)`,
    );
    await receive(3);
    await sql(`create table p2 partition of rows for values from (100000) to (200000);
      alter table rows attach partition own for values from (200000) to (300000);
      alter table p1 rename to first;
      alter table plain rename to simple;
      alter table other rename to others`);
    await sql(`insert into rows values (2, 'planted'), (100000, 'planted'), (200000, 'planted');
      insert into simple values (2); insert into others values (2)`);
    await receive(8);
    await sql(`alter table simple detach partition q1`);
    let id = 10;
    await waitFor(
      async () => {
        await sql(`insert into q1 values (${id++})`);
        return world.recorder.messages.some(({ body }) => body.includes('"q1"'));
      },
      'the partition under its own name',
      120_000,
    );
    expect((await world.service.health()).sinks[0]!.state).not.toBe('halted');
    expect(await said()).not.toContain('planted');
  },
);
