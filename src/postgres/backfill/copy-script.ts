// Runs one message of several statements, one of which copies rows out, over a connection of `pg`: rows come as bytes, unread.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
import type { Client } from 'pg';
import { takeCopied, type CopiedRow } from '../connection/framing.ts';

/** Rows of what was selected beside the copy, in order: each is its columns' texts. */
export type ScriptRows = readonly (readonly (string | null)[])[];

/** What `pg` calls back of a query that it is given as an object. */
interface PgQuery {
  submit(connection: { query(text: string): void }): void;
  handleRowDescription(): void;
  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void;
  handleCopyData(message: { readonly chunk: Buffer }): void;
  handleCommandComplete(): void;
  handleEmptyQuery(): void;
  handlePortalSuspended(): void;
  handleError(error: Error): void;
  handleReadyForQuery(): void;
}

/**
 * `onLine` gets a copied row at a time. Rejects with what `pg` throws, or what `onLine` does: a transaction that the script has begun is
 * still open then.
 */
export function runCopyScript(client: Client, text: string, onLine: CopiedRow): Promise<ScriptRows> {
  const rows: (string | null)[][] = [];
  const { promise, resolve, reject } = Promise.withResolvers<ScriptRows>();
  let failure: Error | undefined;
  const take: CopiedRow = (bytes, start, end) => {
    if (failure !== undefined) return;
    try {
      onLine(bytes, start, end);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
    }
  };
  const query: PgQuery & { catch(onRejected: (error: unknown) => never): Promise<ScriptRows> } = {
    submit: (connection) => {
      takeCopied(client, take);
      connection.query(text);
    },
    handleRowDescription: () => undefined,
    handleDataRow: ({ fields }) => void rows.push([...fields]),
    handleCopyData: ({ chunk }) => take(chunk, 0, chunk.length),
    handleCommandComplete: () => undefined,
    handleEmptyQuery: () => undefined,
    handlePortalSuspended: () => undefined,
    handleError: (error) => {
      takeCopied(client, undefined);
      reject(error);
    },
    handleReadyForQuery: () => {
      takeCopied(client, undefined);
      if (failure === undefined) resolve(rows);
      else reject(failure);
    },
    // As `client.query` of our connections asks its answer (connection/connection.ts).
    catch: (onRejected) => promise.catch(onRejected),
  };
  return client.query(query as never);
}
