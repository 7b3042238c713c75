// What the server's parser says of SQL that a user wrote: it is parsed and described there, never planned or run.
import type { Client, Connection, Submittable } from 'pg';
import { characterPlace } from '../functions/where/positions.ts';
import { characterCount } from '../functions/where/values/texts.ts';

/** A statement of ours around a text of the user's, which stands behind so many UTF-16 units of it. */
export type AroundText = { readonly statement: string; readonly offset: number; readonly text: string };

/** `at`: the place in the user's text, in UTF-16 units. */
export type Refusal = { readonly code: string; readonly message: string; readonly at: number };

const TIMEOUT = '10s';

/**
 * In a transaction of its own that changes nothing, whatever the text is, and ends soon. Undefined: the server takes it. Rejects where
 * it did not answer.
 */
export async function refusalOf(client: Client, around: AroundText): Promise<Refusal | undefined> {
  await client.query(
    `begin read only; set local search_path = pg_catalog; set local statement_timeout = '${TIMEOUT}'`,
  );
  try {
    const described = new Described(around);
    client.query(described);
    return await described.refusal;
  } finally {
    await client.query('rollback');
  }
}

/** Parse and Describe of the extended protocol, and no more. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY */
class Described implements Submittable {
  readonly #around: AroundText;
  readonly #done = Promise.withResolvers<Refusal | undefined>();

  constructor(around: AroundText) {
    this.#around = around;
  }

  get refusal(): Promise<Refusal | undefined> {
    return this.#done.promise;
  }

  submit(connection: Connection): void {
    connection.parse({ name: '', text: this.#around.statement, types: [] }, true);
    connection.describe({ type: 'S', name: '' }, true);
    connection.sync();
  }
  handleRowDescription(): void {}
  handleError(error: Error & { code?: string; position?: string }): void {
    // A connection that is gone has no code to say.
    if (error.code === undefined) return this.#done.reject(error);
    const { statement, offset, text } = this.#around;
    const place = Number(error.position ?? offset + 1) - 1 - characterCount(statement.slice(0, offset));
    const at = characterPlace(text, Math.max(0, place));
    this.#done.resolve({ code: error.code, message: error.message, at });
  }
  handleReadyForQuery(): void {
    this.#done.resolve(undefined);
  }
}
