// Writers of the rules' proof, as fast as they go, but not too far ahead of the queues: each has rows of its own, whose versions only grow.
import { Client } from 'pg';
import { ruledValues } from './ruled-accounting.ts';

const WRITERS = 2;
const MOST_ROWS = 1000;
const ACCOUNTS = 500;
/** One update in so many takes a row to the next queue. */
const MOVES_ONE_IN = 5;
const WAIT_MS = 50;

type Range = {
  readonly from: number;
  readonly to: number;
  readonly writer: number;
  readonly regions: number;
};

const idsOf = ({ from, to, writer }: Range): string =>
  `id between ${from} and ${to} and id % ${WRITERS} = ${writer}`;

const inserts = (range: Range): string =>
  `insert into t select id, id / ${WRITERS} % ${ACCOUNTS}, floor(random() * ${range.regions}), version, ${ruledValues('id', 'version')}
   from (select id, nextval('versions') as version from generate_series(${range.from}, ${range.to}) as id where ${idsOf(range)}) as made
   on conflict do nothing`;

const updates = (range: Range): string =>
  `with made as materialized (select id, nextval('versions') as version, (random() * ${MOVES_ONE_IN} < 1)::int as moves from t where ${idsOf(range)})
   update t set (version, region, mail, phone, note, doc) = (made.version, (region + moves) % ${range.regions}, ${ruledValues('made.id', 'made.version')})
   from made where t.id = made.id`;

const deletes = (range: Range): string => `delete from t where ${idsOf(range)}`;

/** One transaction each, in turn. */
const STATEMENTS = [inserts, updates, updates, deletes, inserts, updates];

export type RuledWriters = {
  /** So far. */
  committed(): number;
  /** Ends them; answers how many changes they have committed. */
  stop(): Promise<number>;
};

/** Of the table `t` of the proof: ids 1 to `rows`, and as many queues as `regions`. */
export async function startRuledWriters(what: {
  readonly url: string;
  readonly rows: number;
  readonly regions: number;
  /** How many changes the queues have got. */
  readonly delivered: () => number;
  readonly maxAhead: number;
}): Promise<RuledWriters> {
  const { url, rows, regions, delivered, maxAhead } = what;
  const stopping = new AbortController();
  let committed = 0;
  const write = async (writer: number): Promise<void> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    for (let turn = 0; !stopping.signal.aborted; turn++) {
      if (committed - delivered() > maxAhead) {
        await new Promise((next) => setTimeout(next, WAIT_MS));
        continue;
      }
      const size = Math.ceil(MOST_ROWS ** Math.random());
      const from = 1 + Math.floor(Math.random() * (rows - size * WRITERS));
      const range = { from, to: from + size * WRITERS - 1 };
      const { rowCount } = await client.query(
        STATEMENTS[turn % STATEMENTS.length]!({ ...range, writer, regions }),
      );
      committed += rowCount ?? 0;
    }
    await client.end();
  };
  const writing = Array.from({ length: WRITERS }, (_, writer) => write(writer));
  // Whoever stops them hears of it.
  for (const each of writing) each.catch(() => undefined);
  return {
    committed: () => committed,
    stop: async () => {
      stopping.abort();
      await Promise.all(writing);
      return committed;
    },
  };
}
