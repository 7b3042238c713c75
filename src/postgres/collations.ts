// What a later judge of a table's texts must know of their collations, as the catalog has it. Logged with the relation.
// https://www.postgresql.org/docs/current/catalog-pg-collation.html
import type { Client } from 'pg';
import type { CollationFacts, Collations, TextUnit } from '../core/change.ts';
import { caseTableOf } from './case-tables.ts';
import type { RawRelation } from '../pgoutput/messages.ts';

type CollationRow = {
  /** Null: the database's own. */
  readonly column: string | null;
  readonly type: number;
  readonly name: string;
  /** As SQL writes it. */
  readonly sql: string;
  /** The database's. */
  readonly encoding: string;
  /** `c` libc, `i` ICU, `b` built in. */
  readonly provider: string;
  readonly collate: string;
  readonly ctype: string;
  readonly isDeterministic: boolean;
};

/** Names of columns differ by version: they are taken out of the row as JSON. */
const localeOf = (row: string, kinds: string): string =>
  `coalesce(to_jsonb(${row}) ->> '${kinds}locale', to_jsonb(${row}) ->> '${kinds}iculocale', to_jsonb(${row}) ->> '${kinds}collate', '')`;

/** Undefined: the catalog has other columns by now. */
export async function readCollations(client: Client, relation: RawRelation): Promise<Collations | undefined> {
  const { rows } = await client.query<CollationRow>(
    `select null as column, 0::float8 as type, 'default' as name, 'pg_catalog."default"' as sql, getdatabaseencoding()::text as encoding, coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') as provider,
       case coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') when 'c' then d.datcollate::text else ${localeOf('d', 'dat')} end as collate,
       case coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') when 'c' then d.datctype::text else ${localeOf('d', 'dat')} end as ctype,
       true as "isDeterministic"
     from pg_database d where d.datname = current_database()
     union all
     select a.attname::text, a.atttypid::int8::float8, n.nspname || '.' || c.collname, quote_ident(n.nspname) || '.' || quote_ident(c.collname), getdatabaseencoding()::text, c.collprovider::text,
       case c.collprovider when 'c' then to_jsonb(c) ->> 'collcollate' else ${localeOf('c', 'coll')} end,
       case c.collprovider when 'c' then to_jsonb(c) ->> 'collctype' else ${localeOf('c', 'coll')} end,
       c.collisdeterministic
     from pg_attribute a
     join pg_collation c on c.oid = a.attcollation and c.collprovider <> 'd'
     join pg_namespace n on n.oid = c.collnamespace
     where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped`,
    [relation.id],
  );
  const types = new Map(relation.columns.map(({ name, type }) => [name, type]));
  const own = rows.filter(({ column }) => column !== null);
  const ofDatabase = rows.find(({ column }) => column === null);
  if (ofDatabase === undefined) return undefined;
  // A column list may hide some of them.
  if (own.some(({ column, type }) => types.has(column!) && types.get(column!) !== type)) return undefined;
  const facts: Record<string, CollationFacts & { readonly name: string }> = {};
  for (const row of own)
    if (types.has(row.column!)) facts[row.column!] = { name: row.name, ...(await knownFacts(client, row)) };
  const foreignUnit = foreignUnitOf(ofDatabase);
  return { ...(foreignUnit && { foreignUnit }), default: await knownFacts(client, ofDatabase), own: facts };
}

/** In SQL_ASCII a character is a byte, and the bytes are those that come; elsewhere the characters are the same. */
const foreignUnitOf = ({ encoding }: CollationRow): TextUnit | undefined =>
  encoding === 'UTF8' ? undefined : encoding === 'SQL_ASCII' ? 'characters' : 'bytes';

async function knownFacts(client: Client, row: CollationRow): Promise<CollationFacts> {
  const facts = collationFacts(row);
  const cases =
    facts.letters === 'more' && mapsOneByOne(row) ? await caseTableOf(client, row.sql) : undefined;
  return cases === undefined ? facts : { ...facts, cases };
}

/** libc does, and what is built in, but not where it maps as Unicode's full rules have it: those look at the letters beside, as ICU's do. */
const mapsOneByOne = ({ provider, ctype, isDeterministic, encoding }: CollationRow): boolean =>
  isDeterministic && encoding === 'UTF8' && (provider === 'c' || (provider === 'b' && ctype === 'C.UTF-8'));

const isC = (locale: string): boolean => locale === 'C' || locale === 'POSIX';

/** Turkish and its kin, in which the small I is another letter. https://www.unicode.org/Public/UCD/latest/ucd/SpecialCasing.txt */
const OWN_LETTERS = /^(?:tr|az|crh|ku|tt|ber)(?![a-z])/i;

export function collationFacts({
  provider,
  collate,
  ctype,
  isDeterministic,
}: Pick<CollationRow, 'provider' | 'collate' | 'ctype' | 'isDeterministic'>): CollationFacts {
  const letters = isC(ctype) && provider !== 'i' ? 'ascii' : OWN_LETTERS.test(ctype) ? 'own' : 'more';
  // What is built in orders by code points, whatever its letters are.
  return { isDeterministic, isByteOrder: provider === 'b' || (provider === 'c' && isC(collate)), letters };
}
