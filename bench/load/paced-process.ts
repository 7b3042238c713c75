// The paced load's own process: small transactions at a fixed rate, each at its own time by the clock. One that is late
// delays none of those after it (no coordinated omission): how late they were is told at the end.
import { Client } from 'pg';
import { calibrateClock, wallClockMs } from '../clock.ts';
import { LatencyRecord } from '../endpoint/latency-record.ts';
import { insertRows, type ChangeCounts } from './mixed.ts';

export type PacedOptions = {
  readonly url: string;
  readonly table: string;
  readonly changesPerSecond: number;
  /** Rows of each transaction. */
  readonly rows: number;
  readonly seconds: number;
};
export type PacedResult = {
  readonly committed: ChangeCounts;
  /** From a transaction's time to its start, and to its commit. */
  readonly lateMsP99: number;
  readonly committedMsP99: number;
};

const CONNECTIONS = 4;
/** Rows that a connection keeps for updates before it deletes as many as it inserts. */
const LIVE_ROWS = 1_000;

type Kind = 'insert' | 'update' | 'delete';

/** A connection writes rows of its own only: no transaction waits for another's lock. */
class Writer {
  readonly client: Client;
  readonly #options: PacedOptions;
  readonly #live: number[] = [];
  #number = 0;

  constructor(options: PacedOptions) {
    this.#options = options;
    this.client = new Client({ connectionString: options.url });
  }

  /** Half inserts, a quarter updates, a quarter deletes, once there are rows enough. Returns what it did. */
  async write(): Promise<Kind> {
    const { table, rows } = this.#options;
    const kind = this.#next();
    if (kind === 'insert') {
      const { rows: inserted } = await this.client.query<{ id: number }>({
        name: 'insert',
        text: `${insertRows(table)} returning id`,
        values: [rows],
      });
      for (const { id } of inserted) this.#live.push(id);
    } else {
      const ids = kind === 'update' ? this.#live.slice(-rows) : this.#live.splice(0, rows);
      const text =
        kind === 'update'
          ? `update ${table} set updated_at = now(), numeric_field = numeric_field + 1 where id = any($1::int[])`
          : `delete from ${table} where id = any($1::int[])`;
      await this.client.query({ name: kind, text, values: [ids] });
    }
    return kind;
  }

  #next(): Kind {
    const turn = this.#number++ % 4;
    if (this.#live.length < this.#options.rows * 2) return 'insert';
    if (turn === 1) return 'update';
    if (turn === 3) return this.#live.length > LIVE_ROWS ? 'delete' : 'update';
    return 'insert';
  }
}

async function run(options: PacedOptions): Promise<PacedResult> {
  const { changesPerSecond, rows, seconds } = options;
  const writers = Array.from({ length: CONNECTIONS }, () => new Writer(options));
  await Promise.all(writers.map((writer) => writer.client.connect()));
  calibrateClock();
  const committed: ChangeCounts = { inserts: 0, updates: 0, deletes: 0 };
  const late = new LatencyRecord();
  const done = new LatencyRecord();
  const perSecond = changesPerSecond / rows;
  const total = Math.round(perSecond * seconds);
  const startMs = wallClockMs();
  // Each connection is a line of its own: its next transaction begins when the one before is committed.
  const ends: Promise<void>[] = writers.map(() => Promise.resolve());
  const transact = async (writer: Writer, dueMs: number): Promise<void> => {
    late.add(wallClockMs() - dueMs);
    const kind = await writer.write();
    done.add(wallClockMs() - dueMs);
    committed[`${kind}s`] += rows;
  };
  for (let sent = 0; sent < total;) {
    const due = Math.min(total, Math.floor(((wallClockMs() - startMs) / 1000) * perSecond) + 1);
    for (; sent < due; sent++) {
      const line = sent % writers.length;
      const dueMs = startMs + (sent / perSecond) * 1000;
      ends[line] = ends[line]!.then(() => transact(writers[line]!, dueMs));
    }
    await new Promise((next) => setTimeout(next, 1));
  }
  await Promise.all(ends);
  await Promise.all(writers.map((writer) => writer.client.end()));
  return { committed, lateMsP99: late.figures()?.p99 ?? 0, committedMsP99: done.figures()?.p99 ?? 0 };
}

process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(0));
const result = await run(JSON.parse(process.argv[2]!) as PacedOptions);
process.send!(result, () => process.disconnect!());
