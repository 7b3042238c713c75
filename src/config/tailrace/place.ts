// Where a database is, and who we are there: what an entry of `databases` says, then a service file, then the environment, then
// the defaults; of TLS either what is written there or what surrounds it, as libpq has it.
import { resolve } from 'node:path';
import type { AuthenticationSettings, PasswordSource, TlsMode } from '../../postgres/settings.ts';
import { tlsModeOf } from '../connection-url.ts';
import { parseAuthMethods, type LibpqParameters } from '../libpq/parameters.ts';
import type { Surroundings } from '../libpq/surroundings.ts';
import { DATABASE_DEFAULTS, type WrittenDatabase } from '../schema/database.ts';
import { parseHostPort, type HostPort } from '../units.ts';

/** Certificates as they are written: texts, files, `system`. */
export type WrittenTls = {
  readonly mode: TlsMode;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly keyPassphrase?: string;
  readonly negotiation?: 'postgres' | 'direct';
};

export type Place = {
  readonly hosts: readonly HostPort[];
  readonly database: string;
  readonly username: string;
  readonly password: PasswordSource;
  readonly authentication: AuthenticationSettings;
  readonly tls: WrittenTls;
  /** Of the primary, where standbys are read from, what differs. */
  readonly primary: PrimaryPlace | undefined;
};

export type PrimaryPlace = {
  readonly hosts: readonly HostPort[];
  readonly database?: string;
  readonly username?: string;
  readonly password?: string;
  /** Without it as for the standby. */
  readonly tlsMode?: TlsMode;
};

export type PlaceContext = {
  readonly surroundings: Surroundings;
  /** Where relative paths of the configuration begin. */
  readonly directory: string;
  /** libpq's ~/.pgpass. */
  readonly passwordFile: string;
};

/** That hosts and database are named somewhere has been seen to. */
export function placeOf(written: WrittenDatabase, context: PlaceContext): Place {
  const { url } = written;
  const around = context.surroundings.parameters;
  const ports: readonly (number | undefined)[] = written.port ?? around.ports ?? [];
  const portOf = (index: number): number => ports[ports.length === 1 ? 0 : index] ?? DATABASE_DEFAULTS.port;
  const hosts =
    written.hostname?.map((host, index) => parseHostPort(host, portOf(index))!) ??
    (url !== undefined && url.hosts.length > 0 ? url.hosts : (around.hosts ?? []));
  return {
    hosts: hosts.map((host, index) => ({ port: portOf(index), ...host })),
    database: (url?.database ?? written.database ?? around.database)!,
    username: url?.username ?? written.username ?? around.username ?? DATABASE_DEFAULTS.username,
    password: passwordOf(written, context),
    authentication: { ...authenticationOfLibpq({ ...around, ...url }), ...writtenAuthentication(written) },
    tls: tlsOf(written, around),
    primary: primaryOf(written.primary ?? undefined),
  };
}

function primaryOf(written: NonNullable<WrittenDatabase['primary']> | undefined): PrimaryPlace | undefined {
  if (written === undefined) return undefined;
  const { hostname, port: ports = [DATABASE_DEFAULTS.port], database, username, password, ssl } = written;
  const portOf = (index: number): number => ports[index] ?? ports[0]!;
  return {
    hosts: hostname.map((host, index) => parseHostPort(host, portOf(index))!),
    ...(database !== undefined && { database }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(ssl !== undefined && { tlsMode: ssl ? 'require' : 'disable' }),
  };
}

function passwordOf(written: WrittenDatabase, { surroundings, directory, passwordFile }: PlaceContext) {
  const { url, rds_iam: iam, password_file: file, password_command: argv } = written;
  const given = url?.password ?? written.password;
  if (given !== undefined) return given;
  if (file !== undefined) return { from: 'file', file: resolve(directory, file) } as const;
  if (argv !== undefined) {
    return { from: 'command', argv, timeoutMs: written.password_command_timeout } as const;
  }
  if (iam !== undefined && iam !== false) return iamOf(iam === true ? { use_task_role: false } : iam);
  return passwordAround(url?.passfile, surroundings.parameters, {
    passwordFile,
    otherwise: DATABASE_DEFAULTS.password,
  });
}

const writtenAuthentication = ({
  channel_binding: channelBinding,
  require_auth: methods,
}: WrittenDatabase): Partial<AuthenticationSettings> => ({
  ...(channelBinding !== undefined && { channelBinding }),
  ...(methods !== undefined && { methods }),
});

/** What libpq's parameters, which were checked, say of how we are asked who we are. */
export function authenticationOfLibpq(parameters: LibpqParameters): AuthenticationSettings {
  const { channel_binding = 'prefer', require_auth } = parameters;
  const methods = require_auth === undefined ? undefined : parseAuthMethods(require_auth);
  return {
    channelBinding: channel_binding as AuthenticationSettings['channelBinding'],
    ...(methods !== undefined && { methods }),
  };
}

/** Where nothing is written: PGPASSWORD, else a line of a password file. */
export const passwordAround = (
  passfile: string | undefined,
  around: LibpqParameters,
  fallback: { readonly passwordFile: string; readonly otherwise: string },
): PasswordSource =>
  around.password ?? {
    from: 'pgpass',
    file: passfile ?? around.passfile ?? fallback.passwordFile,
    otherwise: fallback.otherwise,
  };

type IamConfig = Exclude<WrittenDatabase['rds_iam'], boolean | undefined>;

const iamOf = (iam: IamConfig): PasswordSource => ({
  from: 'rds_iam',
  useTaskRole: iam.use_task_role,
  ...(iam.region !== undefined && { region: iam.region }),
  ...(iam.profile !== undefined && { profile: iam.profile }),
  ...(iam.role_arn !== undefined && { roleArn: iam.role_arn }),
  ...(iam.external_id !== undefined && { externalId: iam.external_id }),
});

/** Only a `tls` block is strict by itself. */
function tlsOf(written: WrittenDatabase, around: LibpqParameters): WrittenTls {
  if (written.tls !== undefined) {
    const { mode, ca, cert, key, key_passphrase: keyPassphrase, negotiation } = written.tls;
    return {
      mode,
      ...(negotiation === 'direct' && { negotiation }),
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(keyPassphrase !== undefined && { keyPassphrase }),
    };
  }
  if (written.ssl !== undefined) return { mode: written.ssl ? 'require' : 'disable' };
  return tlsOfLibpq({ ...around, ...written.url });
}

/** What libpq's parameters say of TLS; without any, it is preferred. */
export function tlsOfLibpq(parameters: LibpqParameters): WrittenTls {
  const { mode, ca } = tlsModeOf(parameters);
  const { sslcert: cert, sslkey: key, sslpassword: keyPassphrase, sslnegotiation } = parameters;
  return {
    mode: mode as TlsMode,
    ...(sslnegotiation === 'direct' && { negotiation: 'direct' }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(keyPassphrase !== undefined && { keyPassphrase }),
  };
}
