// The database that `tailrace tail URL` means.
import { parseConnectionUrl } from '../../config/connection-url.ts';
import { readPem, type ReadFile } from '../../config/file/file-access.ts';
import { connectionSchema, DATABASE_DEFAULTS } from '../../config/schema/database.ts';
import { connectionSettings } from '../../config/tailrace/databases.ts';
import { parseHostPort } from '../../config/units.ts';
import type { TailraceError } from '../../core/errors.ts';
import type { DatabaseSettings, TlsSettings } from '../../postgres/settings.ts';
import { usageError } from '../ports.ts';

const MODES: readonly TlsSettings['mode'][] = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'];

export type TargetContext = {
  /** PGPASSWORD keeps a password out of the list of processes. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly readFile: ReadFile;
};

/** Throws TailraceError USAGE when the text is no connection URL. */
export async function parseTarget(text: string, context: TargetContext): Promise<DatabaseSettings> {
  const url = parseConnectionUrl(text);
  const hosts = url?.hosts.map((host) => parseHostPort(host, DATABASE_DEFAULTS.port));
  if (url === undefined || hosts === undefined || hosts.includes(undefined)) {
    throw badUrl('that is not a connection URL');
  }
  if (url.unknown.length > 0) throw badUrl(`unknown parameter "${url.unknown[0]}" in the URL`);
  const username = url.username ?? DATABASE_DEFAULTS.username;
  const database = url.database ?? username;
  const absent = '';
  return {
    name: database,
    hosts: hosts.filter((host) => host !== undefined),
    database,
    username,
    password: url.password ?? context.env['PGPASSWORD'] ?? '',
    tls: await tlsOf(url, context),
    slot: { name: absent, createIfNotExists: false, ack: 'durable', maxRetainedBytes: 0, failover: false },
    publication: { name: absent, createIfNotExists: false, refreshIntervalMs: 0 },
    markers: { skip: false },
    onGap: 'halt',
    acceptedGaps: [],
    ...connectionSettings(connectionSchema.parse({})),
  };
}

type Url = NonNullable<ReturnType<typeof parseConnectionUrl>>;

/** As libpq does: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLMODE */
async function tlsOf(url: Url, context: TargetContext): Promise<TlsSettings> {
  const ca = await pemOf(url.sslrootcert, context);
  const cert = await pemOf(url.sslcert, context);
  const key = await pemOf(url.sslkey, context);
  const written = url.sslmode === 'allow' ? 'prefer' : (url.sslmode ?? 'prefer');
  const mode = MODES.find((known) => known === written);
  if (mode === undefined) throw badUrl(`unknown sslmode (allowed: ${MODES.join(', ')})`);
  return {
    mode: mode === 'require' && ca !== undefined ? 'verify-ca' : mode,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

async function pemOf(written: string | undefined, context: TargetContext): Promise<string | undefined> {
  if (written === undefined) return undefined;
  const result = await readPem(written, { directory: context.cwd, readFile: context.readFile });
  if ('problem' in result) throw badUrl(result.problem);
  return result.pem;
}

const badUrl = (problem: string): TailraceError =>
  usageError(problem, 'write it as postgresql://user:password@host:5432/database?sslmode=verify-full');
