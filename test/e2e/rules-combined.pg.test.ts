// Column rules together with what else decides of a row: partitions under their root, filters and routes that rows leave and enter, and a
// table that changes under its rules. Whatever happens, nothing that is masked goes out as it is.
import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd({ createMissing: true });

const KEY = 'a key of sixteen characters';
const hashOf = (text: string): string => createHmac('sha256', KEY).update(text).digest('hex');
const sql = (text: string) => world.database.client.query(text);

type Body = {
  readonly action: string;
  readonly record: Record<string, unknown>;
  readonly changes: Record<string, unknown> | null;
  readonly metadata: { readonly moved?: string; readonly table_name: string };
};

const bodies = (): Body[] => world.recorder.messages.map(({ body }) => JSON.parse(body) as Body);
const receive = (count: number) =>
  waitFor(() => world.recorder.messages.length >= count, `${count} messages`, 120_000);
const health = async () => (await world.service.health()).sinks[0]!;
const waitForHalt = () =>
  waitFor(
    async () => {
      const found = await health();
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

const config = (rules: string, { extra = '', queue = 'rows.fifo', table = 'rows' } = {}): string =>
  world.config({
    sinks: [
      {
        name: 'rows',
        queue: `"${queue}"`,
        tables: [table],
        extra: `mask_key: "${KEY}"\ntables: [{ name: public.${table}, ${rules} }]\nretry: { max_backoff: 1s }\n${extra}`,
      },
    ],
  });

test(
  'rows of partitions that come under their root are masked and flattened, whatever identity their partition has',
  { timeout: 300_000 },
  async () => {
    await sql(`
    create table rows (id int, part int, secret text, doc jsonb, primary key (id, part)) partition by list (part);
    create table rows_1 partition of rows for values in (1);
    create table rows_2 partition of rows for values in (2);
    alter table rows_1 replica identity full;
    create publication ${world.database.name} for table rows with (publish_via_partition_root = true)`);
    await world.start({
      config: config(
        'mask: { secret: redact, id: hash }, flatten: { doc: true }, add: { of: "${row.part}" }',
      ),
    });
    await sql(
      `insert into rows values (1, 1, 'planted', '{"a": {"b": 1}}'), (2, 2, 'planted', '{"a": null}')`,
    );
    await sql(`update rows set secret = 'planted too', doc = '{"a": {"b": 2}}'`);
    await sql(`update rows set part = 2 where id = 1`);
    await sql(`delete from rows where id = 2`);
    await receive(7);
    const told = bodies().map(({ action, record, metadata }) => [action, metadata.table_name, record]);
    // The key has both: a row that changes its partition is another one, in no order with what it was.
    const of = (id: number, part: number): unknown[] =>
      told.filter(([, , record]) => {
        const found = record as Body['record'];
        return found['id'] === hashOf(String(id)) && found['part'] === part;
      });
    const row = (id: number, part: number, doc: object) => ({
      id: hashOf(String(id)),
      part,
      secret: '***',
      ...doc,
      of: String(part),
    });
    expect(of(1, 1)).toEqual([
      ['insert', 'rows', row(1, 1, { doc_a_b: 1 })],
      ['update', 'rows', row(1, 1, { doc_a_b: 2 })],
      ['delete', 'rows', row(1, 1, { doc_a_b: 2 })],
    ]);
    expect(of(1, 2)).toEqual([['insert', 'rows', row(1, 2, { doc_a_b: 2 })]]);
    expect(of(2, 2)).toEqual([
      ['insert', 'rows', row(2, 2, { doc_a: null })],
      ['update', 'rows', row(2, 2, { doc_a_b: 2 })],
      ['delete', 'rows', { id: hashOf('2'), part: 2, of: '2' }],
    ]);
    expect(await said()).not.toContain('planted');
  },
);

test(
  'rows that leave and enter a filter, and go from queue to queue, do so by their real values and show masked ones',
  { timeout: 300_000 },
  async () => {
    await sql(
      `create table rows (id int primary key, region text, secret text); alter table rows replica identity full`,
    );
    await world.start({
      config: config('mask: { secret: redact, id: hash }', {
        queue: 'q-${row.region}.fifo',
        extra: `where: "secret like 'in%'"\nwhere_moves: convert\nroute_moves: convert`,
      }),
    });
    await sql(`insert into rows values (1, 'eu', 'in planted'), (2, 'eu', 'out planted')`);
    await sql(`update rows set secret = 'out planted' where id = 1`);
    await sql(`update rows set secret = 'in planted', region = 'us' where id = 1`);
    await sql(`update rows set region = 'eu' where id = 1`);
    await sql(`update rows set secret = 'out planted', region = 'us' where id = 1`);
    await sql(`update rows set secret = 'in planted' where id = 2`);
    await sql(`delete from rows`);
    await receive(8);
    const of = (id: number) =>
      world.recorder.messages
        .map(({ queue, group, body }) => ({ queue, group, body: JSON.parse(body) as Body }))
        .filter(({ group }) => group === `public.rows:${hashOf(String(id))}`)
        .map(({ queue, body: { action, record, metadata } }) => {
          expect(record).toMatchObject({ id: hashOf(String(id)), secret: '***' });
          return `${queue} ${action} ${metadata.moved ?? ''}`.trim();
        });
    expect(of(1)).toEqual([
      'q-eu.fifo insert',
      'q-eu.fifo delete out',
      'q-us.fifo insert in',
      'q-us.fifo delete out',
      'q-eu.fifo insert in',
      'q-eu.fifo delete out',
    ]);
    expect(of(2)).toEqual(['q-eu.fifo insert in', 'q-eu.fifo delete']);
    expect(await said()).not.toContain('planted');
  },
);

test(
  'a masked table that gets another name or another schema lets nothing out before it is named',
  { timeout: 300_000 },
  async () => {
    await sql(`create schema archive; create table rows (id int primary key, secret text)`);
    const configFor = (tables: string): string =>
      world.config({
        sinks: [
          {
            name: 'rows',
            queue: 'rows.fifo',
            tables: [],
            source: '{ include_schemas: [public, archive] }',
            extra: `tables: [${tables}]`,
          },
        ],
      });
    const MASKED = '{ name: public.rows, mask: { secret: redact } }';
    await world.start({ config: configFor(MASKED) });
    await sql(`insert into rows values (1, 'planted')`);
    await receive(1);
    await sql(`alter table rows rename to people; alter table people set schema archive`);
    await sql(`insert into archive.people values (2, 'planted')`);
    const halted = await waitForHalt();
    expect(halted.reason).toMatch(
      /public\.rows is now called archive\.people, and nothing says that "secret" stays here/,
    );
    expect(halted.cure).toMatch(/name archive\.people beside public\.rows under tables/);
    expect(await said()).not.toContain('planted');
    expect(await world.service.stop()).toBe(0);

    await world.start({ config: configFor(`${MASKED}, ${MASKED.replace('public.rows', 'archive.people')}`) });
    await receive(2);
    expect(bodies().map(({ record }) => record['secret'])).toEqual(['***', '***']);
  },
);

test.each(['halt', 'dead_letter'])(
  'with on_schema_break: %s a masked column that changes its type, goes, comes back or gets another name lets nothing out',
  { timeout: 300_000 },
  async (policy) => {
    await sql(`create table rows (id int primary key, secret text, plain text)`);
    const extra = `on_schema_break: ${policy}`;
    await world.start({ config: config('mask: { secret: { last: 1 } }', { extra }) });
    await sql(`insert into rows values (1, 'planted1', 'shown')`);
    await sql(`alter table rows alter secret type jsonb using to_jsonb(secret)`);
    await sql(`insert into rows values (2, '"planted2"', 'shown')`);
    await sql(`alter table rows drop secret`);
    await sql(`insert into rows values (3, 'shown')`);
    await sql(`alter table rows add secret varchar(20)`);
    await sql(`insert into rows values (4, 'shown', 'planted4')`);
    await receive(4);
    expect(bodies().map(({ record }) => record)).toEqual([
      { id: 1, secret: '***1', plain: 'shown' },
      { id: 2, secret: '***"', plain: 'shown' },
      { id: 3, plain: 'shown' },
      { id: 4, plain: 'shown', secret: '***4' },
    ]);
    // Two columns change their names with each other, so that the old name is there still.
    await sql(`alter table rows rename secret to hidden; alter table rows rename plain to secret`);
    await sql(`insert into rows values (5, 'planted5', 'planted6')`);
    const halted = await waitForHalt();
    // Which of them was which is known, or not: the table has just changed.
    expect(halted.reason).toMatch(
      /"secret", whose values stay here, is now called "hidden"|whether it is "secret" under another name/,
    );
    expect(halted.cure).toMatch(/name "hidden" beside "secret" under mask/);
    expect(await said()).not.toContain('planted');
    expect(await world.service.stop()).toBe(0);

    await world.start({ config: config('mask: { secret: { last: 1 }, hidden: redact }', { extra }) });
    await receive(5);
    expect(bodies().at(-1)!.record).toEqual({ id: 5, secret: '***5', hidden: '***' });
    expect(await said()).not.toContain('planted');
  },
);
