// What a failed connection or command means, and what cures it: errors of Postgres, TLS and the network as TailraceErrors. A
// server's texts are translated (lc_messages): its SQLSTATE and routine decide. Only texts of `pg`'s own, which has no codes, are read.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
import { escapeIdentifier } from 'pg';
import { shortageBehind } from '../../core/descriptors.ts';
import { TailraceError } from '../../core/errors.ts';
import type { DatabaseSettings } from '../settings.ts';
import { identityFault, passwordCure, unlessMistaken } from './identity-fault.ts';
import { formatTarget, type Fault, type Refusal, type Target } from './target.ts';
import { tlsFault } from './tls-fault.ts';

/** The SQLSTATE or system code that an error carries. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}

/** The SQLSTATE that the server answered; undefined where a network's code (EPIPE has five letters, too), or nothing, came instead. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = codeOf(error);
  return isSqlState(code) ? code : undefined;
}

/** Is it a server's answer, or what became of the way to it? Anything else is a fault of our own, of which no server should be suspected. */
export const comesFromServer = (error: unknown): boolean =>
  sqlStateOf(error) !== undefined ||
  (error instanceof Error && ('syscall' in error || error.message === READ_TIMEOUT));

/** `pg`'s own, where `query_timeout` is over. */
const READ_TIMEOUT = 'Query read timeout';

const isSqlState = (code: string): boolean => /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code);

/** The function of the server that refused; '' where none is named: whatever answered is not Postgres, which names it always. */
function routineOf(error: unknown): string {
  const routine = error instanceof Error && 'routine' in error ? error.routine : undefined;
  return typeof routine === 'string' ? routine : '';
}

/** What a server says of an error goes into lines and statuses: of more than this only the beginning. */
const MAX_TEXT_CHARS = 2000;

const textOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error);
  return text.length <= MAX_TEXT_CHARS
    ? text
    : `${text.slice(0, MAX_TEXT_CHARS)}… (${text.length} characters)`;
};

/** Whoever answers sends what no Postgres sends. */
export const protocolFault = (words: string, settings: DatabaseSettings, target: Target): TailraceError =>
  new TailraceError(
    `database "${settings.name}": ${formatTarget(target)} does not speak as Postgres does (${words})`,
    {
      code: 'PROTOCOL_BROKEN',
      kind: 'retryable',
      hint: 'check hostname and port, and that Postgres itself answers there; a connection without tls.mode verify-full may be changed on its way',
    },
  );

/** Wraps whatever connecting to `target` threw. `aside`: what else may be behind a password that was refused. */
export function connectionFault(
  error: unknown,
  settings: DatabaseSettings,
  target: Target,
  aside?: string,
): TailraceError {
  if (error instanceof TailraceError) return error;
  const fault =
    postgresFault(
      { code: codeOf(error), text: textOf(error), routine: routineOf(error) },
      settings,
      target,
    ) ??
    shortageFault(error) ??
    tlsFault(codeOf(error), textOf(error), settings, target) ??
    networkFault(codeOf(error), textOf(error), settings, target);
  const more = aside !== undefined && fault.code === PASSWORD_REFUSED ? ` (${aside})` : '';
  return new TailraceError(`database "${settings.name}": ${fault.message}${more}`, {
    ...fault,
    cause: error,
  });
}

/** Of this machine, whatever was connected to, or opened. */
function shortageFault(error: unknown): Fault | undefined {
  const shortage = shortageBehind(error);
  if (shortage === undefined) return undefined;
  const { code, what, cure } = shortage;
  return { code, kind: 'retryable', message: `${what}: ${textOf(error)}`, hint: cure };
}

const PASSWORD_REFUSED = 'PASSWORD_REFUSED';

/** What a pooler refuses by itself: a start-up parameter, replication, a database that it does not know. */
const POOLER_STATES: readonly string[] = ['08P01', '3D000', '0A000'];

function postgresFault(refusal: Refusal, settings: DatabaseSettings, target: Target): Fault | undefined {
  const { code, text, routine } = refusal;
  const at = formatTarget(target);
  const role = escapeIdentifier(settings.username);
  const database = escapeIdentifier(settings.database);
  if (routine === '' && POOLER_STATES.includes(code)) {
    return {
      code: 'POOLER',
      kind: 'fatal',
      message: `a connection pooler answers at ${at}, not Postgres (${text})`,
      hint: 'set hostname and port to the Postgres server itself: logical replication does not pass through a pooler',
    };
  }
  switch (code) {
    case '28P01':
      return {
        code: PASSWORD_REFUSED,
        kind: 'fatal',
        message: `${at} refused the password of role ${role}`,
        hint: passwordCure(settings),
      };
    case '28000':
      return identityFault(refusal, settings, target);
    case '3D000':
      return {
        code: 'DATABASE_MISSING',
        kind: 'fatal',
        message: `there is no database ${database} at ${at}`,
        hint: `${unlessMistaken('database', settings.database)}correct databases[].database, or CREATE DATABASE ${database};`,
      };
    case '42501':
      return permissionFault(refusal, settings, target);
    case '0A000':
      return routine === 'InitializeClientEncoding' ? encodingFault(text, database) : otherFault(refusal, at);
    case '22021':
    case '22P05':
      return {
        code: 'NAME_UNDECODABLE',
        kind: 'fatal',
        message: `a name in the catalog of ${database} has bytes that are no text in its encoding (${text})`,
        hint: 'rename that table, column or type (ALTER … RENAME), or let each sink name its tables instead of patterns',
      };
    case '53300':
      return {
        code: 'NO_CONNECTION_FREE',
        kind: 'retryable',
        message: `${at} has no connection or WAL sender free (${text})`,
        hint: roomFor(routine, role, database),
      };
    case '57P03':
    case '57P01':
    case '57P02':
      return {
        code: 'SERVER_NOT_READY',
        kind: 'retryable',
        message: `${at} starts or stops (${text})`,
        hint: 'Tailrace goes on as soon as the server takes connections',
      };
    default:
      return otherFault(refusal, at);
  }
}

