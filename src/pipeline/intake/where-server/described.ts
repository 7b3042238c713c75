// Asks a server what it makes of a statement, and no more: Parse and Describe of the extended protocol. Nothing is planned or run.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
import type { Client, Connection, Submittable } from 'pg';

export type Described =
  /** OIDs of the columns that it would give. */
  | { readonly kind: 'types'; readonly types: readonly number[] }
  /** `place`: in characters from the start of the text. */
  | { readonly kind: 'refusal'; readonly code: string; readonly message: string; readonly place: number };

/** Rejects where the connection is gone. */
export function describeStatement(client: Client, text: string): Promise<Described> {
  const question = new Question(text);
  client.query(question);
  return question.answer;
}

type RowDescription = { readonly fields: readonly { readonly dataTypeID: number }[] };

class Question implements Submittable {
  readonly #text: string;
  readonly #done = Promise.withResolvers<Described>();
  #types: readonly number[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  get answer(): Promise<Described> {
    return this.#done.promise;
  }

  submit(connection: Connection): void {
    connection.parse({ name: '', text: this.#text, types: [] }, true);
    connection.describe({ type: 'S', name: '' }, true);
    connection.sync();
  }
  handleRowDescription({ fields }: RowDescription): void {
    this.#types = fields.map(({ dataTypeID }) => dataTypeID);
  }
  handleError(error: Error & { code?: string; position?: string }): void {
    const { code, message, position = '1' } = error;
    // A connection that is gone has no code to say.
    if (code === undefined) this.#done.reject(error);
    else this.#done.resolve({ kind: 'refusal', code, message, place: Number(position) - 1 });
  }
  handleReadyForQuery(): void {
    this.#done.resolve({ kind: 'types', types: this.#types });
  }
}
