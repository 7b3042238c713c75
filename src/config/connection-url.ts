// Reads a Postgres connection URL as libpq does: several hosts, sockets, and parameters that stand for any part of it.
// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
import { nearestName } from '../core/nearest-name.ts';
import type { LibpqParameters } from './libpq/parameters.ts';

/** A raw `?` in a password is taken for the query only where the rest would be no URL. */
const URL_SHAPE =
  /^postgres(?:ql)?:\/\/(?:([^:@/?]*)(?::([^/?]*|[^/]*))?@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/;

/** More than any list of hosts needs; the shape is not linear in the length. */
const MAX_URL_CHARS = 8192;

/** `[::1]:5432`, `db`, `db:5432`, `%2Fvar%2Frun%2Fpostgresql`: brackets and ports are seen before escapes are. */
const HOST_SHAPE = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d*))?$/;

export type UrlHost = { readonly host: string; /** Undefined: the usual one. */ readonly port?: number };

export type ConnectionUrl = Omit<LibpqParameters, 'hosts'> & {
  /** None: the URL leaves it to the service file, or the environment. */
  readonly hosts: readonly UrlHost[];
  readonly service?: string;
  readonly servicefile?: string;
  /** Parameters of libpq that mean nothing here. */
  readonly passedOver: readonly string[];
  /** The first parameter that nobody knows, and what it looks like. */
  readonly unknown?: { readonly name: string; readonly nearest?: string };
};

/** Parameters that are understood, and what they are here. */
const UNDERSTOOD: ReadonlyMap<string, string> = new Map([
  ['dbname', 'database'],
  ['user', 'username'],
  ['password', 'password'],
  ['host', 'host'],
  ['port', 'port'],
  ['sslmode', 'sslmode'],
  ['sslrootcert', 'sslrootcert'],
  ['sslcert', 'sslcert'],
  ['sslkey', 'sslkey'],
  ['sslpassword', 'sslpassword'],
  ['sslnegotiation', 'sslnegotiation'],
  ['channel_binding', 'channel_binding'],
  ['require_auth', 'require_auth'],
  ['passfile', 'passfile'],
  ['service', 'service'],
  ['servicefile', 'servicefile'],
  ['ssl', 'ssl'],
  ['target_session_attrs', 'target'],
]);

/** The rest of libpq's. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS */
export const PASSED_OVER: ReadonlySet<string> = new Set(
  `application_name client_encoding connect_timeout fallback_application_name gssdelegation gssencmode
  gsslib hostaddr keepalives keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts
  max_protocol_version min_protocol_version oauth_client_id oauth_client_secret oauth_issuer oauth_scope options
  replication requirepeer requiressl scram_client_key scram_server_key sslcertmode
  sslcompression sslcrl sslcrldir sslkeylogfile ssl_max_protocol_version ssl_min_protocol_version
  sslsni tcp_user_timeout tty`.split(/\s+/),
);

/** The server that is followed is the primary in any case. */
const MEANS_PRIMARY: ReadonlySet<string> = new Set(['primary', 'read-write']);

/** Undefined when the text is no such URL. */
export function parseConnectionUrl(text: string): ConnectionUrl | undefined {
  const match = text.length > MAX_URL_CHARS ? null : URL_SHAPE.exec(text);
  if (match === null) return undefined;
  const [, username, password, authority = '', database, query] = match;
  try {
    const { given, passedOver, unknown } = readQuery(query);
    const parts = { username, password, database };
    for (const [key, value] of Object.entries(parts)) if (value) given[key] ??= decodeURIComponent(value);
    const hosts = readHosts(authority, given);
    if (hosts === undefined) return undefined;
    const { host: _, port: __, target: ___, ssl, ...rest } = given;
    const sslmode = given['sslmode'] ?? sslmodeOf(ssl);
    return {
      ...rest,
      ...(sslmode !== undefined && { sslmode }),
      hosts,
      passedOver,
      ...(unknown && { unknown }),
    };
  } catch {
    return undefined; // a stray "%"
  }
}

/** Of a parameter that is written twice the last one counts. Empty ones say nothing. */
function readQuery(query = ''): {
  given: Record<string, string>;
  passedOver: string[];
  unknown: ConnectionUrl['unknown'];
} {
  const given: Record<string, string> = {};
  const passedOver = new Set<string>();
  let unknown: ConnectionUrl['unknown'];
  for (const parameter of query.split('&').filter((written) => written !== '')) {
    // Unlike in a form, "+" is no blank.
    const [name = '', value = ''] = parameter.split(/=(.*)/s).map(decodeURIComponent);
    const key = UNDERSTOOD.get(name);
    if (key !== undefined && value !== '') given[key] = value;
    if (PASSED_OVER.has(name) || (key === 'target' && !MEANS_PRIMARY.has(value))) passedOver.add(name);
    else if (key === undefined && unknown === undefined) {
      const nearest = nearestName(name, [...UNDERSTOOD.keys(), ...PASSED_OVER]);
      unknown = { name, ...(nearest !== undefined && { nearest }) };
    }
  }
  return { given, passedOver: [...passedOver], unknown };
}

/** One port is that of every host; else each has its own. */
function readHosts(authority: string, given: Readonly<Record<string, string>>): UrlHost[] | undefined {
  const written = authority.split(',').map((host) => HOST_SHAPE.exec(host));
  if (written.includes(null)) return undefined;
  const ports = given['port']?.split(',') ?? written.map((host) => host![3] ?? '');
  if (authority === '' && given['host'] === undefined && given['port'] === undefined) return [];
  const names = given['host']?.split(',') ?? written.map((host) => decodeURIComponent(host![1] ?? host![2]!));
  return pairHosts(names, ports);
}

/** `host` and `port` of libpq: undefined where the two do not go together. */
export function pairHosts(names: readonly string[], ports: readonly string[]): UrlHost[] | undefined {
  if (ports.length !== 1 && ports.length !== names.length) return undefined;
  const hosts: UrlHost[] = [];
  for (const [index, name] of names.entries()) {
    const port = ports[ports.length === 1 ? 0 : index]!;
    if (name === '' || !/^\d{0,5}$/.test(port) || Number(port) > 65_535) return undefined;
    hosts.push({ host: name, ...(port !== '' && { port: Number(port) }) });
  }
  return hosts;
}

/** As JDBC and node-postgres spell it. */
function sslmodeOf(ssl: string | undefined): string | undefined {
  if (ssl === 'true' || ssl === '1') return 'require';
  return ssl === 'false' || ssl === '0' ? 'disable' : undefined;
}

/** In the place of a file of authorities: those that this machine trusts. */
export const SYSTEM_AUTHORITIES = 'system';

/** What libpq makes of `sslmode` and `sslrootcert`. https://www.postgresql.org/docs/current/libpq-ssl.html */
export function tlsModeOf({ sslmode, sslrootcert }: Pick<LibpqParameters, 'sslmode' | 'sslrootcert'>): {
  readonly mode: string;
  /** A file, a PEM text, or `system`. */
  readonly ca?: string;
} {
  // https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLROOTCERT
  if (sslrootcert === SYSTEM_AUTHORITIES) return { mode: 'verify-full', ca: sslrootcert };
  const written = sslmode === undefined || sslmode === 'allow' ? 'prefer' : sslmode;
  if (sslrootcert === undefined) return { mode: written };
  return { mode: written === 'require' ? 'verify-ca' : written, ca: sslrootcert };
}
