// No write of the application fails because of a publication of ours: table shapes, made before and after, changed later, and while `tail` runs.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startCli } from '../../support/cli.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';
import {
  alterShape,
  BROKEN_LATER,
  makeShape,
  runWrites,
  SHAPES,
  type TableShape,
} from '../../support/table-shapes.ts';

let database: TestDatabase;
let directory: SourceDirectory;
let major: number;
let source: TestSource | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createSourceDirectory();
  major = Math.floor((await serverVersion(database.client)) / 10_000);
  await sql('create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing');
  source = undefined;
});
afterEach(async () => {
  await source?.stop();
  directory.remove();
  await database.drop();
});

const FIT = /^(primary key$|odd|no key, FULL|identity by index$|partitions, primary key|stored)/;

const sql = (text: string) => database.client.query(text);

type Made = { readonly schema: string; readonly shape: TableShape };

/** Those of this version, each in a schema; of an assured one the schema's name says so. */
async function makeAll(shapes: readonly TableShape[], prefix: string): Promise<Made[]> {
  const made = shapes
    .filter(({ since = 0 }) => since <= major)
    .map((shape, i) => ({ schema: `${shape.assured === true ? 'assured_' : ''}${prefix}${i}`, shape }));
  for (const { schema, shape } of made) await makeShape(database.client, schema, shape);
  return made;
}

/** By shape, what its writes came to. */
async function writeAll(made: readonly Made[]): Promise<Record<string, readonly string[]>> {
  const outcomes: Record<string, readonly string[]> = {};
  for (const { schema, shape } of made)
    outcomes[shape.name] = await runWrites(database.client, schema, shape);
  return outcomes;
}

/** A sink of everything, and one that says of some schemas that their partitions have an identity. */
async function start(): Promise<TestSource> {
  const started = startTestSource(
    databaseSettings(database, { publication: { refreshIntervalMs: 50 } }),
    directory,
    {
      selections: [{}, { includeSchemas: [['assured_', '']], partitionsHaveIdentity: true }],
    },
  );
  started.ended.catch(() => undefined);
  source = started;
  await started.ready;
  return started;
}

const members = async (): Promise<string[]> => {
  const { rows } = await sql(
    `select n.nspname || '.' || c.relname as name from pg_publication_rel r
     join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace`,
  );
  return rows.map(({ name }: { name: string }) => name);
};

/** A table that is made last has joined: all that was there before it has been looked at. */
async function lookedAt(): Promise<void> {
  const name = `last_${Math.random().toString(36).slice(2)}`;
  await sql(`create table ${name} (id int primary key)`);
  await waitFor(async () => (await members()).includes(`public.${name}`), `${name} to be published`);
}

function expectAllWent(outcomes: Awaited<ReturnType<typeof writeAll>>): void {
  expect(
    Object.values(outcomes)
      .flat()
      .filter((outcome) => outcome !== 'ok'),
  ).toEqual([]);
}

test('writes to tables of every shape go on as before when a publication is made', async () => {
  const made = await makeAll(SHAPES, 'before_');
  const before = await writeAll(made);
  await start();
  await lookedAt();
  expect(await writeAll(made)).toEqual(before);
  expectAllWent(before);
  // The fit ones are there.
  const names = await members();
  const left = made
    .filter(({ shape }) => FIT.test(shape.name))
    .filter(({ schema }) => !names.some((name) => name.startsWith(`${schema}.`)));
  expect(left.map(({ shape }) => shape.name)).toEqual([]);
});

test('writes to tables of every shape go on that are made while the source runs', async () => {
  await start();
  const made = await makeAll(SHAPES, 'after_');
  const before = await writeAll(made);
  await lookedAt();
  expect(await writeAll(made)).toEqual(before);
  expectAllWent(before);
});

test('tables that later DDL breaks are taken out, so that their writes go on, and that is a gap by name', async () => {
  const made = await makeAll(BROKEN_LATER, 'later_');
  const running = await start();
  await lookedAt();
  const fit = await members();
  expect(made.filter(({ schema }) => !fit.includes(`${schema}.t`))).toEqual([]);
  for (const { schema, shape } of made) await alterShape(database.client, schema, shape);
  await lookedAt();
  const outcomes = await writeAll(made);
  expect(
    Object.values(outcomes)
      .flat()
      .filter((outcome) => outcome !== 'ok'),
  ).toEqual([]);
  const now = await members();
  const out = made.filter(({ schema }) => !now.includes(`${schema}.t`));
  const stays = made.filter(({ schema }) => now.includes(`${schema}.t`)).map(({ shape }) => shape.name);
  expect(stays).toEqual(
    made.map(({ shape }) => shape.name).filter((name) => name.includes('stored generated')),
  );
  const isDeclared = ({ schema }: Made): boolean =>
    running
      .status()
      .gaps.some(
        ({ cause, tables }) =>
          cause === 'member_lost' && tables?.some((table) => table.schema === schema && table.table === 't'),
      );
  await waitFor(() => out.every(isDeclared), 'a gap for each table that was taken out');
  // No gap is declared for what we have altered ourselves.
  expect(running.status().gaps.filter(({ cause }) => cause === 'publication_changed')).toEqual([]);
  expect(running.lines.filter(({ msg }) => msg.includes('was taken out of the publication'))).toHaveLength(
    out.length,
  );
});

test('a table that was taken out joins again once it is mended, and its gap ends', async () => {
  await sql('create table t (id int primary key, a int)');
  const running = await start();
  await sql('alter table t drop constraint t_pkey');
  await waitFor(async () => !(await members()).includes('public.t'), 'the table to be taken out');
  await waitFor(() => running.status().gaps.length === 1, 'the gap');
  const cure = running.status().warnings.find((warning) => warning.includes('table "public.t"'));
  expect(cure).toContain('ALTER TABLE "public"."t" REPLICA IDENTITY FULL;');
  await sql('ALTER TABLE "public"."t" REPLICA IDENTITY FULL;');
  await waitFor(async () => (await members()).includes('public.t'), 'the table to join again');
  await waitFor(() => running.status().gaps[0]?.to !== undefined, 'the end of the gap');
});

test('writes to tables of every shape go on while a tail runs, also where DDL breaks them then', async () => {
  const made = await makeAll(SHAPES, 'tail_');
  const broken = await makeAll(BROKEN_LATER, 'broken_');
  const before = await writeAll(made);
  const cli = startCli(['tail', database.url]);
  await waitFor(() => cli.stderr().includes('streaming'), 'tail to stream');
  expect(await writeAll(made)).toEqual(before);
  const published = new Set(await members());
  for (const { schema, shape } of broken) await alterShape(database.client, schema, shape);
  await waitFor(async () => {
    const outcomes = await writeAll(broken);
    return Object.values(outcomes)
      .flat()
      .every((outcome) => outcome === 'ok');
  }, 'writes to work again');
  expect(await writeAll(made)).toEqual(before);
  expect(published.size).toBeGreaterThan(10);
  expect(cli.stderr()).toContain('taken out, because UPDATE and DELETE failed on it: "broken_0"."t"');
  cli.interrupt();
  expect(await cli.code).toBe(0);
});
