// What a server chooses among its operators, functions and types, beside what is chosen here, for everything that a filter may have.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Relation } from '../../../../src/core/change.ts';
import { WhereRefusal } from '../../../../src/functions/where/fault.ts';
import { choicesIn } from '../../../../src/functions/where/filter.ts';
import { signatures } from '../../../../src/functions/where/operations/table.ts';
import { loadFilterParser, type FilterParser } from '../../../../src/functions/where/parser.ts';
import type { ResolvedChoice } from '../../../../src/functions/where/resolved-choice.ts';
import {
  compareWithServer,
  parsedParts,
  printedParts,
} from '../../../../src/pipeline/intake/where-server/comparison.ts';
import { describeStatement } from '../../../../src/postgres/described.ts';
import {
  comparedOperands,
  comparedTypes,
  partsOf,
} from '../../../../src/pipeline/intake/where-server/parts.ts';
import { readPresentTable } from '../../../../src/pipeline/intake/where-server/present-table.ts';
import { readTypeTexts, type TypeTexts } from '../../../../src/pipeline/intake/where-server/type-texts.ts';
import { serverVersion } from '../../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { COLUMN_TYPES, MOODS } from '../../../support/where-expressions.ts';

/** Before it `extract` answers a float8. */
const NUMERIC_EXTRACT = 140_000;

let database: TestDatabase;
let relation: Relation;
let texts: TypeTexts;
let parse: FilterParser;
let version: number;

beforeAll(async () => {
  parse = await loadFilterParser();
  database = await createTestDatabase();
  version = await serverVersion(database.client);
  const columns = Object.entries(COLUMN_TYPES).map(([name, type]) => `${name} ${type}`);
  await database.client.query(`
    create type mood as enum (${MOODS.map((mood) => `'${mood}'`).join(',')});
    create table rows (id int primary key, ${columns.join(', ')}, c_json_text json);
    alter table rows replica identity full`);
  relation = (await readPresentTable(database.client, { schema: 'public', table: 'rows' }, 'none'))!.relation;
  texts = await readTypeTexts(database.client, relation);
});
afterAll(async () => {
  await database?.drop();
});

/** A column of a signature's type, and another one beside it that becomes it by itself. */
const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  anyenum: ['c_mood'],
  anyarray: ['c_ints', 'c_texts'],
  anynonarray: ['c_int4', 'c_uuid'],
  text: ['c_textc', 'c_varchar', "'a'"],
  json: ['c_json'],
  _text: ['c_texts', "'{a,b}'"],
};
const columnsOf = (type: string): readonly string[] => COLUMNS[type] ?? [`c_${type}`];

/** Of a constant argument, one that is known. */
const CONSTANTS: Readonly<Record<string, string>> = {
  'extract text': "'year'",
  'date_trunc text': "'day'",
  'timezone text': "'UTC'",
};

function expressionsOf(signature: string): string[] {
  const [name = '', ...types] = signature.split(' ');
  const args = types.map((type, i) =>
    type === 'text' && (i !== 1 || name === 'date_trunc') && CONSTANTS[`${name} text`] !== undefined
      ? [CONSTANTS[`${name} text`]!]
      : columnsOf(type),
  );
  if (name === 'extract' && ['time', 'interval'].includes(types[1]!)) args[0] = ["'hour'"];
  if (name === 'date_trunc' && types.length === 3) args[2] = ["'UTC'"];
  if (/^!?~\*?$/.test(name)) args[1] = ["'a'"];
  // Beside a timestamptz only what no zone decides.
  if (types.includes('timestamptz') && types.includes('interval'))
    args[types.indexOf('interval')] = ["interval '36 hours'"];
  const longest = Math.max(...args.map((columns) => columns.length));
  return Array.from({ length: longest }, (_, i) => {
    const chosen = args.map((columns) => columns[i % columns.length]!);
    if (/^[a-z_]/.test(name)) return `pg_catalog."${name}"(${chosen.join(', ')}) is null`;
    return chosen.length === 1
      ? `(${name} ${chosen[0]}) is null`
      : `(${chosen[0]} ${name} ${chosen[1]}) is null`;
  });
}

