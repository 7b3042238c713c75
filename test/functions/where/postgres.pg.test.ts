// What a filter says, beside what Postgres itself says of the same expression and the same values.
import * as fc from 'fast-check';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRowEvent, type Relation } from '../../../src/core/change.ts';
import * as catalog from '../../../src/functions/where/catalog/server-data.ts';
import { WhereRefusal } from '../../../src/functions/where/fault.ts';
import { compileFilter } from '../../../src/functions/where/filter.ts';
import { loadFilterParser, type FilterParser } from '../../../src/functions/where/parser.ts';
import { EvaluationError } from '../../../src/functions/where/values/failure.ts';
import { readPresentTable } from '../../../src/pipeline/intake/where-server/present-table.ts';
import { decodeRow } from '../../../src/pgoutput/messages.ts';
import { updateMessage } from '../../support/pgoutput-messages.ts';
import { serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { readServerCatalog } from '../../support/server-catalog.ts';
import {
  COLUMN_TYPES,
  conditions,
  MOODS,
  NASTY,
  patternConditions,
} from '../../support/where-expressions.ts';

/** Pairs of an expression and a row. */
const PAIRS = Number(process.env['TAILRACE_TEST_WHERE_PAIRS'] ?? 20_000);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 20_261_129);
const ROWS = 40;
const PAIRS_OF_EXPRESSION = 10;
const EXPRESSIONS_OF_BATCH = 100;
const PATTERNS_OF_BATCH = 20;

const CHANGE = {
  action: 'update',
  schema: 'public',
  table: 'rows',
  commitTimeUs: 0n,
  annotations: undefined,
} as const;

/** Before it numeric has no infinity, and `extract` answers a float8. */
const NUMERIC_INFINITY = 140_000;
/** Before it no interval is infinite. */
const INTERVAL_INFINITY = 170_000;
/**
 * What is another function before 14, or an error, or whose constants are not folded there: whatever is infinite, `extract`, `split_part`
 * from the end, `nullif`, and a second subscript behind one that is NULL.
 */
