// What a consumer of a log makes of its rows: of each table the rows as their last messages have them.
import { NOT_SENT_AGAIN, type LoggedRow } from './source.ts';

export type ConsumedRow = Readonly<Record<string, string | null>>;

type Known = {
  /** Of the last message about it, from the column `v`, which grows with each change. */
  readonly version: number;
  /** Undefined once it is gone. */
  readonly row: ConsumedRow | undefined;
  /** The table, or the partition, that it came of. */
  readonly from: string;
};

/** A partition's rows are those of its root. Rows of a table without a key are known by all that they have: no two may be alike. */
export class LogConsumer {
  /** By table, and by key. */
  readonly #tables = new Map<string, Map<string, Known>>();
  /** Rows that were read, and came after a newer change of them. */
  readonly stale: string[] = [];
  reads = 0;

  constructor(rows: readonly LoggedRow[]) {
    for (const row of rows) this.#take(row);
  }

  rowsOf(table: string): readonly ConsumedRow[] {
    return [...this.#known(table).values()].flatMap(({ row }) => (row === undefined ? [] : [row]));
  }

  #known(table: string): Map<string, Known> {
    const known = this.#tables.get(table) ?? new Map<string, Known>();
    this.#tables.set(table, known);
    return known;
  }

  #take({ action, relation, values, old }: LoggedRow): void {
    const known = this.#known(relation.ancestors?.[0]?.table ?? relation.table);
    const from = relation.table;
    if (action === 'truncate') {
      for (const [key, one] of known) if (one.from === from) known.set(key, { ...one, row: undefined });
      return;
    }
    const names = relation.columns.filter(({ generated }) => generated !== true).map(({ name }) => name);
    const record = (of: readonly (string | null)[]): ConsumedRow =>
      Object.fromEntries(names.map((name) => [name, of[indexOf(relation, name)] ?? null]));
    const keyOf = (row: ConsumedRow): string =>
      JSON.stringify(relation.key.length === 0 ? row : relation.key.map((name) => row[name]));
    const before = old === undefined ? undefined : keyOf(record(old));
    if (action === 'delete') {
      const key = before ?? keyOf(record(values));
      known.set(key, { version: known.get(key)?.version ?? 0, row: undefined, from });
      return;
    }
    const sent = record(values);
    const past = { ...known.get(before ?? keyOf(sent))?.row, ...(old !== undefined && whole(record(old))) };
    const row: ConsumedRow = Object.fromEntries(
      Object.entries(sent).map(([name, value]) => [
        name,
        value === NOT_SENT_AGAIN ? (past[name] ?? null) : value,
      ]),
    );
    const key = keyOf(row);
    const now = Number(row['v']);
    if (action === 'read') {
      this.reads++;
      const last = known.get(key);
      if (last !== undefined && (last.row === undefined || last.version > now))
        this.stale.push(`${relation.table} ${key}: ${now} after ${last.version}`);
    }
    if (before !== undefined && before !== key) known.set(before, { version: now, row: undefined, from });
    known.set(key, { version: now, row, from });
  }
}

const indexOf = (relation: LoggedRow['relation'], name: string): number =>
  relation.columns.findIndex((column) => column.name === name);

/** What is known of an old row: of a key's one, the key alone. */
const whole = (row: ConsumedRow): ConsumedRow =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));

/** The same rows in whatever order give the same text: as far as these columns go, one that is not there being NULL. */
export const sortedRows = (rows: readonly ConsumedRow[], columns: readonly string[]): readonly string[] =>
  rows.map((row) => JSON.stringify(columns.map((name) => row[name] ?? null))).toSorted();