async function compared(choices: readonly ResolvedChoice[]) {
  const parts = partsOf(choices, texts)!;
  const described = await describeStatement(database.client, parts.text);
  if (described.kind === 'refusal')
    return { refusal: described.message, choice: parts.choiceAt(described.place) };
  const printed = await parsedParts(await printedParts(database.client, parts));
  return {
    found: comparedTypes(parts, described.types, relation) ?? comparedOperands(parts, printed),
    // The same with something else chosen: what is told of a choice is enough to see it.
    isTold: parts.choices.map((choice, i) => {
      const other = { ...parts, choices: [{ ...choice, args: choice.args.map((type) => `${type}x`) }] };
      return comparedOperands(other, [printed[i]]) !== undefined;
    }),
    choices: parts.choices,
  };
}

test('every operator and function on the list is chosen by the server for the same types', async (context) => {
  context.skip(version < NUMERIC_EXTRACT);
  const choices: ResolvedChoice[] = [];
  const refusals: string[] = [];
  for (const signature of signatures()) {
    for (const expression of expressionsOf(signature)) {
      try {
        choices.push(...choicesIn(parse(expression), relation));
      } catch (error) {
        if (!(error instanceof WhereRefusal)) throw error;
        refusals.push(`${signature}: ${error.message}`);
      }
    }
  }
  // The order of texts under the database's own collation is not known here.
  expect(refusals.filter((refusal) => !refusal.includes("is the server's own"))).toEqual([]);
  expect(choices.length).toBeGreaterThan(signatures().length);
  const { refusal, found, isTold, choices: asked } = await compared(choices);
  expect(refusal).toBeUndefined();
  expect(found).toBeUndefined();
  const untold = asked!.filter(
    ({ operands }, i) => !isTold![i] && operands.some(({ type }) => type !== 'unknown'),
  );
  // Functions in SQL, which the planner replaces by what they say.
  expect(untold.map(({ name, args }) => [name, ...args].join(' ')).toSorted()).toEqual([
    'round numeric',
    'trunc numeric',
  ]);
});

test('another choice than the server makes is found, with its place in the text', async () => {
  const filter = parse(`c_int4 > 1 and\n  c_numeric > 5`);
  const choices = choicesIn(filter, relation);
  const altered = choices.map((choice) =>
    choice.args[0] === 'numeric' ? { ...choice, args: ['float8', 'float8'] } : choice,
  );
  const { found } = await compared(altered);
  expect(found).toMatchObject({ at: filter.text.indexOf('> 5') });
  expect(found!.message).toContain('the server takes (numeric, numeric)');
  const otherResult = choices.map((choice) => ({ ...choice, result: 'text' }));
  expect((await compared(otherResult)).found!.message).toContain('it is of the type bool on the server');
});

test('filters are compared whole: what is fine agrees, and what only the server knows is told', async () => {
  const fine = [
    `c_varchar in ('a', 'b') and c_int8 in (1, 5000000000) and coalesce(c_int2, 1.5) > 1`,
    `case when c_bool then c_int4 else c_float8 end between symmetric 1 and '2'`,
    `c_mood in ('ok', 'sad') and c_mood = any ('{ok}') and c_texts @> '{a}' and c_jsonb ->> 'a' like 'x%'`,
    `nullif(c_text, 'x') is distinct from c_bpchar::text and 'é😀' = c_textc collate "C"`,
    `c_bool = 't' and not c_bool and (c_text || c_int4) <> '' and true`,
    `greatest(c_int4, 1.5) > 1 and (c_int4, c_bytea) < (1, 'a') and (c_time, 2) in (('12:00', c_int8)) and c_ints && '{1}' and c_texts[1] = 'a'`,
    `c_ints = array[1, 2] and cardinality(c_ints) = 2 and 3 = all (c_ints)`,
  ];
  for (const text of fine)
    expect([text, await compareWithServer(database.client, parse(text), relation)]).toEqual([
      text,
      { kind: 'agrees' },
    ]);
  expect(await compareWithServer(database.client, parse(`c_mood = 'none'`), relation)).toMatchObject({
    kind: 'refused',
    at: `c_mood = `.length,
  });
  // A type that is gone since the row was written.
  const gone = { ...relation, columns: relation.columns.map((column) => ({ ...column, type: 999_999 })) };
  const known = { ...gone, types: new Map([[999_999, { kind: 'enum', name: 'gone' }]]) } as Relation;
  expect(await compareWithServer(database.client, parse(`c_mood is null`), known)).toEqual({
    kind: 'unknown',
  });
});

test('before 14 extract answers another type, which is told', async (context) => {
  context.skip(version >= NUMERIC_EXTRACT);
  const found = await compareWithServer(database.client, parse('extract(year from c_date) > 2000'), relation);
  expect(found.kind).toBe('differs');
});
