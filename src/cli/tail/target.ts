// The database that `tailrace tail URL` means.
import { parseConnectionUrl, tlsModeOf } from '../../config/connection-url.ts';
import { readPem, type ReadFile } from '../../config/file/file-access.ts';
import { connectionSchema, DATABASE_DEFAULTS } from '../../config/schema/database.ts';
import { connectionSettings, passedOverText } from '../../config/tailrace/databases.ts';
import type { TailraceError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest-name.ts';
import type { DatabaseSettings, TlsSettings } from '../../postgres/settings.ts';
import { usageError } from '../ports.ts';

const MODES: readonly TlsSettings['mode'][] = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'];

export type TargetContext = {
  /** PGPASSWORD keeps a password out of the list of processes. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly readFile: ReadFile;
  /** Told what of the URL means nothing here. */
  readonly note: (text: string) => void;
};

/** Throws TailraceError USAGE when the text is no connection URL. */
export async function parseTarget(text: string, context: TargetContext): Promise<DatabaseSettings> {
  const url = parseConnectionUrl(text);
  if (url === undefined) throw badUrl('that is not a connection URL');
  if (url.unknown !== undefined) {
    const { name, nearest } = url.unknown;
    const guess = didYouMean(nearest);
    throw badUrl(`unknown parameter "${name}" in the URL${guess}`);
  }
  if (url.passedOver.length > 0) context.note(passedOverText(url.passedOver));
  const username = url.username ?? DATABASE_DEFAULTS.username;
  const database = url.database ?? username;
  const absent = '';
  return {
    name: database,
    hosts: url.hosts.map((host) => ({ port: DATABASE_DEFAULTS.port, ...host })),
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
  const written = tlsModeOf(url);
  const ca = await pemOf(written.ca, context);
  const cert = await pemOf(url.sslcert, context);
  const key = await pemOf(url.sslkey, context);
  const mode = MODES.find((known) => known === written.mode);
  if (mode === undefined) throw badUrl(`unknown sslmode (allowed: ${MODES.join(', ')})`);
  return {
    mode,
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
