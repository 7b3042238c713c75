// Where every sink of a table has a filter that Postgres itself would take as the publication's row filter: the SQL that makes it one, and its
// price. Advice only: nothing is changed by us.
// https://www.postgresql.org/docs/current/logical-replication-row-filter.html
import { escapeIdentifier, type Client } from 'pg';
import type { Relation } from '../../../core/change.ts';
import { formatTableName } from '../../../core/selection.ts';
import { elementOf } from '../../../functions/where/catalog/types.ts';
import { choicesIn } from '../../../functions/where/filter.ts';
import { namedColumns } from '../../../functions/where/named-columns.ts';
import type { ResolvedChoice } from '../../../functions/where/resolved-choice.ts';
import type { Filter, Syntax } from '../../../functions/where/syntax.ts';
import { warned, type Finding } from '../../../postgres/preflight/finding.ts';
import { quoteTable } from '../../../postgres/quoting.ts';
import { FIRST_USER_OID, HAS_ROW_FILTERS } from '../../../postgres/versions.ts';

/** Of one sink that reads the table: all that must be true of a change, one at least. */
export type SinkFilters = readonly Filter[];

export async function rowFilterAdvice(
  client: Client,
  relation: Relation,
  { publication, sinks }: { readonly publication: string; readonly sinks: readonly SinkFilters[] },
): Promise<Finding | undefined> {
  if (!sinks.flat().every((filter) => mayBePublished(filter, relation))) return undefined;
  if (!(await hasPlainEntry(client, relation, publication))) return undefined;
  const conditions = [
    ...new Set(
      sinks.map((filters) =>
        joined(
          filters.map(({ text }) => text),
          'AND',
        ),
      ),
    ),
  ];
  const name = escapeIdentifier(publication);
  const table = `ONLY ${quoteTable(relation)}`;
  return warned({
    code: 'WHERE_PUBLISHABLE',
    title: `filter for ${formatTableName(relation)}`,
    detail:
      'every sink of the table has one that Postgres can apply as the publication’s row filter: what is outside would not be sent to Tailrace, nor logged. The price: no rewind and no filter that is changed later brings such rows; an update that makes a row true comes as its insert, one that makes it false as its delete; and the change itself is a gap of the table, to be accepted (tailrace gaps accept)',
    cure: `BEGIN; ALTER PUBLICATION ${name} DROP TABLE ${table}; ALTER PUBLICATION ${name} ADD TABLE ${table} WHERE (${joined(conditions, 'OR')}); COMMIT;`,
  });
}

/** A comment at the end of a text takes nothing with it. */
const joined = (texts: readonly string[], word: 'AND' | 'OR'): string =>
  texts.map((text) => (/--|\n/.test(text) ? `(\n${text}\n)` : `(${text})`)).join(` ${word} `);

/** Only columns that are in the replica identity, constants, built-in types, operators and immutable functions. */
function mayBePublished(filter: Filter, relation: Relation): boolean {
  const named = new Set(namedColumns(filter.syntax).map(({ name }) => name));
  const columns = relation.columns.filter(({ name }) => named.has(name));
  const isKnown = columns.every(
    ({ type, identity, generated }) =>
      type < FIRST_USER_OID && generated !== true && (identity || relation.replicaIdentity === 'full'),
  );
  return isKnown && isPlain(filter.syntax) && choicesIn(filter, relation).every(isImmutable);
}

/** Of the row as it is, without casts of values: some of those are text that is written and read again, which a row filter may not have. */
function isPlain(syntax: unknown): boolean {
  if (typeof syntax !== 'object' || syntax === null) return true;
  const part = syntax as Partial<Syntax>;
  if (part.kind === 'column' && part.image !== 'row') return false;
  if (part.kind === 'cast' && part.operand?.kind !== 'literal') return false;
  return Object.values(syntax).every(isPlain);
}

/**
 * Functions that a server calls stable, though what a filter may have of them is not; those that are two functions in SQL; and arrays whose
 * elements are cast.
 */
const isImmutable = ({ kind, name, operands, args }: ResolvedChoice): boolean =>
  !(kind === 'function' && name === 'date_trunc' && args.includes('timestamptz')) &&
  !(args.includes('timestamptz') && args.includes('interval')) &&
  !(name === '||' && args.some((type) => type !== 'text')) &&
  operands.every(({ type }, i) => type === args[i] || elementOf(type) === undefined);

/** Is the table itself in the publication's list, whole? */
async function hasPlainEntry(client: Client, { id }: Relation, publication: string): Promise<boolean> {
  const { rows } = await client.query<{ version: number; isPlain: boolean }>(
    `select current_setting('server_version_num')::int as version, exists (
       select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join pg_class c on c.oid = r.prrelid
       where p.pubname = $1 and r.prrelid = $2 and c.relkind = 'r' and not c.relispartition and not c.relhassubclass
         and to_jsonb(r) ->> 'prqual' is null and to_jsonb(r) ->> 'prattrs' is null) as "isPlain"`,
    [publication, id],
  );
  return rows[0]?.isPlain === true && rows[0].version >= HAS_ROW_FILTERS;
}
