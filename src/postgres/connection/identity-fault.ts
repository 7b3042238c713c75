// What it means that a server does not take us for who we say we are, and what cures it.
import { escapeIdentifier } from 'pg';
import type { DatabaseSettings } from '../settings.ts';
import { formatTarget, type Fault, type Refusal, type Target } from './target.ts';

const endsWithLineBreak = (text: string): boolean => /[\r\n]$/.test(text);

/** Before a cure that would make what is not meant: a name that came from a file, or a secret, and has its line break. */
export const unlessMistaken = (what: string, name: string): string =>
  endsWithLineBreak(name)
    ? `the name of the ${what} ends with a line break, as the content of a file does: take that away, or `
    : '';

/** A password may have them, so it is sent with them; one that came from a file mostly should not. */
function blanksAround(password: string): string {
  if (endsWithLineBreak(password))
    return 'it ends with a line break, as the content of a file does: take that away, or ';
  return /^\s|\s$/.test(password) ? 'it has blanks around it: take them away, or ' : '';
}

/** What is wrong with a password depends on where it is from. */
export function passwordCure(settings: DatabaseSettings): string {
  return `${unlessMistaken('role', settings.username)}${passwordCureOf(settings)}`;
}

function passwordCureOf({ password, username }: DatabaseSettings): string {
  const role = escapeIdentifier(username);
  // The server does not say whether it is wrong, or has run out.
  const set = `set it: ALTER ROLE ${role} WITH LOGIN PASSWORD '…' VALID UNTIL 'infinity';`;
  if (typeof password === 'string')
    return `${blanksAround(password)}correct the password in the configuration, or ${set}`;
  switch (password.from) {
    case 'file':
      return `correct the password in ${password.file} (it is read at each connect), or ${set}`;
    case 'command':
      return `look at what ${password.argv[0]} prints, or ${set}`;
    case 'pgpass':
      return `give the password in the configuration, in PGPASSWORD or in ${password.file}, or ${set}`;
    case 'rds_iam':
      return iamCure(role);
    default:
      return password satisfies never;
  }
}

/** https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html */
const iamCure = (role: string): string =>
  `GRANT rds_iam TO ${role}; allow rds-db:connect for that role in the IAM policy of whoever signs, switch IAM authentication on at the instance, and for replication set rds.iam_auth_for_replication = 1 in its parameter group`;

/** https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/libpq/auth.c */
const REFUSES_BY_HBA = 'ClientAuthentication';
const REFUSES_AUTHENTICATION = 'auth_failed';

export function identityFault({ text, routine }: Refusal, settings: DatabaseSettings, target: Target): Fault {
  if (routine === REFUSES_BY_HBA) return hbaFault(text, settings, target);
  const at = formatTarget(target);
  const role = escapeIdentifier(settings.username);
  const isIam = typeof settings.password === 'object' && settings.password.from === 'rds_iam';
  if (routine === REFUSES_AUTHENTICATION) {
    return {
      code: 'AUTHENTICATION_REFUSED',
      kind: 'fatal',
      message: `${at} does not take role ${role} for who it says it is (${text})`,
      hint: isIam
        ? iamCure(role)
        : `by certificate: tls.cert has to be for the name ${role}, or pg_ident.conf has to map its name to it; otherwise look at the method that pg_hba.conf names`,
    };
  }
  return {
    code: 'ROLE_REFUSED',
    kind: 'fatal',
    message: `${at} refused role ${role} (${text})`,
    hint: `${unlessMistaken('role', settings.username)}ALTER ROLE ${role} WITH LOGIN REPLICATION;`,
  };
}

function hbaFault(text: string, { tls, database, username }: DatabaseSettings, target: Target): Fault {
  const isLocal = target.host.startsWith('/');
  const isPlain = tls.mode === 'disable';
  // `prefer` has gone on without TLS where the server has none.
  const type = isPlain || tls.mode === 'prefer' ? 'host' : 'hostssl';
  const line = isLocal
    ? `local ${database} ${username} scram-sha-256`
    : `${type} ${database} ${username} <this host>/32 scram-sha-256`;
  const add = `add "${line}" to pg_hba.conf and run SELECT pg_reload_conf();`;
  // The same function of the server refuses who shows no certificate where clientcert= wants one.
  const certificate =
    tls.cert === undefined && !isLocal && !isPlain
      ? '; where it asks for a client certificate, give tls.cert and tls.key'
      : '';
  return {
    code: 'HBA_REFUSED',
    kind: 'fatal',
    message: `pg_hba.conf of ${formatTarget(target)} refuses this connection (${text})`,
    hint:
      isPlain && !isLocal ? `set tls.mode to verify-full (or require), or ${add}` : `${add}${certificate}`,
  };
}
