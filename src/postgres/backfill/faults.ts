// Why a table cannot be read for a backfill, with the cure: judged by SQLSTATE and routine.
import { escapeIdentifier } from 'pg';
import { refused, type TailraceError } from '../../core/errors.ts';
import type { TableName } from '../../core/selection.ts';
import { sqlStateOf } from '../connection/fault.ts';

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const INSUFFICIENT_PRIVILEGE = '42501';
const UNDEFINED_TABLE = '42P01';
/** Who looks at policies, in every version: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/misc/rls.c */
const POLICY_ROUTINE = 'check_enable_rls';

export const ROW_SECURITY = 'ROW_SECURITY';
export const TABLE_GONE = 'TABLE_GONE';

const field = (error: unknown, name: 'routine' | 'message'): string => {
  const value = error instanceof Error ? (error as unknown as Record<string, unknown>)[name] : undefined;
  return typeof value === 'string' ? value : '';
};

/** What the server refused, as a TailraceError; whatever else it is goes on as it is. */
export function readFault(
  error: unknown,
  {
    table,
    where,
    role,
  }: { readonly table: TableName; readonly where: string | undefined; readonly role: string },
): unknown {
  const state = sqlStateOf(error);
  if (state === undefined) return error;
  const { schema, table: name } = table;
  const fault = (code: string, message: string, hint: string): TailraceError =>
    refused(code, message, hint, error);
  if (state === UNDEFINED_TABLE) {
    return fault(
      TABLE_GONE,
      `${schema}.${name} is not there any more`,
      'it was dropped or renamed: begin a backfill of what there is now',
    );
  }
  if (state === INSUFFICIENT_PRIVILEGE && field(error, 'routine') === POLICY_ROUTINE) {
    return fault(
      ROW_SECURITY,
      `row-level security hides rows of ${schema}.${name} from our role, which the stream sends all the same`,
      `a backfill would miss them. As a superuser: ALTER ROLE ${escapeIdentifier(role)} BYPASSRLS;`,
    );
  }
  if (state === INSUFFICIENT_PRIVILEGE) return unreadable(table, role, error);
  // A filter of the user's may meet a value that it cannot take, in any row.
  if (where !== undefined && (state.startsWith('22') || state.startsWith('42'))) {
    return fault(
      'FILTER_REFUSED',
      `Postgres refuses the filter: ${field(error, 'message')}`,
      'correct it, and begin again',
    );
  }
  return error;
}

/** A right to some of its columns is not enough: the table is locked, as any reader does, before a snapshot is taken. */
export const unreadable = ({ schema, table }: TableName, role: string, cause?: unknown): TailraceError =>
  refused(
    'TABLE_UNREADABLE',
    `our role may not read ${schema}.${table}: the stream needs no right to do so, a backfill does, to the whole table`,
    `GRANT USAGE ON SCHEMA ${escapeIdentifier(schema)} TO ${escapeIdentifier(role)}; GRANT SELECT ON ${escapeIdentifier(schema)}.${escapeIdentifier(table)} TO ${escapeIdentifier(role)};`,
    cause,
  );
