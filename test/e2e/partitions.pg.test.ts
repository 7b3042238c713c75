// Partitions, end to end: read under their root's name or under their own, whatever the publication says; attached, detached, emptied, dropped.
import { expect, test } from 'vitest';
import { PARTITIONS_GENERATE_ALIKE } from '../../src/postgres/versions.ts';
import { serverVersion } from '../support/database-settings.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { runCommand } from '../support/operator.ts';
import { saidBy } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd({ createMissing: true });

const QUICK = 'refresh_interval: 100ms';
const ALL = 'actions: [insert, update, delete, truncate]';

const sql = (text: string) => world.database.client.query(text);
type Message = ChangeMessage & {
  readonly metadata: { readonly partition?: { readonly table_name: string } };
};

const messages = (queue: string): Message[] =>
  world.recorder.messagesOf(queue).map(({ body }) => JSON.parse(body) as Message);
/** `table action id` of what arrived there, in order; of a truncate the partition that it names. */
const arrived = (queue: string): string[] =>
  messages(queue).map(({ action, record, metadata }) =>
    `${metadata.table_name} ${action} ${(record['id'] as number | undefined) ?? metadata.partition?.table_name ?? ''}`.trim(),
  );
const receive = (queue: string, ...expected: readonly string[]): Promise<unknown> =>
  waitFor(
    () => expected.every((text) => arrived(queue).includes(text)),
    `${expected.join(', ')} in ${queue}`,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; there were ${arrived(queue).join(', ')}`);
  });
const status = async () => (await world.service.health()).databases[0]!;
const gaps = async () => (await status()).gaps;

/** Sinks by queue, each with its `source`. */
async function start(sinks: Readonly<Record<string, string>>, extra = ALL): Promise<void> {
  await world.start({ config: configOf(sinks, extra) });
  // A new sink begins at the log's end.
  await waitFor(async () => {
    const { sinks } = await world.service.health();
    return sinks.every(({ state }) => state !== 'starting');
  }, 'the sinks to begin');
}
const configOf = (sinks: Readonly<Record<string, string>>, extra = ALL): string =>
  world.config({
    publication: QUICK,
    sinks: Object.entries(sinks).map(([name, source]) => ({
      name,
      queue: `${name}.fifo`,
      tables: [],
      source,
      extra,
    })),
  });

const EVENTS = `
  create table ev (id int primary key, note text) partition by range (id);
  create table ev1 partition of ev for values from (0) to (100);
  create table ev2 partition of ev for values from (100) to (200)`;

const published = (table: string): Promise<unknown> =>
  waitFor(async () => {
    const { rowCount } = await sql(
      `select from pg_publication_rel r join pg_class c on c.oid = r.prrelid where c.relname = '${table}'`,
    );
    return rowCount === 1;
  }, `${table} to be published`);

test('a sink on the root reads every partition under its name, a sink on a partition that one under its own (C089)', async () => {
  await sql(EVENTS);
  await start({
    root: '{ include_tables: [ev] }',
    leaf: '{ include_tables: [ev1] }',
    both: '{ include_tables: [ev, ev1] }',
  });
  await sql(`insert into ev values (1, 'a'), (101, 'b'); update ev set note = 'c' where id = 1`);
  await sql('update ev set id = 102 where id = 1; delete from ev where id = 101');
  await sql(
    `create table ev3 partition of ev for values from (200) to (300); insert into ev values (201, 'd')`,
  );
  const all = [
    'ev insert 1',
    'ev insert 101',
    'ev update 1',
    'ev delete 1',
    'ev insert 102',
    'ev delete 101',
    'ev insert 201',
  ];
  await receive('root.fifo', ...all);
  await receive('both.fifo', ...all);
  await receive('leaf.fifo', 'ev1 insert 1', 'ev1 update 1', 'ev1 delete 1');
  expect(arrived('root.fifo')).toHaveLength(all.length);
  expect(arrived('both.fifo')).toHaveLength(all.length);
  expect(arrived('leaf.fifo')).toHaveLength(3);
  // A group is the root's, whichever partition a row is in.
  const groups = world.recorder.messagesOf('root.fifo').map(({ group }) => group);
  expect(new Set(groups)).toEqual(
    new Set(['public.ev:1', 'public.ev:101', 'public.ev:102', 'public.ev:201']),
  );
  const { rows } = await sql('select pubviaroot as via from pg_publication');
  expect(rows).toEqual([{ via: false }]);
});

test('a sink on a partition goes on when a sink on its root comes to it', async () => {
  await sql(EVENTS);
  await start({ leaf: '{ include_tables: [ev1] }' });
  await sql(`insert into ev values (1, 'a')`);
  await receive('leaf.fifo', 'ev1 insert 1');
  await world.service.stop();
  await start({ leaf: '{ include_tables: [ev1] }', root: '{ include_tables: [ev] }' });
  await published('ev');
  await sql(`insert into ev values (2, 'b'), (102, 'b')`);
  await receive('leaf.fifo', 'ev1 insert 2');
  await receive('root.fifo', 'ev insert 2', 'ev insert 102');
  expect(await gaps()).toEqual([]);
});

test('partitions are taken by patterns as tables are, under the highest name that a sink takes', async () => {
  await sql(
    `${EVENTS}; create schema parts; create table parts.ev_low partition of ev for values from (200) to (300)`,
  );
  await start({
    everything: '{ exclude_tables: [other] }',
    pattern: '{ include_tables: ["ev*"] }',
    leaves: '{ include_tables: ["public.ev?*"] }'.replace('?', ''),
    schema: '{ include_schemas: [parts] }',
    without: '{ exclude_tables: [ev] }',
    named: '{ include_tables: ["*.*", "parts.ev_low"], exclude_tables: ["public.*"] }',
  });
  await sql(`insert into ev values (1, 'a'), (201, 'b')`);
  await receive('everything.fifo', 'ev insert 1', 'ev insert 201');
  await receive('pattern.fifo', 'ev insert 1', 'ev insert 201');
  await receive('schema.fifo', 'ev_low insert 201');
  await receive('named.fifo', 'ev_low insert 201');
  expect(arrived('without.fifo')).toEqual([]);
  expect(arrived('everything.fifo')).toHaveLength(2);
});

test('a TRUNCATE of a partition is never one of its root: it names the partition (C093)', async () => {
  await sql(`${EVENTS}; insert into ev values (1, 'a'), (101, 'b')`);
  await start({ root: '{ include_tables: [ev] }', leaf: '{ include_tables: [ev1] }' });
  await sql('truncate ev1');
  await sql(`insert into ev values (2, 'c')`);
  await receive('root.fifo', 'ev truncate ev1', 'ev insert 2');
  await receive('leaf.fifo', 'ev1 truncate', 'ev1 insert 2');
  await sql('truncate ev');
  await receive('root.fifo', 'ev truncate ev2');
  expect(arrived('root.fifo')).toEqual([
    'ev truncate ev1',
    'ev insert 2',
    'ev truncate ev1',
    'ev truncate ev2',
  ]);
  expect(messages('root.fifo')[0]!.metadata).toMatchObject({
    table_schema: 'public',
    table_name: 'ev',
    partition: { table_schema: 'public', table_name: 'ev1' },
  });
});

test('a format that has no words for a partition makes a dead letter of its TRUNCATE, and goes on', async () => {
  await sql(EVENTS);
  await start({ root: '{ include_tables: [ev] }' }, `${ALL}\nformat: pg2sqs`);
  await sql(`truncate ev1; insert into ev values (1, 'a')`);
  await waitFor(() => world.recorder.messagesOf('root.fifo').length === 1, 'the insert');
  const letters = async () => (await world.service.health()).sinks[0]!.deadLetters;
  await waitFor(async () => (await letters()) === 1, 'the dead letter');
  const { stdout } = await runCommand(world.service, 'dead-letters', 'list', 'root');
  expect(stdout).toContain('NOT_REPRESENTABLE');
  expect(stdout).toContain('truncate of public.ev1 alone, a partition of public.ev');
});

test.each([
  ['that lists the root', 'for table ev'],
  ['of all tables', 'for all tables'],
  ['that lists the partitions', 'for table ev1, ev2'],
])(
  'in somebody’s publication %s a sink on the root reads every partition under its name',
  async (_, list) => {
    await sql(`${EVENTS}; create publication ${world.database.name} ${list}`);
    await start({ root: '{ include_tables: [ev] }', leaf: '{ include_tables: [ev2] }' });
    await sql(`insert into ev values (1, 'a'), (101, 'b')`);
    await receive('root.fifo', 'ev insert 1', 'ev insert 101');
    await receive('leaf.fifo', 'ev2 insert 101');
    expect((await status()).warnings).toEqual([]);
  },
);

test('a partition that is published alone keeps its name, unless its root is asked for', async () => {
  await sql(`${EVENTS}; create publication ${world.database.name} for table ev1`);
  await start({ open: '{}', root: '{ include_tables: [ev] }' });
  await sql(`insert into ev values (1, 'a'), (101, 'b')`);
  await receive('open.fifo', 'ev1 insert 1');
  await receive('root.fifo', 'ev insert 1');
  const { warnings } = await status();
  expect(warnings.join()).toContain('does not carry all of its partitions');
  // The cure that is printed cures.
  const cure = /ALTER PUBLICATION .*? ADD TABLE .*?;/.exec(warnings.join())![0];
  await sql(cure);
  await waitFor(async () => (await status()).warnings.length === 0, 'the warning to go');
  await sql(`insert into ev values (102, 'c')`);
  await receive('root.fifo', 'ev insert 102');
});

test('in somebody’s publication with publish_via_partition_root a sink on a partition is a fault, with a cure that cures', async () => {
  await sql(
    `${EVENTS}; create publication ${world.database.name} for table ev with (publish_via_partition_root = true)`,
  );
  const config = configOf({ leaf: '{ include_tables: [ev1] }', root: '{ include_tables: [ev] }' });
  const service = world.launch({ config });
  await service.ended;
  const cure = `ALTER PUBLICATION "${world.database.name}" SET (publish_via_partition_root = false);`;
  const said = saidBy(service);
  expect(said).toContain('sends the rows of partitions under the name of their root');
  expect(said).toContain(cure);
  await sql(cure);
  await world.start({ config });
  await sql(`insert into ev values (1, 'a'), (101, 'b')`);
  await receive('leaf.fifo', 'ev1 insert 1');
  await receive('root.fifo', 'ev insert 1', 'ev insert 101');
});

test('a publication of ours that an older version made with publish_via_partition_root is altered, and nothing is lost or declared', async () => {
  const { name } = world.database;
  const sinks = { root: '{ include_tables: [ev] }' };
  await sql(`${EVENTS}; create publication ${name} for table ev with (publish_via_partition_root = true)`);
  await start(sinks);
  await sql(`insert into ev values (1, 'a')`);
  await receive('root.fifo', 'ev insert 1');
  await world.service.stop();
  // What is written meanwhile comes under the root's id, too.
  await sql(`comment on publication ${name} is 'kept by Tailrace'; insert into ev values (2, 'b')`);
  await start({ ...sinks, leaf: '{ include_tables: [ev1] }' });
  const isViaRoot = async () =>
    ((await sql('select pubviaroot as via from pg_publication')).rows as { via: boolean }[])[0]!.via;
  await waitFor(async () => !(await isViaRoot()), 'the publication to be altered');
  await sql(`insert into ev values (3, 'c'), (101, 'd'); delete from ev where id = 2`);
  await receive('leaf.fifo', 'ev1 insert 3');
  await receive('root.fifo', 'ev insert 101', 'ev delete 2');
  expect(arrived('root.fifo')).toEqual([
    'ev insert 1',
    'ev insert 2',
    'ev insert 3',
    'ev insert 101',
    'ev delete 2',
  ]);
  expect(await gaps()).toEqual([]);
  await world.service.stop();
  await start({ ...sinks, leaf: '{ include_tables: [ev1] }' });
  await sql(`insert into ev values (4, 'e')`);
  await receive('root.fifo', 'ev insert 4');
  expect(await gaps()).toEqual([]);
  expect(arrived('root.fifo')).toHaveLength(6);
});

test('a parent joins although its child by INHERITS is a member already (C095)', async () => {
  await sql(
    'create table parent (id int primary key); create table child (primary key (id)) inherits (parent)',
  );
  await start({ child: '{ include_tables: [child] }' });
  await world.service.stop();
  await start({ child: '{ include_tables: [child] }', parent: '{ include_tables: [parent] }' });
  await published('parent');
  await sql('insert into parent values (1); insert into child values (2)');
  await receive('parent.fifo', 'parent insert 1');
  await receive('child.fifo', 'child insert 2');
  expect(arrived('parent.fifo')).toEqual(['parent insert 1']);
});

test('partitions that are attached and detached while it streams come, and come no more, at once (C092)', async () => {
  await sql(`${EVENTS}; create table later (id int primary key, note text)`);
  await start({ root: '{ include_tables: [ev] }' });
  // Before 15 that is a gap: test/pipeline/source/partitions.pg.test.ts.
  if ((await serverVersion(world.database.client)) >= 150_000) {
    await sql(`insert into later values (201, 'before')`);
    await sql(`alter table ev attach partition later for values from (200) to (300)`);
    await sql(`insert into ev values (202, 'attached')`);
    await receive('root.fifo', 'ev insert 202');
  }
  await sql(`insert into ev values (1, 'a')`);
  await receive('root.fifo', 'ev insert 1');
  await sql('alter table ev detach partition ev1');
  await sql(`insert into ev1 values (2, 'detached')`);
  await sql(`insert into ev values (102, 'b')`);
  await receive('root.fifo', 'ev insert 102');
  expect(arrived('root.fifo')).not.toContain('ev insert 2');
  expect(arrived('root.fifo')).not.toContain('ev insert 201');
});

test('rows of a partition that is dropped or detached before they are read are still its root’s (C092)', async () => {
  await sql(EVENTS);
  await start({ root: '{ include_tables: [ev] }' });
  await sql(`insert into ev values (1, 'a')`);
  await receive('root.fifo', 'ev insert 1');
  await world.service.stop();
  await sql(
    `insert into ev values (2, 'b'), (102, 'b'); drop table ev1; alter table ev detach partition ev2`,
  );
  await start({ root: '{ include_tables: [ev] }' });
  await receive('root.fifo', 'ev insert 2', 'ev insert 102');
  expect(await gaps()).toEqual([]);
});

test('rows whose root cannot be told are a gap of the sinks on those that it may have been', async () => {
  const like = '(id int primary key, note text) partition by range (id)';
  await sql(
    `create table a ${like}; create table b ${like}; create table c (id text primary key) partition by range (id)`,
  );
  await start({ a: '{ include_tables: [a] }', b: '{ include_tables: [b] }', c: '{ include_tables: [c] }' });
  await world.service.stop();
  await sql(
    `create table a1 partition of a for values from (0) to (10); insert into a values (1, 'x'); drop table a1`,
  );
  await start({ a: '{ include_tables: [a] }', b: '{ include_tables: [b] }', c: '{ include_tables: [c] }' });
  await waitFor(async () => (await gaps()).length === 1, 'the gap');
  expect((await gaps())[0]).toMatchObject({
    cause: 'root_unknown',
    tables: [
      { schema: 'public', table: 'a' },
      { schema: 'public', table: 'b' },
    ],
    halts: true,
  });
});

test('a table that came and went before it is read is a gap of no root whose columns it did not have', async ({
  skip,
}) => {
  if ((await serverVersion(world.database.client)) < PARTITIONS_GENERATE_ALIKE) skip();
  await sql(`${EVENTS}; create publication ${world.database.name} for all tables`);
  await start({ root: '{ include_tables: [ev] }' });
  await world.service.stop();
  await sql('create table scratch (id int primary key); insert into scratch values (1); drop table scratch');
  await sql(`insert into ev values (3, 'c')`);
  await start({ root: '{ include_tables: [ev] }' });
  await receive('root.fifo', 'ev insert 3');
  expect(await gaps()).toEqual([]);
});

test.each([
  { how: 'and is there', end: '' },
  { how: 'and is gone', end: 'alter table b detach partition m; drop table m' },
])(
  'rows of a partition that went from root to root while nobody looked are a gap of both, $how',
  async ({ end }) => {
    const like = '(id int primary key, note text) partition by range (id)';
    const sinks = { a: '{ include_tables: [a] }', b: '{ include_tables: [b] }' };
    await sql(
      `create table a ${like}; create table b ${like}; create table m partition of a for values from (0) to (10)`,
    );
    await start(sinks);
    await sql(`insert into a values (1, 'x')`);
    await receive('a.fifo', 'a insert 1');
    await world.service.stop();
    await sql(
      'alter table a detach partition m; alter table b attach partition m for values from (0) to (10)',
    );
    await sql(`insert into b values (2, 'x')`);
    await sql(
      'alter table b detach partition m; alter table a attach partition m for values from (0) to (10)',
    );
    await sql(`insert into a values (3, 'x')`);
    await sql(
      'alter table a detach partition m; alter table b attach partition m for values from (0) to (10)',
    );
    if (end !== '') await sql(end);
    await start(sinks);
    // Before Postgres 15 the table is described once more, which makes another one.
    const [gap] = await waitFor(async () => {
      const found = await gaps();
      return found.length > 0 && found;
    }, 'the gap');
    expect(gap).toMatchObject({ cause: 'root_unknown', halts: true });
    expect(gap!.tables!.map(({ table }) => table).sort()).toEqual(['a', 'b']);
  },
);

test('rows of a partition that was detached before they are read, and is published by itself, are a gap of its root', async () => {
  await sql(`${EVENTS}; create publication ${world.database.name} for all tables`);
  await start({ root: '{ include_tables: [ev] }' });
  await sql(`insert into ev values (1, 'a')`);
  await receive('root.fifo', 'ev insert 1');
  await world.service.stop();
  await sql(`insert into ev values (2, 'b')`);
  await sql('alter table ev detach partition ev1');
  await start({ root: '{ include_tables: [ev] }' });
  await waitFor(async () => (await gaps()).length === 1, 'the gap');
  expect((await gaps())[0]).toMatchObject({
    cause: 'root_unknown',
    tables: [{ schema: 'public', table: 'ev' }],
    halts: true,
  });
});

test('a root that is renamed is read by what it is called now (C113)', async () => {
  await sql(EVENTS);
  await start({ any: '{ exclude_tables: [nothing] }' });
  await sql(`insert into ev values (1, 'a')`);
  await receive('any.fifo', 'ev insert 1');
  await sql('alter table ev rename to renamed');
  await waitFor(async () => {
    await sql(`insert into renamed values (2, 'b'); delete from renamed where id = 2`);
    return arrived('any.fifo').some((text) => text.startsWith('renamed insert'));
  }, 'the new name');
  expect(arrived('any.fifo').at(-1)).toMatch(/^renamed /);
});
