// The database that `tailrace tail URL` means.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseConnectionUrl, SYSTEM_AUTHORITIES } from '../../config/connection-url.ts';
import { readPem, type ReadFile } from '../../config/file/file-access.ts';
import { formatFault } from '../../config/file/faults.ts';
import { faultOfParameters, type LibpqParameters } from '../../config/libpq/parameters.ts';
import { homeOf, isPaired, readSurroundings } from '../../config/libpq/surroundings.ts';
import { connectionSchema, DATABASE_DEFAULTS } from '../../config/schema/database.ts';
import { connectionSettings, passedOverText, tlsSettings } from '../../config/tailrace/databases.ts';
import { authenticationOfLibpq, passwordAround, tlsOfLibpq } from '../../config/tailrace/place.ts';
import type { TailraceError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest-name.ts';
import type { DatabaseSettings, TlsSettings } from '../../postgres/settings.ts';
import { usageError } from '../ports.ts';

export type TargetContext = {
  /** PGPASSWORD keeps a password out of the list of processes. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly readFile: ReadFile;
  /** Told what of the URL means nothing here. */
  readonly note: (text: string) => void;
};

/** Throws TailraceError USAGE when the text is no connection URL. What it leaves out is found as psql finds it. */
export async function parseTarget(text: string, context: TargetContext): Promise<DatabaseSettings> {
  const url = parseConnectionUrl(text);
  if (url === undefined) throw badUrl('that is not a connection URL');
  if (url.unknown !== undefined) {
    const { name, nearest } = url.unknown;
    const guess = didYouMean(nearest);
    throw badUrl(`unknown parameter "${name}" in the URL${guess}`);
  }
  if (url.passedOver.length > 0) context.note(passedOverText(url.passedOver));
  const { parameters: around, unpaired, faults, notes } = await readSurroundings(context, url);
  if (faults[0] !== undefined) throw badUrl(formatFault(faults[0]));
  for (const note of notes) context.note(note);
  const { hosts: _, ...given } = url;
  const parameters: LibpqParameters = { ...around, ...given };
  const wrong = faultOfParameters(parameters);
  if (wrong !== undefined) throw badUrl(wrong.message);
  const { username = DATABASE_DEFAULTS.username, database = username } = parameters;
  const { ports = [] } = around;
  const portOf = (index: number): number => ports[ports.length === 1 ? 0 : index] ?? DATABASE_DEFAULTS.port;
  const hosts = url.hosts.length > 0 ? url.hosts : (around.hosts ?? [{ host: hostOfMachine(portOf(0)) }]);
  if (!isPaired(around, hosts.length)) throw badUrl(formatFault(unpaired!));
  const passwordFile = join(homeOf(context.env), '.pgpass');
  const absent = '';
  return {
    name: database,
    hosts: hosts.map((host, index) => ({ port: portOf(index), ...host })),
    database,
    username,
    password: url.password ?? passwordAround(url.passfile, around, { passwordFile, otherwise: '' }),
    authentication: authenticationOfLibpq(parameters),
    tls: await tlsOf(parameters, context),
    slot: { name: absent, createIfNotExists: false, ack: 'durable', maxRetainedBytes: 0, failover: false },
    publication: { name: absent, createIfNotExists: false, refreshIntervalMs: 0 },
    markers: { skip: false },
    onGap: 'halt',
    acceptedGaps: [],
    ...connectionSettings(connectionSchema.parse({})),
  };
}

/** Where the socket of a server on this machine is, as libpq is built by Debian and upstream. */
const SOCKETS: readonly string[] = ['/var/run/postgresql', '/tmp'];

const hostOfMachine = (port: number): string =>
  SOCKETS.find((directory) => existsSync(`${directory}/.s.PGSQL.${port}`)) ?? 'localhost';

/** As libpq does: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLMODE */
async function tlsOf(parameters: LibpqParameters, context: TargetContext): Promise<TlsSettings> {
  const written = tlsOfLibpq(parameters);
  const files = { ca: written.ca, cert: written.cert, key: written.key };
  const texts: { ca?: string; cert?: string; key?: string } = {};
  for (const [key, named] of Object.entries(files) as [keyof typeof files, string | undefined][]) {
    if (named === undefined) continue;
    if (key === 'ca' && named === SYSTEM_AUTHORITIES) texts.ca = named;
    else texts[key] = await pemOf(named, context);
  }
  return tlsSettings({ ...written, ...texts });
}

async function pemOf(written: string, context: TargetContext): Promise<string> {
  const result = await readPem(written, { directory: context.cwd, readFile: context.readFile });
  if ('problem' in result) throw badUrl(result.problem);
  return result.pem;
}

const badUrl = (problem: string): TailraceError =>
  usageError(problem, 'write it as postgresql://user:password@host:5432/database?sslmode=verify-full');
