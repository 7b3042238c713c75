// Generated types and schemas beside what the service delivers: every format, every type, with rules and without.
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { CREATE_ALL_TYPES, insertAllTypes } from '../../support/all-types.ts';
import { startCli } from '../../support/cli.ts';
import { endToEnd } from '../../support/end-to-end.ts';
import { compileMessages, readValidators, type TypedMessage } from '../../support/typed-messages.ts';
import { startWebhookServer, type WebhookServer } from '../../support/webhook-server.ts';
import { waitFor } from '../../support/wait.ts';

const world = endToEnd();

let server: WebhookServer;
beforeEach(async () => {
  server = await startWebhookServer();
  return () => server.stop();
});

/** These have the rows that are there before they are. */
const READING = ['sequin', 'debezium', 'wal2json', 'pg2sqs', 'events', 'ruled-tailrace'];

/** Every sink takes every table. */
const SINKS: Readonly<Record<string, string>> = {
  sequin: '',
  'sequin-split': 'key_changes: split\nactions: [insert, update, delete, truncate]',
  'sequin-forms':
    'values: { numeric: number, json: string, bytea: base64, interval: iso8601, timestamp_digits: as_needed, absent: null, unchanged: text }',
  'sequin-us': 'timestamp_format: unix_microsecond\nactions: [insert, delete]',
  tailrace: 'format: tailrace\nactions: [insert, update, delete, truncate]',
  pg2sqs: 'format: pg2sqs\ncommit_time_column: committed at',
  debezium: 'format: debezium\nactions: [insert, update, delete, truncate]',
  'debezium-strings':
    'format: debezium\nkey_changes: update\ndebezium: { time.precision.mode: isostring, decimal.handling.mode: string, interval.handling.mode: string, binary.handling.mode: hex, hstore.handling.mode: map }',
  'debezium-doubles':
    'format: debezium\ndebezium: { time.precision.mode: connect, decimal.handling.mode: double, "unavailable.value.placeholder": "hex:abcd" }',
  'debezium-nanos': 'format: debezium\ndebezium: { time.precision.mode: nanoseconds }',
  'debezium-row':
    'format: debezium\ndebezium: { unwrap: true, add.fields: "op,source.lsn,source.ts_ns:at,transaction.id,txId,schema" }',
  wal2json: 'format: wal2json\nactions: [insert, update, delete, truncate]',
  'wal2json-more':
    'format: wal2json\nwal2json: { include-xids: true, include-timestamp: true, include-lsn: true, include-pk: true, include-type-oids: true, include-typmod: false, numeric-data-types-as-string: true }',
  'wal2json-less': 'format: wal2json\nwal2json: { include-types: false, include-schemas: false }',
  events: 'format: cloudevents\nactions: [insert, update, delete, truncate]',
  'events-debezium':
    'format: cloudevents\ndata_format: debezium\ndebezium: { unwrap: true }\ncloudevents: { dataschema: "https://example.com/schema" }',
  'events-binary': 'format: cloudevents\ndata_format: pg2sqs\ncloudevents: { content_mode: binary }',
  records: 'transform: the-record',
  keys: 'transform: the-keys',
  people: 'transform: the-name',
};

/** Rules of their own, on the tables that have these columns. */
const RULES = `mask_key: a key of sixteen characters
tables:
  - name: public.people
    exclude_columns: [secret]
    rename: { name: "full name" }
    mask: { mail: email, card: { last: 4 }, phone: hash, pin: redact, note: "null" }
    flatten: { home: { depth: 1 }, more: true }
    add: { source: crm, version: 2, tags: [a, null], label: "\${row.name} of \${row.city}", was: "\${old.name:-nobody}", before: "\${old.id}", of: "\${meta.table}" }
  - name: public.documents
    columns: [body]
    rename: { body: text }
    add: { head: "\${row.body:-?}", whole: "\${row.body}" }
  - name: public.audited
    mask: { id: hash }`;

const RULED: Readonly<Record<string, string>> = {
  'ruled-sequin': RULES,
  'ruled-tailrace': `format: tailrace\nwhere_moves: convert\nwhere: id < 100\nroute_moves: ignore\n${RULES}`,
  'ruled-debezium': `format: debezium\n${RULES}`,
  'ruled-rows': `format: debezium\ndebezium: { unwrap: true }\n${RULES}`,
  'ruled-pg2sqs': `format: pg2sqs\n${RULES}`,
};

const FUNCTIONS = `functions:
  - { name: the-record, type: path, path: record }
  - { name: the-keys, type: path, path: metadata.record_pks }
  - { name: the-name, type: path, path: changes.name }`;

