// What a server's catalog says of the operators, functions, casts and types that a filter may mean, as the lines that the code keeps.
import type { Client } from 'pg';
import { FUNCTION_NAMES, OPERATOR_NAMES } from '../../src/functions/where/catalog/names.ts';

export type CatalogLines = {
  readonly types: readonly string[];
  readonly casts: readonly string[];
  readonly operators: readonly string[];
  readonly functions: readonly string[];
};

/** Only what Postgres itself brings, whatever is installed beside it. https://www.postgresql.org/docs/current/system-catalogs.html */
const BUILT_IN = 'oid < 16384';

export async function readServerCatalog(client: Client): Promise<CatalogLines> {
  const linesOf = async (sql: string, values: readonly unknown[] = []): Promise<string[]> => {
    const { rows } = await client.query<{ line: string }>(sql, [...values]);
    return rows.map(({ line }) => line).sort();
  };
  const name = (oid: string): string => `(select typname from pg_type where oid = ${oid})`;
  const isArray = `typelem <> 0 and typlen = -1 and typcategory = 'A'`;
  return {
    types: await linesOf(
      `select concat_ws(' ', oid, typname, typcategory::text || case when typispreferred then '!' else '' end,
         case when ${isArray} then ${name('t.typelem')} end) as line
       from pg_type t where ${BUILT_IN} and typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'p', 'r', 'm')
         and not (typelem <> 0 and typlen = -1 and exists (select from pg_type e where e.oid = t.typelem and e.typtype = 'c'))`,
    ),
    casts: await linesOf(
      `select concat_ws(' ', ${name('castsource')}, ${name('casttarget')}, castcontext, castmethod) as line
       from pg_cast where ${BUILT_IN}`,
    ),
    operators: await linesOf(
      `select concat_ws(' ', oprname, case when oprleft = 0 then '-' else ${name('oprleft')} end, ${name('oprright')}, ${name('oprresult')}) as line
       from pg_operator where ${BUILT_IN} and oprnamespace = 'pg_catalog'::regnamespace and oprname = any($1)`,
      [OPERATOR_NAMES],
    ),
    functions: await linesOf(
      `select concat_ws(' ', case when provariadic <> 0 then '*' else '' end || proname, ${name('prorettype')},
         (select string_agg(${name('a')}, ' ' order by n) from unnest(proargtypes::oid[]) with ordinality as x(a, n))) as line
       from pg_proc where ${BUILT_IN} and pronamespace = 'pg_catalog'::regnamespace and prokind = 'f' and proname = any($1)`,
      [FUNCTION_NAMES],
    ),
  };
}
