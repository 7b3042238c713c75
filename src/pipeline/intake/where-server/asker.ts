// Asks the server of a database about filters, one after another, over a connection that is there while there is something to ask.
import type { Client } from 'pg';
import type { Relation } from '../../../core/change.ts';
import { closeConnection } from '../../../postgres/connection/connection.ts';
import { findServer } from '../../../postgres/connection/standbys.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { PlacedFilter } from '../../settings.ts';
import { compareWithServer, type Compared } from './comparison.ts';

export function filterAsker(
  database: DatabaseSettings,
): (filter: PlacedFilter, relation: Relation) => Promise<Compared> {
  let client: Client | undefined;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  const ask = async (filter: PlacedFilter, relation: Relation): Promise<Compared> => {
    try {
      client ??= await connected(database, () => (client = undefined));
      return await compareWithServer(client, filter, relation);
    } catch (error) {
      await close();
      throw error;
    } finally {
      waiting--;
      if (waiting === 0) await close();
    }
  };
  const close = async (): Promise<void> => {
    const open = client;
    client = undefined;
    if (open !== undefined) await closeConnection(open);
  };
  return (filter, relation) => {
    waiting++;
    const answer = last.then(() => ask(filter, relation));
    last = answer.catch(() => undefined);
    return answer;
  };
}

async function connected(database: DatabaseSettings, lost: () => void): Promise<Client> {
  const { client } = await findServer(database);
  // Whoever asks is told by the question itself.
  client.on('error', lost);
  return client;
}
