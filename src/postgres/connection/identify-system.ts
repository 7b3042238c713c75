// Which cluster answers, and on which timeline: IDENTIFY_SYSTEM, which a standby answers, too.
import { TailraceError } from '../../core/errors.ts';
import type { ReplicationConnection } from './connection.ts';
import { connectionFault } from './fault.ts';
import { formatTarget } from './target.ts';

export type SystemIdentity = {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** LSN text of the WAL's flushed end. */
  readonly walEnd: string;
};

/** https://www.postgresql.org/docs/current/protocol-replication.html (IDENTIFY_SYSTEM) */
export async function identifySystem(connection: ReplicationConnection): Promise<SystemIdentity> {
  const { client, settings, target } = connection;
  try {
    const { rows } = await client.query<{ systemid: string; timeline: string; xlogpos: string }>(
      'IDENTIFY_SYSTEM',
    );
    const row = rows[0];
    if (row !== undefined) {
      return { systemIdentifier: row.systemid, timeline: Number(row.timeline), walEnd: row.xlogpos };
    }
  } catch (error) {
    // A syntax error: the start-up packet's `replication=database` did not reach Postgres.
    if (!(error instanceof Error && 'code' in error && error.code === '42601')) {
      throw connectionFault(error, settings, target);
    }
  }
  throw new TailraceError(
    `database "${settings.name}": what answers at ${formatTarget(target)} does not know replication commands: a connection pooler, most likely`,
    {
      code: 'POOLER',
      kind: 'fatal',
      hint: 'set hostname and port to the Postgres server itself: logical replication does not pass through a pooler',
    },
  );
}
