// Which changes in the log are of rows that somebody asks for by their keys: also under another key, from the change on that gives it.
import { createRowEvent, type Relation, type RowEvent } from '../../../core/change.ts';
import { nameFor } from '../../../core/partitions.ts';
import type { FollowedRequest } from '../../../core/row-rewind.ts';
import type { TableName } from '../../../core/selection.ts';
import type { ChangeFacts } from '../../../functions/where/scope.ts';
import { decodeRow } from '../../../pgoutput/messages.ts';
import { asStored, joined, keyTexts } from '../../../pgoutput/row-keys.ts';
import type { LoggedRow } from '../../intake/log-walker.ts';
import { actionOf } from '../../intake/where.ts';
import type { SinkSettings } from '../../settings.ts';

/** Is a relation of this table (itself, or a partition of it), and does the sink read it? */
export const isRelationOf = (
  name: TableName,
  relation: Relation,
  { selection }: Pick<SinkSettings, 'selection'>,
): boolean =>
  nameFor(selection, relation) !== undefined &&
  [relation, ...(relation.ancestors ?? [])].some(
    ({ schema, table }) => schema === name.schema && table === name.table,
  );

/** Where the columns of a key stand in a relation; undefined: it does not have them all. */
export function keyIndexes(relation: Relation, key: readonly string[]): readonly number[] | undefined {
  const indexes = key.map((name) => relation.columns.findIndex((column) => column.name === name));
  return indexes.length === 0 || indexes.includes(-1) ? undefined : indexes;
}

/** The keys that a change tells of its row, as it is and as it was: none, one, or two where it changes the key. */
export function keysOf(event: RowEvent, indexes: readonly number[]): readonly (readonly string[])[] {
  const { hasNew, newTuple, oldKind, oldTuple } = event;
  const old = oldKind === 'none' ? undefined : oldTuple;
  const was = old && keyTexts(event, old, undefined, indexes);
  const is = hasNew ? keyTexts(event, newTuple, old, indexes) : undefined;
  if (was === undefined || is === undefined) return [was ?? is].filter((key) => key !== undefined);
  return joined(was) === joined(is) ? [is] : [was, is];
}

/** A change as a filter is told of it. `name`: under which the sink reads the table. */
export const changeOf = (row: LoggedRow, { schema, table }: TableName): ChangeFacts => {
  const { commitTimeUs, annotations } = row.transaction;
  return { action: actionOf(row), schema, table, commitTimeUs, annotations };
};

const NONE: readonly string[] = [];

export class FollowedRows {
  /** The change that was asked about last, if it is of the table. */
  readonly event = createRowEvent();
  readonly #request: FollowedRequest;
  readonly #settings: Pick<SinkSettings, 'selection'>;
  readonly #tables = new Map<number, readonly number[]>();
  readonly #followed: Set<string>;

  constructor(request: FollowedRequest, settings: Pick<SinkSettings, 'selection'>) {
    this.#request = request;
    this.#settings = settings;
    this.#followed = new Set(request.keys.map((key) => joined(asStored(key))));
  }

  /** Is it of the table? Rows that follow are read as it says. */
  relation(relation: Relation): boolean {
    this.#tables.delete(relation.id);
    if (!isRelationOf(this.#request, relation, this.#settings)) return false;
    const indexes = keyIndexes(relation, this.#request.key);
    if (indexes !== undefined) this.#tables.set(relation.id, indexes);
    return true;
  }

  /** Its rows are not for us. */
  forget(relationId: number): void {
    this.#tables.delete(relationId);
  }

  /**
   * Of a change, in the order of the log: the keys of its row, where that is followed; else none. One that gives a row another key
   * makes both be followed: what the log has of them behind it comes again, too.
   */
  follow({ relationId, bytes, start, end }: LoggedRow): readonly string[] {
    const indexes = this.#tables.get(relationId);
    if (indexes === undefined) return NONE;
    decodeRow(bytes, start, end, this.event);
    const keys = keysOf(this.event, indexes).map(joined);
    if (!keys.some((key) => this.#followed.has(key))) return NONE;
    for (const key of keys) this.#followed.add(key);
    return keys;
  }
}
