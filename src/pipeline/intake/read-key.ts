// What a row that a backfill has read, or has not found, is known by: its key, or where the table has none, its place.
import { type Column, type Relation, type RowEvent, type Tuple } from '../../core/change.ts';
import { goneKey, readKey } from '../../core/idempotency.ts';

/** `relation`: as it was logged, under its own name. */
export function readKeyOf(relation: Relation): (event: RowEvent) => string {
  const isPlace = ({ name }: Column): boolean => name === PLACE;
  const place = relation.columns.findIndex(isPlace);
  const indexes =
    place !== -1
      ? [place]
      : relation.key.map((name) => relation.columns.findIndex((column) => column.name === name));
  return (event) => {
    const tuple = event.hasNew ? event.newTuple : event.oldTuple;
    const row = readKey(
      relation,
      indexes.map((index) => textAt(event, tuple, index)),
    );
    return event.hasNew ? row : goneKey(row);
  };
}

/** A system column, which comes only with rows that are known by it. */
const PLACE = 'ctid';

/** No key has a NULL in it. */
function textAt({ bytes }: RowEvent, { starts, lengths }: Tuple, index: number): string {
  const length = lengths[index]!;
  const start = starts[index]!;
  return length < 0 ? '' : bytes.toString('latin1', start, start + length);
}
