// Rows through column rules and formats where such rules are known to go wrong: members that are NULL, large values that did not change,
// tables that change, rows that a backfill reads, keys of several columns, types with odd names.
import { createHmac } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();
vi.setConfig({ testTimeout: 300_000 });

const KEY = 'a key of sixteen characters';
const hashOf = (text: string): string => createHmac('sha256', KEY).update(text).digest('hex');
const sql = (text: string, values?: unknown[]) => world.database.client.query(text, values);

type Body = {
  readonly action: string;
  readonly record: Record<string, unknown>;
  readonly changes: Record<string, unknown> | null;
  readonly metadata: Record<string, unknown>;
};

const messagesOf = (queue: string) => world.recorder.messagesOf(`${queue}.fifo`);
const bodiesOf = (queue: string): Body[] => messagesOf(queue).map(({ body }) => JSON.parse(body) as Body);
const recordsOf = (queue: string, table: string) =>
  bodiesOf(queue)
    .filter(({ metadata }) => metadata['table_name'] === table)
    .map(({ record }) => record);
const receive = (queue: string, count: number) =>
  waitFor(() => messagesOf(queue).length >= count, `${count} messages in ${queue}`);

/** `rules`: of each table, as YAML in one line. */
const sink = (name: string, rules: Readonly<Record<string, string>>, extra = '') => ({
  name,
  queue: `${name}.fifo`,
  tables: Object.keys(rules),
  extra: `mask_key: "${KEY}"\ntables: [${Object.entries(rules)
    .map(([table, rule]) => `{ name: public.${table}, ${rule} }`)
    .join(', ')}]\n${extra}`,
});

test('a flattened document loses nothing behind a member that is NULL, and what is none stays whole', async () => {
  await sql(`create table docs (id int primary key, doc jsonb, list jsonb[]);
    create type spot as (city text, "Geo" jsonb); create table places (id int primary key, at spot)`);
  const rules = {
    docs: 'flatten: { doc: true }, rename: { doc: d }',
    places: 'flatten: { at: { separator: "." } }',
  };
  await world.start({ config: world.config({ sinks: [sink('docs', rules)] }) });
  const documents = [
    '{"a": {"d": "D", "b": null, "c": "C"}, "e": null, "f": [], "g": {}, "h": [null, {"i": null}], "doc": 1, "d": 2}',
    '{"n": 12345678901234567890.10, "x": {}}',
    '[{"a": 1}]',
    '"text"',
    'null',
    '{"": {"": 1}}',
    null,
  ];
  for (const [id, document] of documents.entries())
    await sql('insert into docs values ($1, $2::text::jsonb)', [id, document]);
  await sql(
    `insert into docs values (7, null, array['{"a": [{"b": "\\"q\\", {}"}]}', null, '[]', '"x"']::jsonb[])`,
  );
  await sql(
    `insert into places values (1, row('Ulm', '{"lat": 1.50, "of": {"x": null}}')), (2, row(null, null)), (3, null)`,
  );
  await receive('docs', documents.length + 4);
  expect(recordsOf('docs', 'docs')).toEqual([
    {
      id: 0,
      d_a_b: null,
      d_a_c: 'C',
      d_a_d: 'D',
      d_d: 2,
      d_e: null,
      d_f: [],
      d_g: {},
      d_h: [null, { i: null }],
      d_doc: 1,
      list: null,
    },
    { id: 1, d_n: Number('12345678901234567890.1'), d_x: {}, list: null },
    { id: 2, d: [{ a: 1 }], list: null },
    { id: 3, d: 'text', list: null },
    { id: 4, d: null, list: null },
    { id: 5, d__: 1, list: null },
    { id: 6, d: null, list: null },
    { id: 7, d: null, list: [{ a: [{ b: '"q", {}' }] }, null, [], 'x'] },
  ]);
  expect(messagesOf('docs')[1]!.body).toContain('"d_n":12345678901234567890.10,');
  expect(recordsOf('docs', 'places')).toEqual([
    { id: 1, 'at.city': 'Ulm', 'at.Geo.lat': 1.5, 'at.Geo.of.x': null },
    { id: 2, 'at.city': null, 'at.Geo': null },
    { id: 3, at: null },
  ]);
});

test('a large value that did not change is flattened, hashed and told as the old row has it; without one it is absent and named', async () => {
  for (const table of ['full_rows', 'key_rows'])
    await sql(`create table ${table} (id int primary key, n int, doc jsonb, secret text)`);
  await sql(`alter table full_rows replica identity full`);
  const rule =
    'flatten: { doc: { depth: 1 } }, mask: { secret: hash }, add: { label: "${row.n}/${row.secret}", sure: "${row.secret:-none}" }';
  await world.start({
    config: world.config({ sinks: [sink('rows', { full_rows: rule, key_rows: rule })] }),
  });
  const big = Array.from({ length: 300 }, (_, i) => hashOf(String(i))).join('');
  const document = JSON.stringify({ big, nested: { small: null } });
  for (const table of ['full_rows', 'key_rows']) {
    await sql(`insert into ${table} values (1, 1, $1, $2)`, [document, big]);
    await sql(`update ${table} set n = 2`);
    await sql(`delete from ${table}`);
  }
  await receive('rows', 6);
  const hash = hashOf(big);
  const whole = (n: number) => ({
    id: 1,
    n,
    doc_big: big,
    doc_nested: { small: null },
    secret: hash,
    label: `${n}/${hash}`,
    sure: hash,
  });
  expect(recordsOf('rows', 'full_rows')).toEqual([whole(1), whole(2), whole(2)]);
  expect(recordsOf('rows', 'key_rows')).toEqual([
    whole(1),
    { id: 1, n: 2, sure: 'none' },
    { id: 1, sure: 'none' },
  ]);
  const update = bodiesOf('rows').find(
    ({ action, metadata }) => action === 'update' && metadata['table_name'] === 'key_rows',
  );
  expect(update!.metadata['unchanged_columns']).toEqual(['doc', 'secret']);
});

