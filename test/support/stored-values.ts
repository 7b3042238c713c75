// Checks what is sent against what is stored: random values through a table, a slot, our decoder, and back into SQL.
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { orNull, text } from './arbitrary-values.ts';
import { openChangeReader, type ChangeReader, type RenderSettings } from './decode.ts';
import { createTestDatabase, type TestDatabase } from './postgres.ts';

export type StoredValues = {
  readonly database: TestDatabase;
  readonly reader: ChangeReader;
  /** As in `180004`. */
  readonly serverVersion: number;
  /**
   * Inserts random texts into a table of one column `v` of `type`. `sent` is an SQL expression over `j` (the column as
   * it was sent, as json) that must not be distinct from `stored` (over `v`): else the promise rejects.
   */
  checkTexts(
    type: string,
    texts: fc.Arbitrary<string | null>,
    expressions: { readonly sent: string; readonly stored: string },
  ): Promise<void>;
  /**
   * The same with values that the SQL `expression` makes of an integer `a` and texts `b`, `c`, `d`, each perhaps NULL.
   * What was sent must be the document that the SQL expression `stored` makes of `v`.
   */
  checkParts(type: string, expression: string, stored?: string): Promise<void>;
};

/** Values a run. */
const SAMPLE = { minLength: 1, maxLength: 50 };
const RUNS = { numRuns: 4 };

const parts = fc
  .tuple(orNull(fc.integer().map(String)), orNull(text), orNull(text), orNull(text))
  .map((list) => JSON.stringify(list));

/** A database with what `types` creates. `settings`: how values are sent; default: as format `tailrace` does. */
export async function openStoredValues(
  types: string,
  settings: RenderSettings = { format: 'tailrace' },
): Promise<StoredValues> {
  const database = await createTestDatabase();
  const { client } = database;
  await client.query(types);
  const reader = await openChangeReader(database);
  const version = await client.query<{ number: string }>(
    `select current_setting('server_version_num') as number`,
  );
  let tables = 0;

  async function createTable(type: string): Promise<string> {
    const table = `values_${++tables}`;
    await client.query(`create table ${table} (id serial primary key, v ${type})`);
    return table;
  }

  /** Inserts, reads what was sent, and compares it row by row. */
  async function check(
    table: string,
    insert: string,
    sample: readonly string[] | readonly (string | null)[],
    expressions: { readonly sent: string; readonly stored: string },
  ): Promise<void> {
    await client.query(insert, [sample]);
    const messages = (await reader.read(settings)).map((change) => change.text);
    expect(messages).toHaveLength(sample.length);
    const { rows } = await client.query(
      `with message as (select m::json -> 'record' as record from unnest($1::text[]) m),
            pair as (select (record -> 'v')::text as sent_text, v::text as stored_text,
                            ${expressions.sent} as sent, ${expressions.stored} as stored
                     from ${table} join message on (record ->> 'id')::int = id, lateral (select record -> 'v') j (j))
       select count(*)::int as compared,
              (array_agg(json_build_object('sent', sent_text, 'stored', stored_text))
                 filter (where sent is distinct from stored))[1] as "firstFault"
       from pair`,
      [messages],
    );
    expect(rows).toEqual([{ compared: sample.length, firstFault: null }]);
  }

  return {
    database,
    reader,
    serverVersion: Number(version.rows[0]!.number),
    async checkTexts(type, texts, expressions) {
      const table = await createTable(type);
      const insert = `insert into ${table} (v) select x::${type} from unnest($1::text[]) x`;
      await fc.assert(
        fc.asyncProperty(fc.array(texts, SAMPLE), (sample) => check(table, insert, sample, expressions)),
        RUNS,
      );
    },
    async checkParts(type, expression, stored = 'to_jsonb(v)') {
      const table = await createTable(type);
      const insert = `insert into ${table} (v) select ${expression} from unnest($1::json[]) s,
        lateral (select (s ->> 0)::int, s ->> 1, s ->> 2, s ->> 3) p (a, b, c, d)`;
      await fc.assert(
        fc.asyncProperty(fc.array(parts, SAMPLE), (sample) =>
          check(table, insert, sample, { sent: 'j::jsonb', stored }),
        ),
        RUNS,
      );
    },
  };
}
