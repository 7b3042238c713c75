// Who keeps a publication from being changed: adding a table, or taking it out, waits for VACUUM, indexes that are being built, and DDL.
import { escapeLiteral, type Client } from 'pg';
import { formatTableName, type TableName } from '../../core/selection.ts';

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: lock_not_available, after `lock_timeout`. */
export const LOCKED = '55P03';

/** What SHARE UPDATE EXCLUSIVE waits for. https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES */
const IN_ITS_WAY = `'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'`;

type Holder = TableName & {
  /** Null: a prepared transaction, which has no process. */
  readonly pid: number | null;
  readonly gid: string | null;
  readonly who: string;
  /** ISO 8601. */
  readonly since: string | null;
};

/** What is waited for, and its cure. */
export type TableLock = { readonly what: string; readonly cure: string };

/** Who has one of the tables, or waits to have it before us; undefined: nobody any more. */
export async function tableLock(
  client: Client,
  tables: readonly TableName[],
): Promise<TableLock | undefined> {
  const { rows } = await client.query<Holder>(
    `select n.nspname as schema, c.relname as table, l.pid, p.gid,
       pg_catalog.concat_ws(', ', nullif(a.backend_type, 'client backend'), nullif(a.application_name, ''), a.state) as who,
       pg_catalog.to_char(coalesce(a.xact_start, p.prepared) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
     from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     left join pg_catalog.pg_stat_activity a on a.pid = l.pid
     -- A prepared transaction has itself for itself, too.
     left join pg_catalog.pg_locks x on l.pid is null and x.pid is null and x.locktype = 'transactionid' and x.virtualtransaction = l.virtualtransaction
     left join pg_catalog.pg_prepared_xacts p on p.transaction = x.transactionid
     where l.locktype = 'relation' and l.pid is distinct from pg_catalog.pg_backend_pid() and l.mode in (${IN_ITS_WAY})
       and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
       and (n.nspname, c.relname) in (select * from unnest($1::pg_catalog.name[], $2::pg_catalog.name[]))
     order by l.granted desc, since limit 1`,
    [tables.map(({ schema }) => schema), tables.map(({ table }) => table)],
  );
  const [holder] = rows;
  return holder && describe(holder);
}

function describe({ pid, gid, who, since, ...table }: Holder): TableLock {
  const began = since === null ? '' : ` since ${since}`;
  const name = formatTableName(table);
  if (pid !== null) {
    return {
      what: `table ${name} is held by process ${pid} (${who}${began})`,
      cure: `let it end, or SELECT pg_terminate_backend(${pid});`,
    };
  }
  return {
    what: `table ${name} is held by a prepared transaction${began}`,
    cure: `COMMIT PREPARED ${escapeLiteral(gid ?? '')}; or ROLLBACK PREPARED ${escapeLiteral(gid ?? '')};`,
  };
}