test('masked and excluded columns stay so while the table changes, also in rows that a backfill reads, and keys of several columns stay apart', async () => {
  await sql(`create table people (id int, tenant text, mail text, secret text, primary key (tenant, id));
    alter table people replica identity full;
    insert into people values (1, 'planted-a', 'xy@y.z', 'planted'), (1, 'planted-b', 'xy@y.z', 'planted')`);
  const rules = {
    people: 'exclude_columns: [secret, later], mask: { tenant: hash, mail: email, soon: redact }',
  };
  await world.start({
    config: world.config({ sinks: [sink('people', rules, 'initial_backfill: true')] }),
  });
  await receive('people', 2);
  await sql(`update people set mail = 'vw@y.z'`);
  await sql(
    `alter table people add later text default 'planted', add soon text default 'planted', add other text default 'shown'`,
  );
  await sql(`insert into people values (2, 'planted-a', null, 'planted')`);
  await sql(`alter table people drop secret, alter mail type varchar(50)`);
  await sql(`update people set soon = 'planted2', later = 'planted3' where id = 2`);
  await sql(`alter table people drop tenant`);
  await sql(`insert into people (id, soon) values (3, 'planted')`);
  await receive('people', 7);
  const [a, b] = [hashOf('planted-a'), hashOf('planted-b')];
  const bodies = bodiesOf('people');
  const first = (action: string, tenant: string) =>
    bodies.find((body) => body.action === action && body.record['tenant'] === tenant)!;
  for (const tenant of [a, b]) {
    expect(first('read', tenant).record).toEqual({ id: 1, tenant, mail: 'x***@y.z' });
    expect(first('update', tenant)).toMatchObject({
      record: { id: 1, tenant, mail: 'v***@y.z' },
      changes: { mail: 'x***@y.z' },
    });
  }
  const later = bodies.filter(({ record }) => record['id'] !== 1);
  expect(later.map(({ record }) => record)).toEqual([
    { id: 2, tenant: a, mail: null, soon: '***', other: 'shown' },
    { id: 2, tenant: a, mail: null, soon: '***', other: 'shown' },
    { id: 3, mail: null, soon: '***', other: 'shown' },
  ]);
  expect(JSON.stringify(messagesOf('people'))).not.toContain('planted');
  const groups = messagesOf('people')
    .filter(({ body }) => (JSON.parse(body) as Body).record['id'] === 1)
    .map(({ group }) => group)
    // Under FULL the table is one group until its key is proven.
    .filter((group) => group !== 'public.people');
  expect(new Set(groups)).toEqual(new Set([`public.people:${a}:1`, `public.people:${b}:1`]));
});

test('types with odd names and numbers that JSON lacks come out as JSON in wal2json and in unwrapped rows of debezium', async () => {
  await sql(`create type "MOOD" as enum ('happy "x"', 'sad'); create type "we""ird, type" as enum ('a');
    create table odd (id int primary key, mood "MOOD", weird "we""ird, type", n numeric, f float8, moods "MOOD"[])`);
  const unwrapped = `format: debezium
debezium: { unwrap: true, delete.tombstone.handling.mode: rewrite, add.fields: op, decimal.handling.mode: string }
tables: [{ name: public.odd, rename: { n: number }, add: { label: "\${row.id}" } }]`;
  await world.start({
    config: world.config({
      sinks: [
        { name: 'listed', queue: 'listed.fifo', tables: ['odd'], extra: 'format: wal2json' },
        { name: 'rows', queue: 'rows.fifo', tables: ['odd'], extra: unwrapped },
      ],
    }),
  });
  await sql(`insert into odd values (1, 'happy "x"', 'a', 'NaN', 'Infinity', '{sad,NULL}')`);
  await sql(`delete from odd`);
  await receive('listed', 2);
  await receive('rows', 2);
  const [inserted, deleted] = messagesOf('listed').map(({ body }) => JSON.parse(body) as object);
  expect(inserted).toMatchObject({
    action: 'I',
    columns: [
      { name: 'id', type: 'integer', value: 1 },
      { name: 'mood', type: 'MOOD', value: 'happy "x"' },
      { name: 'weird', type: '"we""ird, type"', value: 'a' },
      { name: 'n', type: 'numeric', value: null },
      { name: 'f', type: 'double precision', value: null },
      { name: 'moods', value: '{sad,NULL}' },
    ],
  });
  expect(deleted).toMatchObject({ action: 'D', identity: [{ name: 'id', type: 'integer', value: 1 }] });
  const rows = messagesOf('rows').map(({ body }) => JSON.parse(body) as object);
  expect(rows).toEqual([
    expect.objectContaining({
      id: 1,
      mood: 'happy "x"',
      number: 'NAN',
      label: '1',
      __op: 'c',
      __deleted: 'false',
    }),
    expect.objectContaining({ id: 1, label: '1', __op: 'd', __deleted: 'true' }),
  ]);
});
