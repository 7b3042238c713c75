// Of which partitioned tables a table that the catalog does not place any more may have been a partition: told by its columns, which
// are its root's, and by what of these has been altered since.
import type { Client } from 'pg';
import type { Ancestor } from '../core/change.ts';
import { isLaterXid } from '../pgoutput/enrichment.ts';
import { readLineages } from './lineage.ts';
import { xidOf } from './shapes/sql.ts';
import { PARTITIONS_GENERATE_ALIKE } from './versions.ts';

type StreamedColumn = { readonly name: string; readonly type: number; readonly typeModifier: number };

export type RootColumn = StreamedColumn & {
  readonly generated: boolean;
  readonly dropped: boolean;
  /** The xid that last altered it; 0: older than whatever may still be streamed. */
  readonly since: number;
  /** The xid that made the root: a column of the same is as it was made. */
  readonly made: number;
};

/** A row that is to be placed: its columns as the stream has them, and the transaction that wrote it. */
export type Unplaced = {
  readonly columns: readonly StreamedColumn[];
  readonly xid: number;
  /** Does the stream leave out no columns but generated ones? */
  readonly isWhole: boolean;
};

/**
 * A partition has its root's columns, all of them and no others, with the same types. A column of the root that was altered after the
 * row was written may have been called otherwise, been of another type, or not been there. Pure.
 * https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ATTACH-PARTITION
 */
export function mayBeRoot(root: readonly RootColumn[], { columns, xid, isWhole }: Unplaced): boolean {
  const isAltered = ({ since, made, dropped }: RootColumn): boolean =>
    since !== 0 && !isLaterXid(xid, since) && (since !== made || since === xid || dropped);
  const altered = root.filter(isAltered);
  const lasting = root.filter((column) => !column.dropped && !isAltered(column));
  const isSame = (a: StreamedColumn, b: StreamedColumn): boolean =>
    a.name === b.name && a.type === b.type && a.typeModifier === b.typeModifier;
  if (isWhole && lasting.some((has) => !has.generated && !columns.some((column) => isSame(column, has))))
    return false;
  return columns.filter((column) => !lasting.some((has) => isSame(column, has))).length <= altered.length;
}

/** Those that the publication carries, by OID. */
export async function possibleRoots(
  client: Client,
  row: Omit<Unplaced, 'isWhole'>,
  context: { readonly publication: string; readonly serverVersion: number },
): Promise<readonly Omit<Ancestor, 'published'>[]> {
  const { rows } = await client.query<{
    oid: number;
    schema: string;
    table: string;
    columns: readonly RootColumn[];
  }>(
    `select c.oid::int8::float8 as oid, n.nspname as schema, c.relname as table,
       coalesce((select json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8, 'typeModifier', a.atttypmod,
           'generated', a.attgenerated <> '', 'dropped', a.attisdropped, 'since', ${xidOf('a', 'pg_attribute')}, 'made', ${xidOf('m', 'pg_attribute')}))
         from pg_attribute a join pg_attribute m on m.attrelid = a.attrelid and m.attnum = -6 where a.attrelid = c.oid and a.attnum > 0), '[]') as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'p' order by 1`,
  );
  if (rows.length === 0) return [];
  const isWhole = await isStreamedWhole(client, row.xid, context);
  const like = rows.filter(({ columns }) => mayBeRoot(columns, { ...row, isWhole }));
  const lineages = await readLineages(
    client,
    like.map(({ oid }) => oid),
    context,
  );
  const published = new Set(lineages.filter((root) => root.published).map(({ oid }) => oid));
  return like.flatMap(({ oid, schema, table }) => (published.has(oid) ? [{ oid, schema, table }] : []));
}

/**
 * No list of columns goes with FOR ALL TABLES. Before Postgres 16 a partition may generate a column that its root does not, and
 * whoever decodes the row does it with the publication of then.
 */
async function isStreamedWhole(
  client: Client,
  xid: number,
  { publication, serverVersion }: { readonly publication: string; readonly serverVersion: number },
): Promise<boolean> {
  if (serverVersion < PARTITIONS_GENERATE_ALIKE) return false;
  const { rows } = await client.query<{ since: number }>(
    `select ${xidOf('p', 'pg_publication')} as since from pg_publication p where pubname = $1 and puballtables`,
    [publication],
  );
  const since = rows[0]?.since;
  return since !== undefined && (since === 0 || isLaterXid(xid, since));
}
