// Writers beside a backfill: updates, deletes and inserts under keys that were there before, at a fixed rate. A row's version only grows:
// each row belongs to one writer, which writes one transaction after the other.
import { Client } from 'pg';

/** What a transaction does: three updates, a delete, an insert. */
const CHANGES = 5;
const WRITERS = 4;

export type Writers = {
  /** Ends them; answers how many changes they have committed, and how late their last one was, in milliseconds. */
  stop(): Promise<{ readonly changes: number; readonly lateMs: number }>;
};

/** Of the table `t (id, v, note)`, whose ids are 1 to `rows`. */
export async function startWriters(what: {
  readonly url: string;
  readonly rows: number;
  readonly changesPerSecond: number;
}): Promise<Writers> {
  const { url, rows, changesPerSecond } = what;
  const stopping = new AbortController();
  const intervalMs = (1000 * CHANGES * WRITERS) / changesPerSecond;
  let changes = 0;
  let lateMs = 0;
  const clients = Array.from({ length: WRITERS }, () => new Client({ connectionString: url }));
  await Promise.all(clients.map((client) => client.connect()));
  const beganMs = performance.now();
  const write = async (writer: number): Promise<void> => {
    const client = clients[writer]!;
    const any = (): number => 1 + writer + WRITERS * Math.floor((Math.random() * rows) / WRITERS - 1e-9);
    const deleted: number[] = [];
    // They take turns, as those of an application do.
    const startMs = beganMs + (writer * intervalMs) / WRITERS;
    for (let i = 1; !stopping.signal.aborted; i++) {
      const dueMs = startMs + i * intervalMs;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((next) => setTimeout(next, waitMs));
      const [gone, back] = [any(), Math.random() < 0.5 ? undefined : deleted.shift()];
      deleted.push(gone);
      const inserted = back ?? any();
      await client.query(`begin; update t set v = ${i}, note = note || '.' where id in (${any()}, ${any()}, ${any()});
        delete from t where id = ${gone};
        insert into t values (${inserted}, ${i}, 'new') on conflict (id) do update set v = ${i}; commit`);
      changes += CHANGES;
      lateMs = performance.now() - dueMs;
    }
    await client.end();
  };
  const writing = Array.from({ length: WRITERS }, (_, writer) => write(writer));
  // Whoever stops them hears of it.
  for (const each of writing) each.catch(() => undefined);
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(writing);
      return { changes, lateMs };
    },
  };
}
