// What a consumer of a log makes of its rows: of each table the rows as their last messages have them.
import { NOT_SENT_AGAIN, type LoggedRow } from './source.ts';

export type ConsumedRow = Readonly<Record<string, string | null>>;

type Known = {
  /** Of the last message about it, from the column `v`, which grows with each change. */
  readonly version: number;
  /** Undefined once it is gone. */
  readonly row: readonly (string | null)[] | undefined;
  readonly names: readonly string[];
  /** The table, or the partition, that it came of. */
  readonly from: string;
};

/** How rows of a relation are told apart: the places of what its messages have, by their names, and of its key. */
type Shape = {
  readonly names: readonly string[];
  readonly places: readonly number[];
  readonly key: readonly number[];
  readonly version: number;
};

/** A partition's rows are those of its root. Rows of a table without a key are known by all that they have: no two may be alike. */
export class LogConsumer {
  /** By table, and by key. */
  readonly #tables = new Map<string, Map<string, Known>>();
  readonly #shapes = new Map<LoggedRow['relation'], Shape>();
  /** Rows that were read, and came after a newer change of them. */
  readonly stale: string[] = [];
  reads = 0;

  constructor(rows: readonly LoggedRow[]) {
    for (const row of rows) this.#take(row);
  }

  rowsOf(table: string): readonly ConsumedRow[] {
    return [...this.#known(table).values()].flatMap(({ row, names }) =>
      row === undefined ? [] : [Object.fromEntries(names.map((name, i) => [name, row[i]!]))],
    );
  }

  #known(table: string): Map<string, Known> {
    const known = this.#tables.get(table) ?? new Map<string, Known>();
    this.#tables.set(table, known);
    return known;
  }

  #shapeOf(relation: LoggedRow['relation']): Shape {
    const cached = this.#shapes.get(relation);
    if (cached !== undefined) return cached;
    const places = relation.columns.flatMap(({ generated }, i) => (generated === true ? [] : [i]));
    const names = places.map((i) => relation.columns[i]!.name);
    const key =
      relation.key.length === 0 ? names.map((_, i) => i) : relation.key.map((name) => names.indexOf(name));
    const shape = { names, places, key, version: names.indexOf('v') };
    this.#shapes.set(relation, shape);
    return shape;
  }

  #take({ action, relation, values, old }: LoggedRow): void {
    const known = this.#known(relation.ancestors?.[0]?.table ?? relation.table);
    const from = relation.table;
    if (action === 'truncate') {
      for (const [key, one] of known) if (one.from === from) known.set(key, { ...one, row: undefined });
      return;
    }
    const { names, places, key, version } = this.#shapeOf(relation);
    const chosen = (of: readonly (string | null)[]) => places.map((i) => of[i] ?? null);
    const keyOf = (row: readonly (string | null)[]): string => JSON.stringify(key.map((i) => row[i]));
    const past = old === undefined ? undefined : chosen(old);
    const before = past === undefined ? undefined : keyOf(past);
    if (action === 'delete') {
      const gone = before ?? keyOf(chosen(values));
      known.set(gone, { version: known.get(gone)?.version ?? 0, row: undefined, names, from });
      return;
    }
    const sent = chosen(values);
    if (sent.includes(NOT_SENT_AGAIN)) {
      const last = known.get(before ?? keyOf(sent));
      for (const [i, name] of names.entries()) {
        if (sent[i] !== NOT_SENT_AGAIN) continue;
        sent[i] = past?.[i] ?? last?.row?.[last.names.indexOf(name)] ?? null;
      }
    }
    const now = keyOf(sent);
    const said = Number(sent[version]);
    if (action === 'read') {
      this.reads++;
      const last = known.get(now);
      if (last !== undefined && (last.row === undefined || last.version > said))
        this.stale.push(`${from} ${now}: ${said} after ${last.version}`);
    }
    if (before !== undefined && before !== now)
      known.set(before, { version: said, row: undefined, names, from });
    known.set(now, { version: said, row: sent, names, from });
  }
}

/** The same rows in whatever order give the same text: as far as these columns go, one that is not there being NULL. */
export const sortedRows = (rows: readonly ConsumedRow[], columns: readonly string[]): readonly string[] =>
  rows.map((row) => JSON.stringify(columns.map((name) => row[name] ?? null))).toSorted();