const TABLES = ['all_types', 'people', 'documents', 'audited', 'parted', 'indexed', 'computed', 'odd'];

const SCHEMA = `${CREATE_ALL_TYPES};
  create type street as (name text, number int, geo point);
  create type place as (street street, city text, more jsonb);
  create table people (id bigint primary key, name text not null, mail text, card text, phone text, pin int, note text, city text,
    secret text, home place, more jsonb, homes place[]);
  create table documents (id int primary key, body text not null, tags text[], data bytea, big numeric, feeling mood, h hstore);
  alter table documents alter body set storage external, alter tags set storage external, alter data set storage external,
    alter h set storage external;
  create table audited (id int primary key, body text, n int not null);
  alter table audited alter body set storage external, replica identity full;
  create table parted (id int, region text, body text, primary key (id, region)) partition by list (region);
  create table parted_eu partition of parted for values in ('eu');
  create table parted_us partition of parted for values in ('us');
  alter table parted_us replica identity full;
  create table indexed (id int, code varchar(3) not null, body text);
  create unique index indexed_code on indexed (code);
  alter table indexed replica identity using index indexed_code;
  create table computed (id int primary key, twice int generated always as (id * 2) stored, at timestamptz not null default now());
  create type "it's */ a ""type""" as enum ('it''s', '"', '\\', '😀', '*/', '\${x}', '');
  create domain whole as int; create domain number_of as whole check (value > 0); create domain document as jsonb;
  create type _digit as enum ('1', '2');
  create type part as (number number_of, more document[], digit _digit);
  create domain some_part as part;
  create table odd (id int primary key, constructor text, "__proto__" text, "a*/b" int, "🙂" text, "q""q" "it's */ a ""type""",
    "new
line" text, "\${x}" text, "1" text, "default" int, "class" bool, "with-dash" text, number number_of default 1,
    more_documents document[] default array['{"a": null}', null]::document[], digits _digit[] not null default '{1,NULL}', part part default row(1, null, '2'),
    parts part[] default array[null, row(null, array['[]']::document[], '1')]::part[], some_part some_part, "" text);`.replace(
  ', "" text)',
  ')',
);

const ROWS = `
  insert into people values (1, 'Ann', 'ann@example.com', '1234567890', '1', 7, 'n', 'Bath', 's', row(row('High St', 1, '(1,2)'), 'Bath', '{"a": {"b": 1}}'), '{"a": 1, "b": {"c": null}}',
    array[row(null, 'x', null)]::place[]), (2, 'Bob', null, null, null, null, null, null, null, null, '[1]', null), (3, 'Cy', 'x', '', '', 0, '', '', '', row(null, null, null), '{}', '{}');
  insert into documents values (1, repeat('x', 5000), array[repeat('y', 5000)], decode(repeat('ab', 5000), 'hex'), 1.5, 'ok', hstore('k', repeat('z', 5000))), (2, 'short', null, null, 'NaN', null, null);
  insert into audited values (1, repeat('x', 5000), 1), (2, null, 2);
  insert into parted values (1, 'eu', 'e'), (2, 'us', null);
  insert into indexed values (1, 'a', 'b'), (null, 'b', null);
  insert into computed values (1), (2);
  insert into odd values (1, 'c', 'p', 1, 'smile', '😀', 'l', 'x', 'one', 1, true, 'd'), (2, null, null, null, null, '\\', null, null, null, null, null, null);`;

const CHANGES = `
  update all_types set int4 = 5 where id = 1; update all_types set id = 10 where id = 2; delete from all_types where id = 10;
  update people set name = 'Anna' where id = 1; update people set id = 20 where id = 2; update people set id = 200 where id = 20;
  delete from people where id = 3; update people set note = null where id = 200;
  update documents set big = 2, feeling = 'so so' where id = 1; update documents set id = 10 where id = 1; delete from documents where id = 10;
  update audited set n = 3; update audited set id = 10 where id = 1; delete from audited where id = 2;
  update parted set body = 'changed'; update parted set region = 'us' where id = 1; delete from parted where id = 2;
  update indexed set body = 'c'; update indexed set code = 'z' where code = 'a'; delete from indexed where code = 'b';
  update computed set at = now(); delete from computed where id = 2;
  update odd set "q""q" = '"' where id = 1; delete from odd where id = 2;
  truncate audited; truncate parted; truncate computed;`;

const all = { ...SINKS, ...RULED };

const config = () =>
  world.config({
    sinks: Object.entries(all).map(([name, extra]) => ({
      name,
      tables: TABLES,
      extra: READING.includes(name) ? `initial_backfill: true\n${extra}` : extra,
      to: `type: webhook\nurl: ${server.url}/${name}\nbatch: false\nhttp_endpoint_path: "/\${meta.table}"`,
    })),
  }) + FUNCTIONS;

