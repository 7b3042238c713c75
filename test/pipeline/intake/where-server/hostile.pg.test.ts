// Filters that want something of the server: its own log says that it never hears of them, and only parses and describes the others.
import { onTestFinished, expect, test } from 'vitest';
import { parseFilters } from '../../../../src/functions/where/parsing.ts';
import { inspectFilters } from '../../../../src/pipeline/intake/where-server/inspection.ts';
import type { PlacedFilter, SinkSettings } from '../../../../src/pipeline/settings.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { connect, waitFor } from '../../../support/postgres.ts';
import { startTestServer } from '../../../support/server.ts';

/** In each of them is this word. */
const WORD = 'intruder';

const HOSTILE: readonly string[] = [
  'true); create table intruder (); select (true',
  'true; drop table intruder',
  "true); do $x$ begin raise 'intruder'; end $x$; select (true",
  "true); copy (select 1) to program 'touch intruder'; select (true",
  'true); set session authorization intruder; select (true',
  'true), (select 1 from intruder',
  'true) from intruder where (true',
  'true) union all select (note from intruder',
  'true) as intruder, (1',
  'true) into intruder from (select 1',
  "true) for update of intruder; select (note = 'x'",
  "note = 'a' /* intruder",
  "note = 'intruder",
  'note = $intruder$ a',
  'note = $1 -- intruder',
  'exists (select pg_sleep(10) as intruder)',
  "(select note from intruder) = 'a'",
  "note in (select 'intruder')",
  "array(select 'intruder'::text) is null",
  "count(*) > 0 and note = 'intruder'",
  "string_agg(note, 'intruder') is null",
  "lag(note, 1, 'intruder') over () is null",
  "generate_series(1, 1000000000) > 0 and note = 'intruder'",
  "pg_read_file('/etc/passwd') = 'intruder'",
  "pg_sleep(10) is null and note = 'intruder'",
  "set_config('search_path', 'intruder', false) = note",
  "nextval('intruder') > 0",
  "lo_import('intruder') > 0",
  "dblink('intruder', note) is null",
  'public.intruder(note)',
  "note operator(public.=) 'intruder'",
  "note::regclass = 'intruder'",
  "'intruder'::public.intruder is null",
  "query_to_xml('drop table intruder', true, true, '') is null",
  'note = intruder',
  "note collate intruder = 'a'",
  "current_user = 'intruder'",
  'note = xmlelement(name intruder)::text',
  "note ~ '(intruder)\\1'",
];

/** Literals stay literals. */
const HARMLESS: readonly string[] = [
  String.raw`note = '''); drop table intruder; --\' || ' '`,
  `note = 'x' -- ) ; intruder`,
  `note = $a$); drop table intruder; $a$ or note ~ 'intruder|x*' or note similar to 'intruder%'`,
];

test('a server never hears of a filter that is refused here, and of the others it parses and describes parts only', async () => {
  const logged: string[] = [];
  const settings = {
    log_statement: 'all',
    log_min_duration_statement: '0',
    log_min_messages: 'log',
  };
  const server = await startTestServer({ settings, onLog: (line) => logged.push(line) });
  onTestFinished(() => server.remove());
  const client = await connect(server.url());
  onTestFinished(() => client.end());
  await client.query('create table notes (id int primary key, note text)');
  const {
    host,
    port,
    user: username,
    database,
  } = client as unknown as Record<'host' | 'user' | 'database', string> & { readonly port: number };
  const target = {
    ...databaseSettings({ name: database } as never),
    hosts: [{ host, port }],
    username,
    database,
  };
  const selection = { includeTables: [{ schema: ['public'], table: ['notes'] }] };
  /** Of each that the grammar takes: nothing where it is fine, else the code of what is wrong. */
  const inspected = async (texts: readonly string[]) => {
    const sinks = (await parseFilters(texts)).flatMap((parsed, i) => {
      if (parsed.kind === 'fault') return [];
      const where: PlacedFilter = { ...parsed.filter, place: 'tailrace.yaml:5:5  sinks[notes].where' };
      return [
        { name: `notes${i}`, database: target.name, selection, tables: [], actions: ['insert'], where },
      ];
    });
    const findings = await inspectFilters(target, sinks as unknown as readonly SinkSettings[]);
    return { taken: sinks.length, codes: findings.filter(({ ok }) => !ok).map(({ code }) => code) };
  };
  const hostile = await inspected(HOSTILE);
  expect(hostile.codes).toEqual(Array(hostile.taken).fill('WHERE_UNUSABLE'));
  await client.query("select 'the hostile ones are over'");
  await waitFor(() => logged.some((line) => line.includes('are over')), 'the log');
  expect(logged.filter((line) => line.includes(WORD))).toEqual([]);
  expect(await inspected(HARMLESS)).toEqual({ taken: HARMLESS.length, codes: [] });
  await client.query("select 'the harmless ones are over'");
  await waitFor(() => logged.some((line) => line.includes('harmless ones are over')), 'the log');
  const heard = logged.filter((line) => line.includes('intruder'));
  expect(heard.length).toBeGreaterThan(HARMLESS.length);
  const isAsked = (line: string): boolean =>
    /duration: [\d.]+ ms {2}parse <unnamed>: select /.test(line) ||
    /statement: explain \(verbose, costs off, format json\) select /.test(line);
  expect(heard.filter((line) => !isAsked(line) && !/^(?:\t|\) )/.test(line))).toEqual([]);
  const { rows } = await client.query(
    "select to_regclass('intruder') as made, to_regclass('notes')::text as notes",
  );
  expect(rows).toEqual([{ made: null, notes: 'notes' }]);
});
