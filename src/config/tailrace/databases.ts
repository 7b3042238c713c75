// Turns an entry of `databases` into settings: hosts, TLS with its certificates, slot and publication.
import type { DatabaseSettings, TlsSettings } from '../../postgres/settings.ts';
import { certificatesAt, directoryOf, type Certificates } from './certificates.ts';
import type { Reader } from './cross-checks.ts';
import {
  MAX_CONNECTION_RETRIES,
  MAX_RETAINED_BYTES,
  RECEIVE_TIMEOUT_MS,
  RECONNECT,
  REFRESH_INTERVAL_MS,
  STATUS_INTERVAL_MS,
} from '../defaults.ts';
import { readPem } from '../file/file-access.ts';
import { DATABASE_DEFAULTS, type DatabaseConfig } from '../schema/database.ts';
import { isLoopback, parseHostPort } from '../units.ts';

export const toDatabase =
  (pems: Certificates, reader: Reader) =>
  async (config: DatabaseConfig, index: number): Promise<DatabaseSettings> => {
    const port = config.port ?? DATABASE_DEFAULTS.port;
    // The schema has seen to it that hosts parse, and that database, slot and publication are there in one spelling.
    const hosts = (config.url?.hosts ?? config.hostname ?? []).map((host) => parseHostPort(host, port)!);
    const tls = await tlsOf(config, { index, pems, reader });
    noteUnverified(config.name, { tls, hosts, notes: reader.notes });
    const { slot, publication } = config;
    return {
      name: config.name,
      hosts,
      database: (config.url?.database ?? config.database)!,
      username: config.url?.username ?? config.username ?? DATABASE_DEFAULTS.username,
      password: config.url?.password ?? config.password ?? DATABASE_DEFAULTS.password,
      tls,
      slot: {
        name: (slot?.name ?? config.slot_name)!,
        createIfNotExists: slot?.create_if_not_exists ?? false,
        ack: slot?.ack ?? 'auto',
        maxRetainedBytes: slot?.max_retained ?? MAX_RETAINED_BYTES,
        failover: slot?.failover ?? true,
      },
      publication: {
        name: (publication?.name ?? config.publication_name)!,
        createIfNotExists: publication?.create_if_not_exists ?? false,
        ...(publication?.init_sql === undefined ? {} : { initSql: publication.init_sql }),
        refreshIntervalMs: publication?.refresh_interval ?? REFRESH_INTERVAL_MS,
      },
      markers: { skip: config.markers.skip },
      statusIntervalMs: STATUS_INTERVAL_MS,
      receiveTimeoutMs: RECEIVE_TIMEOUT_MS,
      reconnect: RECONNECT,
      maxConnectionRetries: MAX_CONNECTION_RETRIES,
      annotations: config.annotations,
    };
  };

/** Defaults: docs, "TLS". A mode must be asked for to be strict only where there is no `tls` block at all. */
async function tlsOf(
  config: DatabaseConfig,
  options: { index: number; pems: Certificates; reader: Reader },
): Promise<TlsSettings> {
  const { index, pems, reader } = options;
  if (config.tls !== undefined) {
    return { mode: config.tls.mode, ...certificatesAt(['databases', index], pems) };
  }
  if (config.ssl !== undefined) return { mode: config.ssl ? 'require' : 'disable' };
  const { url } = config;
  const tls: { ca?: string; cert?: string; key?: string } = {};
  for (const [key, written] of [
    ['ca', url?.sslrootcert],
    ['cert', url?.sslcert],
    ['key', url?.sslkey],
  ] as const) {
    if (written === undefined) continue;
    const result = await readPem(written, {
      directory: directoryOf(reader),
      readFile: reader.context.readFile,
    });
    if ('pem' in result) tls[key] = result.pem;
    else reader.faults.push(reader.file.fault(['databases', index, 'url'], result.problem));
  }
  return { mode: modeOfUrl(url?.sslmode, tls.ca !== undefined), ...tls };
}

/** libpq: `require` with a root certificate verifies it. https://www.postgresql.org/docs/current/libpq-ssl.html */
function modeOfUrl(sslmode: string | undefined, hasCa: boolean): TlsSettings['mode'] {
  if (sslmode === undefined || sslmode === 'allow') return 'prefer';
  return sslmode === 'require' && hasCa ? 'verify-ca' : (sslmode as TlsSettings['mode']);
}

export function noteUnverified(
  name: string,
  { tls, hosts, notes }: { tls: TlsSettings; hosts: DatabaseSettings['hosts']; notes: string[] },
): void {
  if (tls.mode.startsWith('verify-')) return;
  const remote = hosts.filter(({ host }) => !isLoopback(host)).map(({ host }) => host);
  if (remote.length === 0) return;
  notes.push(
    `database ${name}: TLS mode "${tls.mode}" does not prove that ${remote.join(', ')} is the server that was meant; verify-full does`,
  );
}
