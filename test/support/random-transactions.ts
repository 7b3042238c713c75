// Random transactions of several sessions at once: savepoints undone and released, DDL in between, TOAST, TRUNCATE, messages.
import type { Client } from 'pg';

export type Chance = {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number;
};

/** The same numbers for the same seed. https://en.wikipedia.org/wiki/Xorshift */
export function seededChance(seed: number): Chance {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return {
    below: (below) => {
      state ^= state << 13;
      state >>>= 0;
      state ^= state >>> 17;
      state ^= state << 5;
      state >>>= 0;
      return state % below;
    },
  };
}

export type RandomTransactions = {
  /** Each writes to a table of its own (`randomTables`). */
  readonly sessions: readonly Client[];
  readonly chance: Chance;
  /** In all. */
  readonly transactions: number;
  /** About so much in a row that is not toasted. */
  readonly rowBytes: number;
  /** With logical messages, which are written outside of savepoints that are undone only. */
  readonly messages?: boolean;
};

type Writer = {
  readonly session: Client;
  readonly table: string;
  columns: number;
  nextId: number;
  /** Savepoints that are open, each with the columns and rows that there were. */
  savepoints: { readonly columns: number }[];
  isOpen: boolean;
  left: number;
  columnsBefore: number;
};

/** What the sessions write to: to be made before the publication. */
export const randomTables = (sessions: number): string =>
  Array.from(
    { length: sessions },
    (_, i) => `create table random_${i} (id int primary key, note text, big text);
      alter table random_${i} alter big set storage external, alter note set storage plain;`,
  ).join('');

/** Returns once every transaction has ended. */
export async function randomTransactions(options: RandomTransactions): Promise<void> {
  const { sessions, chance, transactions } = options;
  const writers: Writer[] = [];
  for (const [i, session] of sessions.entries()) {
    writers.push({
      session,
      table: `random_${i}`,
      columns: 0,
      nextId: 1,
      savepoints: [],
      isOpen: false,
      left: 0,
      columnsBefore: 0,
    });
  }
  for (let begun = 0; begun < transactions || writers.some(({ isOpen }) => isOpen);) {
    const writer = writers[chance.below(writers.length)]!;
    if (writer.isOpen) await step(writer, options);
    else if (begun < transactions) {
      begun++;
      await begin(writer, chance);
    }
  }
}

async function begin(writer: Writer, chance: Chance): Promise<void> {
  await writer.session.query('begin');
  writer.isOpen = true;
  writer.savepoints = [];
  writer.columnsBefore = writer.columns;
  writer.left = 3 + chance.below(20);
}

async function step(
  writer: Writer,
  { chance, rowBytes, messages = false }: RandomTransactions,
): Promise<void> {
  const { session, table, savepoints } = writer;
  const run = (sql: string) => session.query(sql);
  if (writer.left-- === 0) {
    const commits = chance.below(5) > 0;
    await run(commits ? 'commit' : 'rollback');
    if (!commits) writer.columns = writer.columnsBefore;
    writer.isOpen = false;
    return;
  }
  const some = 1 + chance.below(40);
  switch (chance.below(13)) {
    case 0:
    case 1:
    case 2: {
      const from = writer.nextId;
      writer.nextId += some;
      const note = `left(repeat(md5(i::text), ${Math.ceil(rowBytes / 32)}), ${rowBytes})`;
      await run(
        `insert into ${table} (id, note) select i, ${note} from generate_series(${from}, ${writer.nextId - 1}) i`,
      );
      return;
    }
    case 3:
      // Toasted: 2,000 bytes that do not compress.
      await run(
        `insert into ${table} (id, big) select ${writer.nextId++}, string_agg(md5(random()::text), '') from generate_series(1, 200)`,
      );
      return;
    case 4:
      await run(`update ${table} set note = 'again' where id % 7 = ${chance.below(7)}`);
      return;
    case 5:
      await run(`update ${table} set id = -id where id % 11 = ${chance.below(11)} and id > 0`);
      return;
    case 6:
      await run(`delete from ${table} where id % 5 = ${chance.below(5)}`);
      return;
    case 7:
      if (chance.below(3) === 0) await run(`truncate ${table}`);
      return;
    case 8:
      savepoints.push({ columns: writer.columns });
      await run(`savepoint s${savepoints.length}`);
      return;
    case 9:
    case 10: {
      if (savepoints.length === 0) return;
      const to = chance.below(savepoints.length);
      writer.columns = savepoints[to]!.columns;
      savepoints.length = to + 1;
      await run(`rollback to s${to + 1}`);
      return;
    }
    case 11: {
      if (savepoints.length === 0) return;
      const to = chance.below(savepoints.length);
      savepoints.length = to;
      await run(`release s${to + 1}`);
      return;
    }
    case 12:
      if (messages && savepoints.length === 0) {
        await run(`select pg_logical_emit_message(true, 'test', 'said')`);
      } else if (chance.below(3) === 0)
        await run(`alter table ${table} add column c${writer.columns++} int default ${some}`);
      return;
    default:
  }
}
