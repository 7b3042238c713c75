// What the sinks of a thread ask the server of their database: one after another, over one connection that is there while there is something
// to ask. However many sinks there are, the server has one connection more.
import type { Client } from 'pg';
import type { Relation } from '../../core/change.ts';
import { steadyMs } from '../../core/clock.ts';
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

export function createAsker(database: DatabaseSettings): Asker {
  const questions = new Questions(database);
  return {
    compare: async (filter, relation) =>
      judge(await questions.ask((client) => askServer(client, filter, relation))),
    labelsOf: (oid) => questions.ask((client) => readEnumLabels(client, oid)),
    unroutable: (sink) => questions.ask((client) => unroutable(client, sink)),
  };
}

/**
 * Sinks that begin together are held up together: they read the log in step, and what one of them reads and decodes is there for the others.
 * So what was asked meanwhile is answered together, after so long at most.
 */
const TOGETHER_MS = 1000;

type Question = {
  readonly ask: (client: Client) => Promise<unknown>;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
};

class Questions {
  readonly #database: DatabaseSettings;
  readonly #waiting: Question[] = [];
  #isAsking = false;

  constructor(database: DatabaseSettings) {
    this.#database = database;
  }

  ask<Answer>(ask: (client: Client) => Promise<Answer>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.push({ ask, resolve, reject });
    if (!this.#isAsking) void this.#askAll();
    // It is what `ask` answers.
    return promise as Promise<Answer>;
  }

  /** Until nothing waits any more. Behind a question that failed there is another connection. */
  async #askAll(): Promise<void> {
    this.#isAsking = true;
    while (this.#waiting.length > 0) {
      const answers: (() => void)[] = [];
      try {
        const client = await connected(this.#database);
        const untilMs = steadyMs() + TOGETHER_MS;
        let isFine = true;
        while (isFine && this.#waiting.length > 0 && steadyMs() < untilMs) {
          const { ask, resolve, reject } = this.#waiting.shift()!;
          try {
            const answer = await ask(client);
            answers.push(() => resolve(answer));
          } catch (error) {
            answers.push(() => reject(error));
            isFine = false;
          }
        }
        await closeConnection(client);
      } catch (error) {
        // No server was reached: one try answers all that wait for it.
        answers.push(
          ...this.#waiting.splice(0).map(
            ({ reject }) =>
              () =>
                reject(error),
          ),
        );
      }
      for (const answer of answers) answer();
    }
    this.#isAsking = false;
  }
}

async function connected(database: DatabaseSettings): Promise<Client> {
  const { client } = await findServer(database);
  // Whoever asks is told by the question itself.
  client.on('error', () => undefined);
  return client;
}
