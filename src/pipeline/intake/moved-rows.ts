// An update that takes a row out of what a filter names, or into it (`where_moves: convert`): which it is, and what is made of its row.
import { NOT_SENT, type Moved, type Relation, type RowAction, type RowEvent } from '../../core/change.ts';
import type { Verdict } from '../../functions/where/filter.ts';

/**
 * What an update is, by what the filter says of the row before it and after it: Postgres' own table for publications with a row filter,
 * with a third answer where it is not known. A row that may have been inside is deleted outside: whoever does not have it loses nothing.
 * https://www.postgresql.org/docs/current/logical-replication-row-filter.html#LOGICAL-REPLICATION-ROW-FILTER-TRANSFORMATIONS
 */
export function moveOf(before: Verdict, after: Verdict): Verdict | Moved {
  switch (after) {
    case 'pass':
      return before === 'drop' ? 'in' : 'pass';
    case 'drop':
      return before === 'drop' ? 'drop' : 'out';
    case 'absent':
      return 'absent';
    default:
      return after satisfies never;
  }
}

/** What an update is sent as whose row moves. */
export const SENT_AS = { out: 'delete', in: 'insert' } as const satisfies Record<Moved, RowAction>;

/** Makes the delete of the old row, or the insert of the new one, of an update that was decoded. */
export type MoveRow = (event: RowEvent, moved: Moved) => void;

/**
 * Out: the delete that Postgres would have sent of the row as it was, with the old row or the identity's columns, and nothing of the
 * new one. In: the insert of the new row; what of it did not change and was not sent again is still found in the old one.
 */
export function rowMover({ columns, key, replicaIdentity }: Relation): MoveRow {
  // Under FULL every column is the identity's. A row without an old one is of a partition that has less: its key did not change.
  const isKept = columns.map(({ name, identity }) =>
    replicaIdentity === 'full' ? key.includes(name) : identity,
  );
  return (event, moved) => {
    if (moved === 'in') {
      event.action = 'insert';
      return;
    }
    event.action = 'delete';
    event.hasNew = false;
    if (event.oldKind === 'none') keepKey(event, isKept);
    event.newTuple.columnCount = 0;
    event.newTuple.damagedCount = 0;
  };
}

/** What the update did not change is the old row's key: an update without an old row has not changed its identity. */
function keepKey(event: RowEvent, isKept: readonly boolean[]): void {
  const { newTuple, oldTuple } = event;
  event.oldKind = 'some';
  oldTuple.columnCount = newTuple.columnCount;
  for (let i = 0; i < isKept.length; i++) {
    oldTuple.starts[i] = newTuple.starts[i]!;
    oldTuple.lengths[i] = isKept[i]! ? newTuple.lengths[i]! : NOT_SENT;
  }
  oldTuple.damagedCount = 0;
  for (const i of newTuple.damaged.subarray(0, newTuple.damagedCount))
    if (isKept[i]!) oldTuple.damaged[oldTuple.damagedCount++] = i;
}
