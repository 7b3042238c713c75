// What a row that a backfill has read, or has not found, is known by: its key, or where the table has none, its place.
import { type Column, type Relation, type RowEvent, type Tuple } from '../../core/change.ts';
import { goneKey, readKey } from '../../core/idempotency.ts';
import type { TextOf } from '../../core/render.ts';
import type { Masks } from '../../functions/columns/masks.ts';
import { digestOf } from './columns/masked.ts';

/**
 * `relation`: as it was logged, under its own name. Hashes of few possible values can be guessed: a masked value goes in as its HMAC.
 */
export function readKeyOf(relation: Relation, masks: Masks): (event: RowEvent) => string {
  const isPlace = ({ name }: Column): boolean => name === PLACE;
  const place = relation.columns.findIndex(isPlace);
  const indexes =
    place !== -1
      ? [place]
      : relation.key.map((name) => relation.columns.findIndex((column) => column.name === name));
  const parts = indexes.map((index) => ({
    index,
    masked: digestOf(relation, relation.columns[index]?.name ?? '', masks),
  }));
  return (event) => {
    const tuple = event.hasNew ? event.newTuple : event.oldTuple;
    const row = readKey(
      relation,
      parts.map(({ index, masked }) => textAt(event, tuple, index, masked)),
    );
    return event.hasNew ? row : goneKey(row);
  };
}

/** A system column, which comes only with rows that are known by it. */
const PLACE = 'ctid';

/** No key has a NULL in it. */
function textAt(
  { bytes }: RowEvent,
  { starts, lengths }: Tuple,
  index: number,
  masked: TextOf | undefined,
): string {
  const length = lengths[index]!;
  const start = starts[index]!;
  if (length >= 0 && masked !== undefined) return masked(bytes, start, length);
  return length < 0 ? '' : bytes.toString('latin1', start, start + length);
}