/** What came, once every sink has had everything: only then may Postgres forget it. */
async function deliver(): Promise<readonly TypedMessage[]> {
  const { client, name } = world.database;
  await client.query(SCHEMA);
  await insertAllTypes(client);
  await client.query(ROWS);
  await world.start({ config: config() });
  await waitFor(() => server.requests.length >= READING.length * 16, 'the rows that were there', 90_000);
  await client.query(TABLES.map((table) => `delete from ${table};`).join(' '));
  await insertAllTypes(client);
  await client.query(ROWS);
  await client.query(CHANGES);
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn');
  const isConfirmed = async (): Promise<boolean> => {
    const slots = await client.query<{ confirmed: boolean }>(
      'select confirmed_flush_lsn >= $1 as confirmed from pg_replication_slots where slot_name = $2',
      [rows[0]!.lsn, name],
    );
    return slots.rows[0]!.confirmed;
  };
  await waitFor(isConfirmed, 'everything to be delivered', 90_000);
  return server.requests.map(({ path, body }) => ({
    module: path.slice(1).replace('/', '/public.'),
    text: body,
  }));
}

/** Members whose value may be any JSON. */
const OPEN = /^(?:json|jsonb|more|more_\w+|home_more|annotations|transaction_annotations)$/;
/** Objects that take any member. */
const MAPS = /^(?:h|hstore)$/;

type Path = readonly (string | number)[];

/** The places at which a mistake can be made. */
function* placesIn(value: unknown, path: Path = []): Generator<Path> {
  if (OPEN.test(path.findLast((step) => typeof step === 'string') ?? '')) return;
  yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, each] of Object.entries(value))
    yield* placesIn(each, [...path, Array.isArray(value) ? Number(key) : key]);
}

/** With one value of another type, or one member too many; undefined: any member may stand there. */
function spoilt(message: unknown, path: Path): unknown {
  const [step, ...rest] = path;
  if (step !== undefined) {
    const inner = spoilt((message as Record<string, unknown>)[step], rest);
    if (inner === undefined || (rest.length === 0 && MAPS.test(String(step)))) return undefined;
    if (Array.isArray(message)) return (message as unknown[]).with(step as number, inner);
    return Object.fromEntries(
      Object.entries(message as object).map(([key, each]) => [key, key === step ? inner : each]),
    );
  }
  if (Array.isArray(message)) return [...(message as unknown[]), { unheard_of: 1 }];
  return typeof message === 'object' && message !== null ? { ...message, unheard_of: 1 } : { unheard_of: 1 };
}

/** Every mistake that can be made, each once a module. */
function mistakesIn(messages: readonly TypedMessage[]): readonly TypedMessage[] {
  const seen = new Set<string>();
  return messages.flatMap(({ module, text }) => {
    const message = JSON.parse(text) as unknown;
    return [...placesIn(message)].flatMap((path): TypedMessage[] => {
      const place = JSON.stringify([module, path]);
      const wrong = seen.has(place) ? undefined : spoilt(message, path);
      seen.add(place);
      return wrong === undefined ? [] : [{ module, text: JSON.stringify(wrong) }];
    });
  });
}

test('every message that the service delivers is of the types and the schema of its sink and table, and what is spoilt is not', async () => {
  const messages = await deliver();
  const out = join(world.directory, 'types');
  const cli = startCli(['types', '--out', out], { cwd: world.directory });
  expect({ code: await cli.code, stderr: cli.stderr() }).toEqual({ code: 0, stderr: '' });

  const validators = readValidators(out);
  const refused = messages.flatMap(({ module, text }) => {
    const validate = validators.get(module)!;
    return validate(JSON.parse(text)) ? [] : [{ module, text, errors: validate.errors?.slice(0, 3) }];
  });
  expect(refused.slice(0, 5)).toEqual([]);

  const wrong = mistakesIn(messages);
  // This validator looks at no member of that name: https://github.com/ajv-validator/ajv/blob/v8.17.1/lib/vocabularies/code.ts
  const seen = wrong.filter(({ text }) => !text.includes('"__proto__":{'));
  const accepted = seen.filter(({ module, text }) => validators.get(module)!(JSON.parse(text)));
  expect(accepted.slice(0, 5)).toEqual([]);
  expect(wrong.length).toBeGreaterThan(5_000);
  // The compiler takes longer for what is wrong.
  const asked = wrong.filter((_, i) => i % 40 === 0);
  expect(await compileMessages(out, messages, asked)).toBe('');
}, 240_000);
