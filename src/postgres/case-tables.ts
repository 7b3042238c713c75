// Which letters beyond ASCII a collation's library maps to which, as the server itself says: asked once a connection and collation.
import type { Client } from 'pg';
import type { CaseTable } from '../core/change.ts';
import { FIRST_LETTER, LAST_LETTER } from '../functions/where/letters/letters.ts';
import { sqlStateOf } from './connection/fault.ts';
import { differences, readRuns, writeRuns, type CaseMap } from '../functions/where/letters/runs.ts';
import { LOWER, UPPER } from '../functions/where/letters/unicode.ts';

const known = new WeakMap<Client, Map<string, Promise<CaseTable | undefined>>>();

/**
 * `collation`: as SQL writes it. Undefined: it maps a letter to several, or the server cannot say (its machine has the locale no more, or
 * the database another encoding than UTF8).
 */
export function caseTableOf(client: Client, collation: string): Promise<CaseTable | undefined> {
  const ofClient = known.get(client) ?? new Map<string, Promise<CaseTable | undefined>>();
  known.set(client, ofClient);
  const table = ofClient.get(collation) ?? readCaseTable(client, collation).catch(unlessRefused);
  ofClient.set(collation, table);
  return table;
}

/** Nothing else depends on it: such texts are absent for filters. */
function unlessRefused(error: unknown): undefined {
  if (sqlStateOf(error) === undefined) throw error;
}

type Mapped = {
  readonly codes: readonly number[] | null;
  readonly lower: readonly number[];
  readonly upper: readonly number[];
  readonly isSingle: boolean;
};

/** Half a pair of UTF-16 is no character. */
const SURROGATES = '55296 and 57343';

async function readCaseTable(client: Client, collation: string): Promise<CaseTable | undefined> {
  const { rows } = await client.query<Mapped>(
    `select json_agg(code) as codes, json_agg(ascii(l)) as lower, json_agg(ascii(u)) as upper,
       bool_and(char_length(l) = 1 and char_length(u) = 1) as "isSingle"
     from (select code, c, lower(c collate ${collation}) as l, upper(c collate ${collation}) as u
       from (select code, chr(code) as c from generate_series($1::int, $2::int) as s(code) where code not between ${SURROGATES} offset 0) as x offset 0) as y
     where l collate "C" <> c or u collate "C" <> c`,
    [FIRST_LETTER, LAST_LETTER],
  );
  const { codes, lower, upper, isSingle } = rows[0]!;
  // A library that knows no letter beyond ASCII answers nothing.
  if (codes === null) return tableOf([], [], []);
  return isSingle ? tableOf(codes, lower, upper) : undefined;
}

function tableOf(codes: readonly number[], lower: readonly number[], upper: readonly number[]): CaseTable {
  const otherwise = (results: readonly number[], base: string): string => {
    const map: CaseMap = new Map(codes.map((code, i) => [code, results[i]!]));
    return writeRuns(differences(map, readRuns(base)));
  };
  return { lower: otherwise(lower, LOWER), upper: otherwise(upper, UPPER) };
}
