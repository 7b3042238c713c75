// Column rules beside the tables as they are: what would halt a sink is found before a row comes, and the cure cures.
import { expect, onTestFinished, test } from 'vitest';
import { tablePattern } from '../../../../src/core/selection.ts';
import { formats } from '../../../../src/formats/registry.ts';
import { NO_RULES, type ColumnRules } from '../../../../src/functions/columns/rules.ts';
import { inspectMessages } from '../../../../src/pipeline/intake/columns/inspection.ts';
import type { SinkSettings } from '../../../../src/pipeline/settings.ts';
import { namesOf } from '../../../../src/pipeline/source/wanted-names.ts';
import { inspectDatabase } from '../../../../src/postgres/preflight/wanted.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { createTestDatabase } from '../../../support/postgres.ts';

const PLACE = 'tailrace.yaml:8:9  sinks[items].tables[public.items]';

test('rules are held against the tables, partitions too, and what they need is said with the SQL', async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  await database.client.query(`
    create type place as (city text, zip int);
    create domain checked as jsonb check (value is not null);
    create table items (id int primary key, price numeric, doc checked, at place, note text);
    create table parted (id int primary key, price numeric) partition by range (id);
    create table parted_1 partition of parted for values from (0) to (10)`);
  const settings = databaseSettings(database);
  const sinkWith = (rules: Partial<ColumnRules>, table = 'items') =>
    ({
      name: 'items',
      database: settings.name,
      selection: { includeTables: [tablePattern({ schema: 'public', table })] },
      tables: [
        {
          pattern: tablePattern({ schema: 'public', table }),
          rules: { place: PLACE, ...NO_RULES, ...rules },
        },
      ],
      actions: ['insert', 'update', 'delete'],
      format: 'sequin',
      values: formats.sequin.values,
      messageGrouping: true,
      backfill: {},
      destination: { type: 'sqs', config: { queue_name: 'items.fifo', tables: {} } },
    }) as unknown as SinkSettings;
  const inspected = (rules: Partial<ColumnRules>, table?: string) =>
    inspectMessages(settings, [sinkWith(rules, table)]);
  const whole = { separator: '_', depth: 1 };
  const flatten = new Map([
    ['doc', whole],
    ['at', whole],
  ]);
  expect(await inspected({ flatten, exclude: ['note'] })).toMatchObject([{ ok: true }]);
  expect(await inspected({ flatten: new Map([['note', whole]]) })).toMatchObject([
    { ok: false, severity: 'error', code: 'COLUMN_RULES_UNUSABLE', detail: expect.stringContaining(PLACE) },
  ]);
  expect(await inspected({ exclude: ['id'] })).toMatchObject([{ code: 'COLUMN_RULES_UNUSABLE' }]);
  expect(await inspected({ mask: new Map([['id', { kind: 'redact' }]]) })).toMatchObject([
    { code: 'MASK_KEY_MISSING', cure: 'give the sink a `mask_key`' },
  ]);

  // Names that the table does not have come with the nearest.
  const named = sinkWith({ mask: new Map([['prise', { kind: 'redact' }]]), exclude: ['nte'] });
  const { names } = await inspectDatabase(settings, [namesOf(named)]);
  expect(names.map(({ code, detail }) => `${code} ${detail}`)).toEqual([
    'COLUMN_MISSING exclude_columns names the column "nte", which table "public.items" does not have; did you mean "note"?',
    'COLUMN_MISSING mask names the column "prise", which table "public.items" does not have; did you mean "price"?',
  ]);

  const onlyWhenChanged = { columns: ['price'], whenUnknown: 'refuse' } as const;
  for (const table of ['items', 'parted']) {
    const [finding] = await inspected({ onlyWhenChanged }, table);
    expect(finding).toMatchObject({ ok: false, code: 'CHANGES_UNTOLD' });
    await database.client.query(/^ALTER TABLE [^;]*;/.exec(finding!.cure!)![0]);
    expect(await inspected({ onlyWhenChanged }, table)).toMatchObject([{ ok: true }]);
  }
  // A sink without rules asks nobody.
  expect(await inspectMessages({ ...settings, hosts: [] }, [])).toEqual([]);
});

test('formats are held against the tables: a column that is called like what a format puts beside the row is found before one comes', async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  await database.client.query(`
    create table kinds (id int primary key, kind text);
    create table unwrapped (id int primary key, __deleted bool);
    create table plain (id int primary key, note text);
    create table unsent (id int primary key, kind text generated always as ('x') stored)`);
  const settings = databaseSettings(database);
  const found = async (tables: readonly string[], format: object, destination: object = {}) => {
    const sink = {
      name: 'all',
      database: settings.name,
      selection: { includeTables: tables.map((table) => tablePattern({ schema: 'public', table })) },
      tables: [],
      actions: ['insert', 'update', 'delete'],
      values: formats.sequin.values,
      messageGrouping: true,
      backfill: {},
      destination: { type: 'sqs', config: { queue_name: 'all.fifo', tables: {}, ...destination } },
      ...format,
    } as unknown as SinkSettings;
    return (await inspectMessages(settings, [sink])).map(({ ok, code, title }) => [ok, code, title]);
  };
  const clash = (table: string) => [false, 'COLUMN_CLASH', `messages of sink "all" for public.${table}`];
  const all = ['kinds', 'unwrapped', 'plain'];
  const fits = [true, expect.anything(), 'messages'];
  expect(await found(all, { format: 'pg2sqs', formatOptions: {} })).toEqual([clash('kinds')]);
  // With queues of their own for each action nothing says which it was.
  const apart = { update: { queue_name: 'u.fifo' }, delete: { queue_name: 'd.fifo' } };
  expect(await found(all, { format: 'pg2sqs', formatOptions: {} }, apart)).toEqual([fits]);
  // What the table takes counts, with all that comes out beside it.
  const pattern = tablePattern({ schema: 'public', table: 'kinds' });
  const inserts = { format: 'pg2sqs', formatOptions: {}, tables: [{ pattern, actions: ['insert'] }] };
  expect(await found(['kinds'], inserts)).toEqual([clash('kinds')]);
  const beside = { insert: { queue_name: 'i.fifo' } };
  expect(await found(['kinds'], inserts, beside)).toEqual([fits]);
  const unwrap = formats.debezium.options!.parse({ debezium: { unwrap: true } });
  expect(await found(all, { format: 'debezium', formatOptions: unwrap })).toEqual([clash('unwrapped')]);
  const inside = { data: { format: 'pg2sqs', options: {} } };
  expect(await found(all, { format: 'cloudevents', formatOptions: inside })).toEqual([clash('kinds')]);
  expect(await found(['plain'], { format: 'debezium', formatOptions: unwrap })).toEqual([fits]);
  // Of a column that is not sent there is no message.
  expect(await found(['unsent'], { format: 'pg2sqs', formatOptions: {} })).toEqual([fits]);
  // The envelope of this one has a place for every column.
  expect(await found(all, { format: 'sequin' })).toEqual([]);
});
