// Asks the server of a database what filters rest on, one after another, over a connection that is there while there is something to ask.
import type { Client } from 'pg';
import type { Relation } from '../../../core/change.ts';
import { closeConnection } from '../../../postgres/connection/connection.ts';
import { findServer } from '../../../postgres/connection/standbys.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { PlacedFilter } from '../../settings.ts';
import { compareWithServer, type Compared } from './comparison.ts';
import { readEnumLabels } from './enum-labels.ts';

export type FilterAsker = {
  /** Rejects where no server answers. */
  compare(filter: PlacedFilter, relation: Relation): Promise<Compared>;
  /** Of an enum, in their order; undefined: there is no such one. Rejects where no server answers. */
  labelsOf(oid: number): Promise<readonly string[] | undefined>;
};

export function filterAsker(database: DatabaseSettings): FilterAsker {
  let client: Client | undefined;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  const ask = async <Answer>(question: (client: Client) => Promise<Answer>): Promise<Answer> => {
    try {
      client ??= await connected(database, () => (client = undefined));
      return await question(client);
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
  const inTurn = <Answer>(question: (client: Client) => Promise<Answer>): Promise<Answer> => {
    waiting++;
    const answer = last.then(() => ask(question));
    last = answer.catch(() => undefined);
    return answer;
  };
  return {
    compare: (filter, relation) => inTurn((open) => compareWithServer(open, filter, relation)),
    labelsOf: (oid) => inTurn((open) => readEnumLabels(open, oid)),
  };
}

async function connected(database: DatabaseSettings, lost: () => void): Promise<Client> {
  const { client } = await findServer(database);
  // Whoever asks is told by the question itself.
  client.on('error', lost);
  return client;
}