const OF_LATER_SERVERS = /extract|infinity|split_part|nullif|\]\[/;
/** Patterns whose result is absent beyond ASCII. */
const OF_CLASSES = /\[:|\\[dswy]/i;
/** Of this major version is what the code has of the catalog. */
const CATALOG_VERSION = 180_000;

let version: number;
let database: TestDatabase;
let client: Client;
let parse: FilterParser;
let relation: Relation;
let rows: (string | null)[][];

beforeAll(async () => {
  parse = await loadFilterParser();
  database = await createTestDatabase();
  version = await serverVersion(database.client);
  client = new Client({
    connectionString: database.url,
    types: { getTypeParser: () => (text: string) => text },
    options: '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c extra_float_digits=3',
  });
  await client.connect();
  await client.query(`create type mood as enum (${MOODS.map((mood) => `'${mood}'`).join(',')})`);
  const columns = Object.entries(COLUMN_TYPES);
  await client.query(
    `create table rows (id int primary key, ${columns.map((pair) => pair.join(' ')).join(', ')})`,
  );
  await client.query(`alter table rows alter c_letters type text collate ${await collationOfLetters()}`);
  await client.query(EVALUATE);
  await fillRows();
  rows = (
    await client.query({
      text: `select ${Object.keys(COLUMN_TYPES).join(',')} from rows order by id`,
      rowMode: 'array',
    })
  ).rows;
  relation = await readRelation();
});
afterAll(async () => {
  await client?.end();
  await database?.drop();
});

/** One whose letters the server says: what is built in, or a locale of this machine; else there is none. */
async function collationOfLetters(): Promise<string> {
  const { rows: found } = await client.query<{ name: string }>(
    `select 'pg_catalog.' || quote_ident(collname) as name from pg_collation
     where collname in ('C.utf8', 'en_US.utf8', 'pg_c_utf8') and collencoding in (-1, 6) order by collprovider = 'b', collname`,
  );
  return found[0]?.name ?? 'pg_catalog."default"';
}

/** `t`, `f`, `null`, or the SQLSTATE of the error. */
const EVALUATE = `create function evaluate(expression text, new_id int, old_id int) returns text language plpgsql as $$
  declare result text;
  begin
    execute 'select coalesce((' || expression || '), null::bool)::text from rows as new, rows as old where new.id = $1 and old.id = $2' into result using new_id, old_id;
    return case result when 'true' then 't' when 'false' then 'f' else 'null' end;
  exception when others then return sqlstate;
  end $$`;

/** A float that is infinite becomes a numeric that is, or an error. */
const infinitySince = (column: keyof typeof COLUMN_TYPES): number =>
  column === 'c_interval' ? INTERVAL_INFINITY : /numeric|float/.test(column) ? NUMERIC_INFINITY : 0;

async function fillRows(): Promise<void> {
  const columns = Object.keys(COLUMN_TYPES) as (keyof typeof COLUMN_TYPES)[];
  const values = fc.sample(fc.tuple(...columns.map((column) => fc.constantFrom(...NASTY[column]))), {
    numRuns: ROWS,
    seed: SEED,
  });
  // Each nasty value is in one row at least.
  const most = Math.max(...columns.map((column) => NASTY[column].length));
  for (let i = 0; i < most; i++)
    values[i] = columns.map((column) => NASTY[column][i % NASTY[column].length]!);
  for (const row of values)
    for (const [i, column] of columns.entries())
      if (/infinity$/i.test(row[i] ?? '') && version < infinitySince(column)) row[i] = null;
  const marks = columns.map((_, i) => `$${i + 2}`).join(',');
  for (const [id, row] of values.entries())
    await client.query(`insert into rows values ($1, ${marks})`, [id, ...row]);
}

async function readRelation(): Promise<Relation> {
  const { rows: attributes } = await client.query<{ name: string; type: string }>(
    `select attname as name, atttypid as type from pg_attribute where attrelid = 'rows'::regclass and attnum > 1 order by attnum`,
  );
  const moodOid = Number(attributes.find(({ name }) => name === 'c_mood')!.type);
  const present = await readPresentTable(database.client, { schema: 'public', table: 'rows' }, 'none');
  return {
    id: 1,
    schema: 'public',
    table: 'rows',
    replicaIdentity: 'full',
    columns: attributes.map(({ name, type }) => ({
      name,
      type: Number(type),
      typeModifier: -1,
      identity: true,
    })),
    key: [],
    types: new Map([[moodOid, { kind: 'enum', name: 'mood', labels: MOODS }]]),
    collations: present!.relation.collations!,
  };
}

/** The result depends on the server's version. */
const OF_A_VERSION = '0A000';

/** `refused`: we do not take it. `absent`: the answer is the server's own. */
function judged(expression: string): (newRow: number, oldRow: number) => string {
  const filter = compileFilter(parse(`not (${expression}) is true`), relation);
  const positive = compileFilter(parse(`(${expression}) is null`), relation);
  const event = createRowEvent();
  return (newRow, oldRow) => {
    const message = updateMessage(1, rows[newRow]!, { kind: 'full', row: rows[oldRow]! });
    decodeRow(message, 0, message.length, event);
    try {
      const verdict = positive.judge(event, CHANGE);
      if (verdict === 'absent') return 'absent';
      if (verdict === 'pass') return 'null';
      return filter.judge(event, CHANGE) === 'pass' ? 'f' : 't';
    } catch (error) {
      if (error instanceof EvaluationError)
        return error.sqlState === OF_A_VERSION ? 'absent' : error.sqlState;
      throw error;
    }
  };
}

type Pair = {
  readonly expression: string;
  readonly newRow: number;
  readonly oldRow: number;
  readonly ours: string;
};

function pairsOf(expression: string, random: () => number, counts: Record<string, number>): Pair[] {
  let judge: ReturnType<typeof judged>;
  try {
    if (version < NUMERIC_INFINITY && OF_LATER_SERVERS.test(expression))
      throw new WhereRefusal('it is another function there', 0);
    judge = judged(expression);
  } catch (error) {
    if (!(error instanceof WhereRefusal)) throw new Error(`in ${expression}`, { cause: error });
    counts['refused']!++;
    return [];
  }
  return Array.from({ length: PAIRS_OF_EXPRESSION }, () => {
    const [newRow, oldRow] = [Math.floor(random() * ROWS), Math.floor(random() * ROWS)];
    return { expression, newRow, oldRow, ours: judge(newRow, oldRow) };
  });
}

const isError = (result: string): boolean => /^[0-9A-Z]{5}$/.test(result);

test(
  'a filter says true, false, NULL or error where Postgres does',
  { timeout: 120_000 + 20 * PAIRS },
  async () => {
    const counts: Record<string, number> = { pairs: 0, refused: 0, absent: 0, t: 0, f: 0, null: 0, error: 0 };
    const differences: string[] = [];
    let state = SEED;
    const random = (): number => (state = (state * 48_271 + 11) % 2_147_483_647) / 2_147_483_647;
    for (let batch = 0; counts['pairs']! < PAIRS && differences.length < 40; batch++) {
      const sample = (arbitrary: fc.Arbitrary<string>, numRuns: number): string[] =>
        fc.sample(arbitrary, { numRuns, seed: SEED + batch });
      const expressions = [
        ...sample(conditions(1 + (batch % 4)), EXPRESSIONS_OF_BATCH),
        ...sample(patternConditions(), PATTERNS_OF_BATCH),
      ];
      const pairs = expressions.flatMap((expression) => pairsOf(expression, random, counts));
      const { rows: answers } = await client.query<{ theirs: string }>(
        `select evaluate(e, n, o) as theirs from unnest($1::text[], $2::int[], $3::int[]) with ordinality as x(e, n, o, i) order by i`,
        [
          pairs.map(({ expression }) => expression),
          pairs.map(({ newRow }) => newRow),
          pairs.map(({ oldRow }) => oldRow),
        ],
      );
      for (const [i, { expression, newRow, oldRow, ours }] of pairs.entries()) {
        const { theirs } = answers[i]!;
        counts['pairs']!++;
        counts[ours === 'absent' ? 'absent' : isError(theirs) ? 'error' : theirs]!++;
        const agrees =
          ours === theirs ||
          ours === 'absent' ||
          // Beside NULL nobody asks what is absent, nor whether an error is in it.
          (isError(theirs) && OF_CLASSES.test(expression)) ||
          // An infinite literal, which the server does not take.
          (version < INTERVAL_INFINITY && theirs === '22007' && expression.includes('infinity')) ||
          (isError(ours) && isError(theirs) && !theirs.startsWith('42'));
        if (!agrees)
          differences.push(`ours ${ours}, theirs ${theirs}: ${expression} (new ${newRow}, old ${oldRow})`);
      }
    }
    if (process.env['TAILRACE_TEST_WHERE_COUNTS'] !== undefined) console.log(counts);
    expect(differences, `TAILRACE_TEST_SEED=${SEED}`).toEqual([]);
    // Without these nothing would have been compared.
    expect(Math.min(counts['t']!, counts['f']!, counts['null']!, counts['error']!)).toBeGreaterThan(
      PAIRS / 100,
    );
  },
);

test('what the code has of the catalog is what the server has (node scripts/where-catalog.ts)', async (context) => {
  context.skip(version < CATALOG_VERSION);
  const lines = await readServerCatalog(database.client);
  const kept = (data: string): string[] => data.trim().split('\n');
  expect(lines).toEqual({
    types: kept(catalog.TYPES),
    casts: kept(catalog.CASTS),
    operators: kept(catalog.OPERATORS),
    functions: kept(catalog.FUNCTIONS),
  });
});
