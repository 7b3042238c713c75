// The rows of which the log has a change that a filter is true of, by their keys.
import { createRowEvent, type Relation } from '../../../core/change.ts';
import { TailraceError } from '../../../core/errors.ts';
import { isLost, type Partings } from '../../../core/partings.ts';
import { formatTableName, type TableName } from '../../../core/selection.ts';
import { EvaluationError } from '../../../functions/where/values/failure.ts';
import { decodeRow } from '../../../pgoutput/messages.ts';
import { OldRows } from '../../../pgoutput/old-rows.ts';
import { asRead, joined } from '../../../pgoutput/row-keys.ts';
import type { LoggedRow, WalkPorts } from '../../intake/log-walker.ts';
import { compileTableFilter, type TableFilter } from '../../intake/table-filter.ts';
import { readAs } from '../../intake/read-as.ts';
import { passesNowOrBefore } from '../../intake/where.ts';
import type { PlacedFilter, SinkSettings } from '../../settings.ts';
import { changeOf, isRelationOf, keyIndexes, keysOf } from './followed-rows.ts';
import { ONLOOKER } from './retained.ts';

/** Rows that one rewind may name, or find by a filter: their keys are kept in memory and in the store (invariant 8). */
export const MAX_FOLLOWED_ROWS = 100_000;

type Filtered = TableName & { readonly indexes: readonly number[]; readonly filter: TableFilter };

/** Finds the keys of the rows of which a change is as a filter wants it. */
export class MatchingRows {
  /** Changes of which it cannot say: Postgres did not send what decides it, or it is an error for them. */
  unjudged = 0;
  readonly #table: TableName & { readonly key: readonly string[] };
  readonly #filter: PlacedFilter;
  readonly #settings: SinkSettings;
  readonly #partings: Partings;
  readonly #tables = new Map<number, Filtered>();
  readonly #oldRows = new OldRows();
  readonly #event = createRowEvent();
  readonly #found = new Map<string, readonly string[]>();
  /** Why it has no meaning for how the table looked, where that is so. */
  #fault: TailraceError | undefined;

  constructor(
    table: TableName & { readonly key: readonly string[] },
    filter: PlacedFilter,
    { settings, partings }: { readonly settings: SinkSettings; readonly partings: Partings },
  ) {
    this.#table = table;
    this.#filter = filter;
    this.#settings = settings;
    this.#partings = partings;
  }

  /** Throws WHERE_UNUSABLE where the filter fits no shape that the table had. */
  found(): readonly (readonly string[])[] {
    if (this.#tables.size === 0 && this.#fault !== undefined) throw this.#fault;
    return [...this.#found.values()];
  }

  readonly ports: WalkPorts = {
    ...ONLOOKER,
    relation: (relation) => this.#relation(relation),
    reads: (relation, sinks) => {
      if (sinks?.includes(this.#settings.name) === false) this.#tables.delete(relation.id);
      else this.#relation(relation);
    },
    row: (row) => this.#row(row),
    truncate: () => undefined,
  };

  #relation(relation: Relation): void {
    this.#tables.delete(relation.id);
    this.#oldRows.relation(relation);
    const reading = readAs(relation, { ...this.#settings, ddl: 'ignore' });
    const indexes = keyIndexes(relation, this.#table.key);
    if (reading === undefined || indexes === undefined) return;
    if (!isRelationOf(this.#table, relation, this.#settings)) return;
    try {
      const filter = compileTableFilter(reading.relation, [this.#filter])!;
      const { schema, table } = reading.relation;
      this.#tables.set(relation.id, { schema, table, indexes, filter });
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      this.#fault = error;
    }
  }

  #row(row: LoggedRow): void {
    const table = this.#tables.get(row.relationId);
    if (table === undefined || isLost(this.#partings, row.transaction)) return;
    const event = this.#event;
    decodeRow(row.bytes, row.start, row.end, event);
    this.#oldRows.forget(event);
    if (!this.#isMeant(row, table)) return;
    for (const key of keysOf(event, table.indexes)) this.#found.set(joined(key), asRead(key));
    if (this.#found.size > MAX_FOLLOWED_ROWS) throw tooMany(this.#table);
  }

  #isMeant(row: LoggedRow, { filter, ...name }: Filtered): boolean {
    const change = changeOf(row, name);
    try {
      const verdict = passesNowOrBefore(filter, this.#event, change);
      // Of a delete the absence is certain.
      if (verdict === 'absent' && change.action !== 'delete') this.unjudged++;
      return verdict === 'pass';
    } catch (error) {
      if (!(error instanceof EvaluationError)) throw error;
      this.unjudged++;
      return false;
    }
  }
}

const tooMany = (name: TableName): TailraceError =>
  new TailraceError(
    `the filter is true of more than ${MAX_FOLLOWED_ROWS} rows of ${formatTableName(name)} that the log has changes of`,
    {
      code: 'TOO_MANY_ROWS',
      kind: 'fatal',
      hint: 'make it narrower, or send all changes again with --to and a time',
    },
  );
