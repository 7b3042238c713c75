// Databases, slots and publications for tests, in the run's one server.
import { Client } from 'pg';
import { inject } from 'vitest';
import { waitFor } from './wait.ts';

export { waitFor };

export type TestDatabase = {
  readonly name: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly client: Client;
  /** Ends the connection and drops the database with its slots. */
  drop(): Promise<void>;
};

let counter = 0;

/** Connects to the run's server (or to another one's URL). */
export async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  // A server that a test stops ends this connection: the test's own queries will say so.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** A new database in the run's server, or in the server at `serverUrl`; its texts are kept in `encoding`. */
export async function createTestDatabase(
  serverUrl: string = inject('postgresUrl'),
  encoding = 'UTF8',
): Promise<TestDatabase> {
  const name = `test_${process.pid}_${++counter}`;
  const admin = await connect(serverUrl);
  const locale = `template template0 lc_collate 'C' lc_ctype 'C'`;
  await admin.query(
    `create database ${name}${encoding === 'UTF8' ? '' : ` encoding '${encoding}' ${locale}`}`,
  );
  await admin.end();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const client = await connect(url.href);
  const drop = async (): Promise<void> => {
    await client.end().catch(() => undefined);
    const admin = await connect(serverUrl);
    const slots = await admin.query<{ slot_name: string; active_pid: number | null }>(
      'select slot_name, active_pid from pg_replication_slots where database = $1',
      [name],
    );
    for (const slot of slots.rows) {
      if (slot.active_pid !== null) {
        await admin.query('select pg_terminate_backend($1)', [slot.active_pid]);
        await waitFor(async () => {
          const active = await admin.query(
            'select 1 from pg_replication_slots where slot_name = $1 and active',
            [slot.slot_name],
          );
          return active.rowCount === 0;
        }, 'the slot to become free');
      }
      // A temporary slot has gone with its backend.
      await admin.query(
        'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not temporary',
        [slot.slot_name],
      );
    }
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
  };
  return { name, url: url.href, host: url.hostname, port: Number(url.port), client, drop };
}
