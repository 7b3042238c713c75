// What the server makes of SQL that a user wrote: it is parsed and described there, never planned or run.
import type { Client, Connection, Submittable } from 'pg';
import { characterPlace } from '../functions/where/positions.ts';
import { characterCount } from '../functions/where/values/texts.ts';

export type Described =
  /** OIDs of the columns that it would give. */
  | { readonly kind: 'types'; readonly types: readonly number[] }
  /** `place`: in characters from the start of the statement. */
  | { readonly kind: 'refusal'; readonly code: string; readonly message: string; readonly place: number };

/** A statement of ours around a text of the user's, which stands behind so many UTF-16 units of it. */
export type AroundText = { readonly statement: string; readonly offset: number; readonly text: string };

/** `at`: the place in the user's text, in UTF-16 units. */
export type Refusal = { readonly code: string; readonly message: string; readonly at: number };

const TIMEOUT = '10s';

/** In a transaction of its own that changes nothing, whatever is asked in it, and ends soon. Rejects as `ask` does. */
export async function readOnly<Answer>(client: Client, ask: () => Promise<Answer>): Promise<Answer> {
  await client.query(
    `begin read only; set local search_path = pg_catalog; set local statement_timeout = '${TIMEOUT}'`,
  );
  try {
    return await ask();
  } finally {
    await client.query('rollback');
  }
}

/** Rejects where the connection is gone. */
export function describeStatement(client: Client, statement: string): Promise<Described> {
  const question = new Question(statement);
  client.query(question);
  return question.answer;
}

/** Undefined: the server takes it. Rejects where it did not answer. */
export async function refusalOf(
  client: Client,
  { statement, offset, text }: AroundText,
): Promise<Refusal | undefined> {
  const described = await readOnly(client, () => describeStatement(client, statement));
  if (described.kind === 'types') return undefined;
  const { code, message, place } = described;
  const at = characterPlace(text, Math.max(0, place - characterCount(statement.slice(0, offset))));
  return { code, message, at };
}

type RowDescription = { readonly fields: readonly { readonly dataTypeID: number }[] };

/** Parse and Describe of the extended protocol, and no more. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY */
class Question implements Submittable {
  readonly #statement: string;
  readonly #done = Promise.withResolvers<Described>();
  #types: readonly number[] = [];
  /** The client's, which calls the time off that it gives an answer: set by `query`, called once there is one. */
  callback: (() => void) | undefined;

  constructor(statement: string) {
    this.#statement = statement;
  }

  get answer(): Promise<Described> {
    return this.#done.promise;
  }

  submit(connection: Connection): void {
    connection.parse({ name: '', text: this.#statement, types: [] }, true);
    connection.describe({ type: 'S', name: '' }, true);
    connection.sync();
  }
  handleRowDescription({ fields }: RowDescription): void {
    this.#types = fields.map(({ dataTypeID }) => dataTypeID);
  }
  handleError(error: Error & { code?: string; position?: string }): void {
    this.callback?.();
    const { code, message, position = '1' } = error;
    // A connection that is gone has no code to say.
    if (code === undefined) this.#done.reject(error);
    else this.#done.resolve({ kind: 'refusal', code, message, place: Number(position) - 1 });
  }
  handleReadyForQuery(): void {
    this.callback?.();
    this.#done.resolve({ kind: 'types', types: this.#types });
  }
}