/** Of Postgres 13 to 18, by who counts: a role's limit, a database's, or the server's. Tailrace has three connections at most. */
function roomFor(routine: string, role: string, database: string): string {
  switch (routine) {
    case 'InitializeSessionUserId':
      return `ALTER ROLE ${role} CONNECTION LIMIT -1; (or three more than others use by this role)`;
    case 'CheckMyDatabase':
      return `ALTER DATABASE ${database} CONNECTION LIMIT -1; (or three more than others use)`;
    default:
      return 'end unused connections, or ALTER SYSTEM SET max_connections = …; ALTER SYSTEM SET max_wal_senders = …; and restart Postgres';
  }
}

const codeOfState = (state: string): string => `POSTGRES_${state}`;

/** What the server says of a fault of its own. https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const INTERNAL_ERROR = codeOfState('XX000');

const otherFault = ({ code, text }: Refusal, at: string): Fault | undefined =>
  isSqlState(code)
    ? {
        code: codeOfState(code),
        kind: 'retryable',
        message: `${at} answered: ${text} (SQLSTATE ${code})`,
        hint: "look this SQLSTATE up in the server's log",
      }
    : undefined;

/** Of MULE_INTERNAL alone. https://www.postgresql.org/docs/current/multibyte.html */
const encodingFault = (text: string, database: string): Fault => ({
  code: 'ENCODING_UNSUPPORTED',
  kind: 'fatal',
  message: `the server cannot convert the texts of database ${database} to UTF-8 (${text})`,
  hint: 'dump it and restore it into a database made with ENCODING UTF8',
});

/** Of Postgres 13 to 18: who checks that a role may replicate. */
const CHECKS_REPLICATION: ReadonlySet<string> = new Set([
  'InitPostgres',
  'CheckSlotPermissions',
  'check_permissions',
]);

function permissionFault({ text, routine }: Refusal, settings: DatabaseSettings, target: Target): Fault {
  const at = formatTarget(target);
  const role = escapeIdentifier(settings.username);
  const database = escapeIdentifier(settings.database);
  if (CHECKS_REPLICATION.has(routine)) {
    return {
      code: 'REPLICATION_NOT_ALLOWED',
      kind: 'fatal',
      message: `role ${role} may not replicate from ${at} (${text})`,
      hint: `ALTER ROLE ${role} WITH REPLICATION; (on Amazon RDS: GRANT rds_replication TO ${role};)`,
    };
  }
  if (routine === 'CheckMyDatabase') {
    return {
      code: 'CONNECT_NOT_ALLOWED',
      kind: 'fatal',
      message: `role ${role} may not connect to database ${database} at ${at} (${text})`,
      hint: `GRANT CONNECT ON DATABASE ${database} TO ${role};`,
    };
  }
  return {
    code: 'PERMISSION_DENIED',
    kind: 'fatal',
    message: `${at} does not allow role ${role} what it needs (${text})`,
    hint: `GRANT to ${role} what the server names, or use the role that owns it`,
  };
}

function networkFault(code: string, text: string, settings: DatabaseSettings, target: Target): Fault {
  const at = formatTarget(target);
  if (/exceeds scramMaxIterations/.test(text)) {
    return {
      code: 'SCRAM_TOO_COSTLY',
      kind: 'fatal',
      message: `${at} asks for more rounds of hashing a password than any login should take (${text})`,
      hint: `check that Postgres itself answers there, then SET scram_iterations = 4096; and set the password of role ${escapeIdentifier(settings.username)} again`,
    };
  }
  if (/SASL|password must be a string/i.test(text)) {
    const isBinding = /channel binding/i.test(text);
    return {
      code: PASSWORD_REFUSED,
      kind: 'fatal',
      message: `${at} wants a password for role ${escapeIdentifier(settings.username)} and none fits (${text})`,
      hint: isBinding ? 'set databases[].channel_binding to disable' : 'set databases[].password',
    };
  }
  if (text === READ_TIMEOUT) {
    return {
      code: 'CONNECTION_SILENT',
      kind: 'retryable',
      message: `${at} has not answered a query in time`,
      hint: 'Tailrace connects again by itself; if this repeats, look at the network, and at what the server is busy with',
    };
  }
  const direct =
    settings.tls.negotiation === 'direct'
      ? '; tls.negotiation: direct needs Postgres 17 or newer, which older ones answer by hanging up'
      : '';
  return {
    code: code === '' ? 'CONNECTION_FAILED' : code,
    kind: 'retryable',
    message: `cannot reach ${at} (${code === '' ? text : code})`,
    hint: `check hostname and port, that Postgres runs there, and that no firewall is in between${direct}`,
  };
}
