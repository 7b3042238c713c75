// One conversation with a server, over an ordinary connection that is closed behind it.
import type { Client } from 'pg';
import type { DatabaseSettings } from '../settings.ts';
import { closeConnection } from './connection.ts';
import { comesFromServer, connectionFault } from './fault.ts';
import type { Target } from './target.ts';

/**
 * Answers what `ask` does. What the server or the connection says is told as a fault of the database (TailraceError); anything else that
 * `ask` throws is thrown as it is.
 */
export async function askOver<Answer>(
  { client, target }: { readonly client: Client; readonly target: Target },
  settings: DatabaseSettings,
  ask: (client: Client) => Promise<Answer>,
): Promise<Answer> {
  let isLost = false;
  client.on('end', () => (isLost = true));
  try {
    return await ask(client);
  } catch (error) {
    throw isLost || comesFromServer(error) ? connectionFault(error, settings, target) : error;
  } finally {
    await closeConnection(client);
  }
}
