// How the types of a relation's columns are written in SQL for the server, and which of them the role may not name there.
import type { Client } from 'pg';
import type { Relation } from '../../../core/change.ts';

export type TypeTexts = {
  /** By OID, with the modifier that a column has: `-1` for none. */
  of(oid: number, modifier?: number): string | undefined;
  /** Schemas of these types that the role has no USAGE on, as SQL writes them. */
  readonly hidden: readonly string[];
};

type Row = {
  readonly oid: number;
  readonly modifier: number;
  readonly text: string;
  readonly schema: string;
  readonly isHidden: boolean;
};

/** Of the types that a relation names, by columns or inside of other types. One that is gone has no text. */
export async function readTypeTexts(client: Client, { columns, types }: Relation): Promise<TypeTexts> {
  const wanted = [
    ...columns.map(({ type, typeModifier }) => [type, typeModifier] as const),
    ...[...types.keys()].map((oid) => [oid, -1] as const),
  ];
  const { rows } = await client.query<Row>(
    `select w.oid::float8 as oid, w.modifier, quote_ident(n.nspname) as schema, not has_schema_privilege(n.oid, 'usage') as "isHidden",
       case when n.nspname = 'pg_catalog' then format_type(t.oid, w.modifier) else quote_ident(n.nspname) || '.' || quote_ident(t.typname) end as text
     from unnest($1::int8[], $2::int4[]) as w(oid, modifier)
     join pg_type t on t.oid = w.oid::oid join pg_namespace n on n.oid = t.typnamespace`,
    [wanted.map(([oid]) => oid), wanted.map(([, modifier]) => modifier)],
  );
  const texts = new Map(rows.map(({ oid, modifier, text }) => [`${oid} ${modifier}`, text]));
  return {
    of: (oid, modifier = -1) => texts.get(`${oid} ${modifier}`),
    hidden: [...new Set(rows.flatMap(({ isHidden, schema }) => (isHidden ? [schema] : [])))],
  };
}
