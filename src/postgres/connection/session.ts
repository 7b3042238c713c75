// What a session that reads values is set to, so that one codec reads stream and tables and nothing that a role or database sets
// changes a value (invariant 6). Only what money is counted in stays the database's own.
import { escapeIdentifier, escapeLiteral, type Client, type QueryResult, type QueryResultRow } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { DatabaseSettings } from '../settings.ts';

/**
 * In the start-up packet. Every setting that an output function looks at is here, except lc_monetary; and those that would
 * cut us off, hide a warning, or hide rows.
 * https://www.postgresql.org/docs/current/runtime-config-client.html
 */
export const PINNED_SETTINGS: Readonly<Record<string, string>> = {
  // date, timestamp, timestamptz; interval; real, double precision and what is made of them; bytea.
  DateStyle: 'ISO',
  IntervalStyle: 'iso_8601',
  extra_float_digits: '3',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  // regclass, regtype, regproc and their like: names with their schema, quoted only where they must be.
  search_path: 'pg_catalog',
  quote_all_identifiers: 'off',
  xmlbinary: 'base64',
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  transform_null_equals: 'off',
  // Rows that a policy hides are an error, not absent; warnings come (a missing publication is one).
  row_security: 'off',
  client_min_messages: 'warning',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  exit_on_error: 'off',
  default_transaction_read_only: 'off',
  default_transaction_isolation: 'read committed',
  // Rights are those of the role that the configuration names, whatever ALTER ROLE … SET role makes of it.
  role: 'none',
};

/** For the start-up packet's `options`. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS */
export const PINNED_OPTIONS = Object.entries(PINNED_SETTINGS)
  .map(([name, value]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, String.raw`\$&`)}`)
  .join(' ');

/**
 * Sets the timeouts that not every version knows, so that they cannot stand in the start-up packet, and tells what is not
 * pinned. What stands for every role (`setrole` 0) is the database's, or with `setdatabase` 0 the whole server's.
 * https://www.postgresql.org/docs/current/catalog-pg-db-role-setting.html
 */
const LOOK = `select (select count(set_config(name, '0', false)) from pg_settings
    where name in ('idle_session_timeout', 'transaction_timeout')) as timeouts,
  case when current_setting('IntervalStyle') = 'iso_8601' and current_setting('search_path') = 'pg_catalog'
    and current_setting('row_security') = 'off' then 'pinned' else 'lost' end as options,
  current_setting('server_encoding') as encoding, current_setting('client_encoding') as "clientEncoding",
  (select source from pg_settings where name = 'lc_monetary') as "moneySource",
  (select substr(line, strpos(line, '=') + 1) from pg_db_role_setting s, unnest(s.setconfig) line
   where s.setrole = 0 and lower(split_part(line, '=', 1)) = 'lc_monetary' and (s.setdatabase = 0
     or s.setdatabase = (select oid from pg_database where datname = current_database()))
   order by s.setdatabase desc limit 1) as "moneyOfAll"`;

type Looked = {
  /** Of what the start-up packet sets, some that nobody else does. */
  readonly options: 'pinned' | 'lost';
  readonly encoding: string;
  readonly clientEncoding: string;
  readonly moneySource: string;
  /** lc_monetary as ALTER DATABASE or ALTER ROLE ALL has it. */
  readonly moneyOfAll: string | null;
};

/** Where lc_monetary comes from when the role has one of its own. https://www.postgresql.org/docs/current/view-pg-settings.html */
const OF_ROLE: readonly string[] = ['user', 'database user'];

export type PinPorts = {
  readonly settings: DatabaseSettings;
  /** Receive text as the database has it, unconverted. */
  readonly ownEncoding: boolean;
  /** lc_monetary as the server's configuration has it, whatever the role's is; undefined: it does not tell. */
  readonly serverMoney: () => Promise<string | undefined>;
};

/** The first question of a connection: a server that does not answer it by then answers nothing. */
const FIRST_ANSWER_TIMEOUT_MS = 60_000;

const askFirst = <Row extends QueryResultRow>(client: Client, text: string): Promise<QueryResult<Row>> => {
  // pg's types do not know that a query may have a timeout of its own.
  const query = { text, query_timeout: FIRST_ANSWER_TIMEOUT_MS };
  return client.query<Row>(query);
};

/** Sets the rest of what a session that reads values needs: what depends on the server. */
export async function pinSession(client: Client, ports: PinPorts): Promise<void> {
  const { rows } = await askFirst<Looked>(client, LOOK);
  const looked = rows[0];
  if (looked === undefined) return;
  if (looked.options === 'lost') throw optionsLost(ports.settings);
  // Nothing can be converted from SQL_ASCII: whoever asks for UTF8 is refused the first row that is something else.
  // https://www.postgresql.org/docs/current/multibyte.html
  const isOwn = ports.ownEncoding || looked.encoding === 'SQL_ASCII';
  if (isOwn && looked.encoding !== looked.clientEncoding)
    await set(client, 'client_encoding', looked.encoding);
  if (!OF_ROLE.includes(looked.moneySource)) return;
  const money = looked.moneyOfAll ?? (await serverMoney(client, ports));
  if (money === undefined) throw moneyUnknown(ports.settings, looked.moneySource === 'database user');
  await set(client, 'lc_monetary', money);
}

/** In one simple query: a walsender takes no others. */
const set = (client: Client, name: string, value: string): Promise<unknown> =>
  client.query(`select set_config(${escapeLiteral(name)}, ${escapeLiteral(value)}, false)`);

/** Asked of the server itself, else read in its files, where the role may. */
async function serverMoney(client: Client, ports: PinPorts): Promise<string | undefined> {
  const asked = await ports.serverMoney();
  if (asked !== undefined) return asked;
  const { rows: may } = await client.query<{ read: boolean }>(
    `select has_table_privilege('pg_file_settings', 'select')
       and has_function_privilege('pg_show_all_file_settings()', 'execute') as read`,
  );
  if (may[0]?.read !== true) return undefined;
  const { rows } = await client.query<{ setting: string }>(
    `select setting from pg_file_settings where name = 'lc_monetary' and applied`,
  );
  return rows[0]?.setting;
}

/** PgBouncer does so where it is told `ignore_startup_parameters = options`. */
const optionsLost = ({ name }: DatabaseSettings): TailraceError =>
  new TailraceError(
    `database "${name}": what a session is set to at its start did not reach Postgres: a connection pooler is in between, and values would be written as it likes`,
    {
      code: 'POOLER',
      kind: 'fatal',
      hint: 'set hostname and port to the Postgres server itself',
    },
  );

function moneyUnknown({ name, username, database }: DatabaseSettings, inDatabase: boolean): TailraceError {
  const role = escapeIdentifier(username);
  const where = inDatabase ? ` IN DATABASE ${escapeIdentifier(database)}` : '';
  return new TailraceError(
    `database "${name}": role ${role} has an lc_monetary of its own, and what the server's is cannot be asked: values of type money would be the role's`,
    {
      code: 'MONEY_LOCALE_UNKNOWN',
      kind: 'fatal',
      hint: `ALTER ROLE ${role}${where} RESET lc_monetary; or say what the database counts in: ALTER DATABASE ${escapeIdentifier(database)} SET lc_monetary = '…';`,
    },
  );
}
