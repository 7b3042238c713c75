// DatabaseSettings for a test database: a slot and a publication named after it, made on demand, quick to reconnect.
import type { Client } from 'pg';
import type { DatabaseSettings } from '../../src/postgres/settings.ts';
import type { TestDatabase } from './postgres.ts';

/** `server_version_num`: the matrix runs the tests on older servers, too. */
export async function serverVersion(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  );
  return rows[0]!.version;
}

type Changes = Omit<Partial<DatabaseSettings>, 'slot' | 'publication'> & {
  readonly slot?: Partial<DatabaseSettings['slot']>;
  readonly publication?: Partial<DatabaseSettings['publication']>;
};

export function databaseSettings(
  database: Pick<TestDatabase, 'name' | 'host' | 'port'>,
  { slot, publication, ...changes }: Changes = {},
): DatabaseSettings {
  return {
    name: 'shop',
    hosts: [{ host: database.host, port: database.port }],
    database: database.name,
    username: 'postgres',
    password: 'postgres',
    tls: { mode: 'disable' },
    slot: {
      name: `slot_${database.name}`,
      createIfNotExists: true,
      ack: 'auto',
      maxRetainedBytes: 128 * 1024 * 1024,
      failover: false,
      ...slot,
    },
    publication: {
      name: `pub_${database.name}`,
      createIfNotExists: true,
      refreshIntervalMs: 100,
      ...publication,
    },
    markers: { skip: false },
    onGap: 'halt',
    acceptedGaps: [],
    statusIntervalMs: 1_000,
    receiveTimeoutMs: 30_000,
    reconnect: { initialBackoffMs: 50, multiplier: 2, maxBackoffMs: 500, jitter: 0.2 },
    maxConnectionRetries: 0,
    ...changes,
  };
}
