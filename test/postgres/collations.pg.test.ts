// What the source logs of collations and enums, beside what the server does with such texts.
import { expect, onTestFinished, test } from 'vitest';
import { enrichRelation } from '../../src/postgres/catalog.ts';
import { collationFacts } from '../../src/postgres/collations.ts';
import { tableLetters } from '../../src/functions/where/letters/letters.ts';
import { readPresentTable } from '../../src/pipeline/intake/where-server/present-table.ts';
import { createTestDatabase } from '../support/postgres.ts';

test('collations of columns and labels of enums are logged with a relation', async () => {
  const database = await createTestDatabase();
  const { client } = database;
  await client.query(`
    create type mood as enum ('sad', 'happy'); alter type mood add value 'ok' before 'happy';
    create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create collation turkish (provider = icu, locale = 'tr-TR');
    create table things (id int primary key, plain text, c text collate "C", loose text collate loose, turkish text collate turkish, mood mood)`);
  const { rows } = await client.query<{ name: string; type: number; oid: number; c: boolean }>(
    `select a.attname as name, a.atttypid::int as type, a.attrelid::int as oid, d.datcollate = 'C' as c
     from pg_attribute a, pg_database d where a.attrelid = 'things'::regclass and a.attnum > 0 and d.datname = current_database() order by attnum`,
  );
  const relation = {
    id: rows[0]!.oid,
    schema: 'public',
    table: 'things',
    replicaIdentity: 'default',
    columns: rows.map(({ name, type }) => ({ name, type, typeModifier: -1, identity: name === 'id' })),
  } as const;
  const { collations, types } = await enrichRelation(client, relation, { publication: 'none' });
  const more = { isDeterministic: true, isByteOrder: false, letters: 'more' };
  expect(collations).toEqual({
    default: rows[0]!.c ? { ...more, isByteOrder: true, letters: 'ascii' } : more,
    own: {
      c: { name: 'pg_catalog.C', ...more, isByteOrder: true, letters: 'ascii' },
      loose: { name: 'public.loose', ...more, isDeterministic: false },
      turkish: { name: 'public.turkish', ...more, letters: 'own' },
    },
  });
  expect(types.get(rows.at(-1)!.type)).toEqual({
    kind: 'enum',
    name: 'mood',
    labels: ['sad', 'ok', 'happy'],
  });
  // A column list hides columns; a catalog that is newer says nothing of the rows.
  const [id, plain, ...others] = relation.columns;
  const hidden = { ...relation, columns: [id!, plain!] };
  expect((await enrichRelation(client, hidden, { publication: 'none' })).collations?.own).toEqual({});
  const older = { ...relation, columns: [id!, plain!, { ...others[0]!, type: 1043 }] };
  expect((await enrichRelation(client, older, { publication: 'none' })).collations).toBeUndefined();
  await database.drop();
});

test.each([
  ['c', 'C', 'C', 'ascii', true],
  ['c', 'en_US.UTF-8', 'en_US.UTF-8', 'more', false],
  ['c', 'C', 'tr_TR.UTF-8', 'own', true],
  ['b', 'C.UTF-8', 'C.UTF-8', 'more', true],
  ['b', 'C', 'C', 'ascii', true],
  ['i', 'und', 'und', 'more', false],
  ['i', 'az', 'az', 'own', false],
])(
  'of the provider %s, %s and %s: letters %s, order of bytes %s',
  (provider, collate, ctype, letters, isByteOrder) => {
    expect(collationFacts({ provider, collate, ctype, isDeterministic: true })).toEqual({
      isDeterministic: true,
      letters,
      isByteOrder,
    });
  },
);

test('which letters beyond ASCII a library maps to which is logged as the server says it, of each one', async (context) => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const { client } = database;
  // What is built in, and a locale of this machine.
  const { rows: found } = await client.query<{ sql: string }>(
    `select 'pg_catalog.' || quote_ident(collname) as sql from pg_collation
     where collname in ('pg_c_utf8', 'C.utf8', 'en_US.utf8') and collprovider in ('b', 'c') and collencoding in (-1, 6)`,
  );
  context.skip(found.length === 0);
  for (const [i, { sql }] of found.entries()) {
    await client.query(`create table t${i} (id int primary key, note text collate ${sql})`);
    const { relation } = (await readPresentTable(client, { schema: 'public', table: `t${i}` }, 'none'))!;
    const facts = relation.collations!.own['note']!;
    expect(facts.letters).toBe('more');
    expect(JSON.stringify(facts).length).toBeLessThan(20_000);
    const letters = tableLetters(facts.cases!);
    const { rows } = await client.query<{ texts: string[]; lower: string[]; upper: string[] }>(
      `select array_agg(t) as texts, array_agg(lower(t collate ${sql})) as lower, array_agg(upper(t collate ${sql})) as upper
       from (select string_agg(chr(c), '') as t from generate_series(1, 262143) c where c not between 55296 and 57343 group by c / 512) x`,
    );
    const { texts, lower, upper } = rows[0]!;
    expect(texts.map((text) => letters.lower(text)).join('') === lower.join('')).toBe(true);
    expect(texts.map((text) => letters.upper(text)).join('') === upper.join('')).toBe(true);
  }
});
