// A load that is always ahead of the service, but not by more than can be waited for.
import type { Client } from 'pg';
import { waitFor } from './wait.ts';
import { writeTransaction } from './workload.ts';

export type Load = {
  /** Changes committed so far. */
  readonly events: number;
  /** Ends with the transaction that is being written; answers the number of all changes. */
  stop(): Promise<number>;
};

/** Random transactions, one after the other, until it is stopped. */
export function startLoad(options: {
  readonly client: Client;
  readonly random: () => number;
  /** Changes of a transaction. */
  readonly maxCount: number;
  readonly ids: { readonly from: number; readonly to: number };
  /** Changes that have been delivered, and by how many the load may be ahead of them. */
  readonly delivered: () => number;
  readonly maxAhead: number;
  /** How long it may take to catch up; as long as anything, by default. */
  readonly patienceMs?: number;
}): Load {
  const { client, random, ids } = options;
  let version = 0;
  let events = 0;
  let writing = true;
  const write = async (): Promise<void> => {
    while (writing) {
      await waitFor(
        () => !writing || events - options.delivered() < options.maxAhead,
        'the service to catch up',
        options.patienceMs,
      );
      events += await writeTransaction(client, {
        random,
        count: 1 + Math.floor(random() * options.maxCount),
        ids,
        nextVersion: () => ++version,
      });
    }
  };
  const written = write();
  // Who stops it hears of a failure; until then it is no unhandled one.
  written.catch(() => undefined);
  return {
    get events() {
      return events;
    },
    async stop() {
      writing = false;
      await written;
      return events;
    },
  };
}
