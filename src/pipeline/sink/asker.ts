// What the sinks of a thread ask the server of their database: over a few connections that are there while there is something to ask, however
// many sinks there are.
import type { Client } from 'pg';
import type { Relation } from '../../core/change.ts';
import type { TailraceError } from '../../core/errors.ts';
import { closeConnection } from '../../postgres/connection/connection.ts';
import { findServer } from '../../postgres/connection/standbys.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { unroutable } from '../intake/route-identity.ts';
import type { RoutedSink } from '../intake/route-needs.ts';
import { askServer, judge, type Compared } from '../intake/where-server/comparison.ts';
import { readEnumLabels } from '../intake/where-server/enum-labels.ts';
import type { PlacedFilter, SinkSettings } from '../settings.ts';

/** Each rejects where no server answers. */
export type Asker = {
  compare(filter: PlacedFilter, relation: Relation): Promise<Compared>;
  /** Of an enum, in their order; undefined: there is no such one. */
  labelsOf(oid: number): Promise<readonly string[] | undefined>;
  /** Why the sink would never have a route for some changes (fatal); undefined: it has. */
  unroutable(sink: RoutedSink & Pick<SinkSettings, 'database'>): Promise<TailraceError | undefined>;
};

/** So many questions are asked at once: one that is not answered holds up no others, and a server has many other clients. */
const MAX_CONNECTIONS = 8;
/**
 * Sinks that begin together are held up together, but not for longer: they read the log in step, and what one of them reads and decodes is there
 * for the others. So what filters mean is answered together.
 */
const TOGETHER_MS = 500;

export function createAsker(database: DatabaseSettings): Asker {
  const questions = new Questions(database);
  return {
    compare: async (filter, relation) =>
      judge(await questions.ask((client) => askServer(client, filter, relation), { together: true })),
    labelsOf: (oid) => questions.ask((client) => readEnumLabels(client, oid)),
    unroutable: (sink) => questions.ask((client) => unroutable(client, sink)),
  };
}

type Question = {
  readonly ask: (client: Client) => Promise<unknown>;
  readonly together: boolean;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
};

class Questions {
  readonly #database: DatabaseSettings;
  readonly #waiting: Question[] = [];
  /** Connections, those that are being made among them, and questions that are asked over them. */
  #connections = 0;
  #asked = 0;
  /** Answers that are given together. */
  #held: (() => void)[] = [];
  #holding: NodeJS.Timeout | undefined;

  constructor(database: DatabaseSettings) {
    this.#database = database;
  }

  ask<Answer>(
    ask: (client: Client) => Promise<Answer>,
    { together = false }: { readonly together?: boolean } = {},
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.push({ ask, together, resolve, reject });
    // The first shows whether there is a server.
    if (this.#connections === 0 || this.#asked > 0) this.#connect();
    // It is what `ask` answers.
    return promise as Promise<Answer>;
  }

  #connect(): void {
    if (this.#connections === MAX_CONNECTIONS) return;
    void this.#askAll();
  }

  /** Until nothing waits any more. Behind a question that failed there is another connection. */
  async #askAll(): Promise<void> {
    this.#connections++;
    try {
      while (this.#waiting.length > 0) {
        const client = await connected(this.#database);
        while (this.#waiting.length > 0 && (await this.#askNext(client)));
        await closeConnection(client);
      }
    } catch (error) {
      // Others ask on. Where there are none, one try answers all that wait for it.
      if (this.#connections === 1) for (const { reject } of this.#waiting.splice(0)) reject(error);
    } finally {
      this.#connections--;
    }
  }

  /** Is the connection fit for another question? */
  async #askNext(client: Client): Promise<boolean> {
    const question = this.#waiting.shift()!;
    const { ask, resolve, reject } = question;
    this.#asked++;
    if (this.#waiting.length > 0) this.#connect();
    try {
      const answer = await ask(client);
      this.#answer(question, () => resolve(answer));
      return true;
    } catch (error) {
      this.#answer(question, () => reject(error));
      return false;
    }
  }

  #answer({ together }: Question, give: () => void): void {
    this.#asked--;
    if (together) {
      this.#held.push(give);
      this.#holding ??= setTimeout(() => this.#giveHeld(), TOGETHER_MS);
    } else give();
    if (this.#asked === 0 && this.#waiting.length === 0) this.#giveHeld();
  }

  #giveHeld(): void {
    clearTimeout(this.#holding);
    this.#holding = undefined;
    for (const give of this.#held.splice(0)) give();
  }
}

async function connected(database: DatabaseSettings): Promise<Client> {
  const { client } = await findServer(database);
  // Whoever asks is told by the question itself.
  client.on('error', () => undefined);
  return client;
}
