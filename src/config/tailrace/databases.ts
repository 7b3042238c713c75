// Turns an entry of `databases` into settings.
import type { RetryPolicy } from '../../core/retry.ts';
import type { DatabaseSettings, Pem, ServerPlace, TlsSettings } from '../../postgres/settings.ts';
import { isPemText } from '../file/file-access.ts';
import { listOf, type FileValue } from '../file/file-value.ts';
import { parseConnectionUrl, SYSTEM_AUTHORITIES } from '../connection-url.ts';
import { DATABASE_DEFAULTS, type ConnectionConfig } from '../schema/database.ts';
import type { DatabaseConfig } from '../schema/file.ts';
import type { WrittenTls } from './place.ts';
import type { RetryConfig } from '../schema/parts.ts';
import { isLoopback, parseHostPort } from '../units.ts';

/** Its certificates are texts, or absolute paths of files, already. */
export const toDatabase = (config: DatabaseConfig): DatabaseSettings => ({
  name: config.name,
  hosts: config.place.hosts,
  database: config.place.database,
  username: config.place.username,
  password: config.place.password,
  authentication: config.place.authentication,
  tls: tlsSettings(config.place.tls),
  ...(config.place.primary !== undefined && { primary: primaryPlace(config.place) }),
  slot: {
    name: config.slot.name,
    createIfNotExists: config.slot.create_if_not_exists,
    ack: config.slot.ack,
    maxRetainedBytes: config.slot.max_retained,
    failover: config.slot.failover !== false,
    ...(config.slot.failover === 'unaltered' && { staysUnaltered: true }),
    ...(config.slot.streaming === 'on' && { streaming: { maxSpooledBytes: config.slot.max_spooled } }),
  },
  publication: {
    name: config.publication.name,
    createIfNotExists: config.publication.create_if_not_exists,
    ...(config.publication.init_sql === undefined ? {} : { initSql: config.publication.init_sql }),
    refreshIntervalMs: config.publication.refresh_interval,
  },
  ...barrierOf(config),
  markers: { skip: config.markers.skip },
  onGap: config.on_gap,
  acceptedGaps: config.accepted_gaps,
  ...connectionSettings(config.connection),
  annotations: config.annotations,
});

function barrierOf({
  barrier,
  barrier_timeout: timeoutMs,
  place,
}: DatabaseConfig): Pick<DatabaseSettings, 'barrier'> {
  if (barrier === undefined) return {};
  const port = place.hosts[0]?.port ?? DATABASE_DEFAULTS.port;
  const hosts = barrier.map((host) => parseHostPort(host, port)!);
  return { barrier: { hosts, ...(timeoutMs !== undefined && { timeoutMs }) } };
}

function primaryPlace({ primary, ...standby }: DatabaseConfig['place']): ServerPlace {
  const { hosts, tlsMode, ...written } = primary!;
  const { database, username, password, authentication } = { ...standby, ...written };
  const tls = tlsMode === undefined ? tlsSettings(standby.tls) : { mode: tlsMode };
  return { hosts, database, username, password, authentication, tls };
}

export const tlsSettings = ({ ca, cert, key, ...rest }: WrittenTls): TlsSettings => ({
  ...rest,
  ...(ca !== undefined && { ca: ca === SYSTEM_AUTHORITIES ? { from: 'system' } : pemOf(ca) }),
  ...(cert !== undefined && { cert: pemOf(cert) }),
  ...(key !== undefined && { key: pemOf(key) }),
});

const pemOf = (written: string): Pem => (isPemText(written) ? written : { from: 'file', file: written });

export const connectionSettings = (
  config: ConnectionConfig,
): Pick<
  DatabaseSettings,
  'statusIntervalMs' | 'receiveTimeoutMs' | 'reconnect' | 'maxConnectionRetries'
> => ({
  statusIntervalMs: config.status_interval,
  receiveTimeoutMs: config.receive_timeout,
  reconnect: retrySettings(config.retry),
  maxConnectionRetries: config.max_retry_count ?? 0,
});

/** The longest wait is never below the first. */
export const retrySettings = (config: RetryConfig): RetryPolicy => ({
  initialBackoffMs: config.initial_backoff,
  multiplier: config.multiplier,
  maxBackoffMs: Math.max(config.max_backoff, config.initial_backoff),
  jitter: config.jitter,
});

export function noteUnverifiedDatabase({ name, place }: DatabaseConfig, notes: string[]): void {
  const { tls, hosts } = place;
  if (tls.mode.startsWith('verify-')) return;
  if (tls.ca !== undefined) {
    notes.push(
      `database ${name}: TLS mode "${tls.mode}" verifies nothing, so the certificate authority is not used; verify-full does`,
    );
    return;
  }
  const remote = hosts.filter(({ host }) => !isLoopback(host)).map(({ host }) => host);
  if (remote.length === 0) return;
  notes.push(
    `database ${name}: TLS mode "${tls.mode}" does not prove that ${remote.join(', ')} is the server that was meant; verify-full does`,
  );
}

/** What of the URLs means nothing here, one line for each database. */
export function passedOverNotes(file: FileValue): readonly string[] {
  return [...listOf(file, 'databases').keys()].flatMap((index) => {
    const path = ['databases', index, 'url'];
    const passedOver = parseConnectionUrl(file.text(path) ?? '')?.passedOver ?? [];
    return passedOver.length === 0 ? [] : `${file.nameOf(path)}: ${passedOverText(passedOver)}`;
  });
}

export const passedOverText = (parameters: readonly string[]): string =>
  `${parameters.join(', ')} ${parameters.length === 1 ? 'is' : 'are'} passed over: Tailrace finds the primary, and makes its connections, in its own way`;
