// Filters in databases that are not UTF8: what the server says there of texts is said here, or not known.
import { expect, onTestFinished, test } from 'vitest';
import { createRowEvent } from '../../../src/core/change.ts';
import { compileFilter } from '../../../src/functions/where/filter.ts';
import { loadFilterParser } from '../../../src/functions/where/parser.ts';
import { readPresentTable } from '../../../src/pipeline/intake/where-server/present-table.ts';
import { decodeRow } from '../../../src/pgoutput/messages.ts';
import { insertMessage } from '../../support/pgoutput-messages.ts';
import { createTestDatabase } from '../../support/postgres.ts';

const CHANGE = {
  action: 'insert',
  schema: 'public',
  table: 'notes',
  commitTimeUs: 0n,
  annotations: undefined,
} as const;

/** In the encoding 1252 `€` (0x80) comes before `é` (0xe9), in Unicode behind it. */
const TEXTS = ['ab', '€', 'éa', 'ƒ', '€€€'];
const CONDITIONS = [
  "note = '€'",
  "note in ('éa', 'ab')",
  "note like '€%'",
  "note like '_'",
  'length(note) = 1',
  'octet_length(note) = 1',
  'octet_length(note) = 3',
  'left(note, 1) = note',
  "substring(note, 2) = 'a'",
  "position('a' in note) = 2",
  "reverse(note) = 'aé'",
  'ascii(note) = 128',
  'ascii(note) = 8364',
  "md5(note) = '7c3c0b0e7a1c0b6d0b5f4f8c4c2a1f2e'",
  'note > \'é\' collate "C"',
  "note between 'a' and 'é' collate \"C\"",
  'greatest(note, \'é\' collate "C") = note',
  '(note collate "C", 1) >= (\'é\', 1)',
  "note ~ '^.$'",
  "note ~ '[a-€]'",
  "note::char(2) = '€'",
  "btrim(note, '€') = ''",
  "replace(note, '€', 'x') = 'xxx'",
];

test.each([
  ['WIN1252', ["note = '€'", 'length(note) = 1', "note like '_'"]],
  ['SQL_ASCII', ["note = '€'", 'octet_length(note) = 3', 'note > \'é\' collate "C"']],
])(
  'a filter in a database in %s says of a text what the server says, or that it is absent',
  async (encoding, known) => {
    const database = await createTestDatabase(undefined, encoding);
    onTestFinished(() => database.drop());
    const { client } = database;
    await client.query('create table notes (id int primary key, note text)');
    await client.query('insert into notes select row_number() over (), * from unnest($1::text[])', [TEXTS]);
    const { relation } = (await readPresentTable(client, { schema: 'public', table: 'notes' }, 'none'))!;
    const parse = await loadFilterParser();
    const event = createRowEvent();
    const differences: string[] = [];
    const absent = new Set<string>();
    for (const condition of CONDITIONS) {
      const filter = compileFilter(parse(condition), relation);
      const { rows } = await client.query<{ id: number; note: string; passes: boolean }>(
        `select id, note, (${condition}) as passes from notes order by id`,
      );
      for (const { id, note, passes } of rows) {
        const message = insertMessage(1, [String(id), note]);
        decodeRow(message, 0, message.length, event);
        const ours = filter.judge(event, CHANGE);
        if (ours === 'absent') absent.add(condition);
        else if ((ours === 'pass') !== passes) differences.push(`${condition} of ${note}: ${ours}`);
      }
    }
    expect(differences).toEqual([]);
    expect(known.filter((condition) => absent.has(condition))).toEqual([]);
  },
);
