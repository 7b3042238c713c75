// Which columns an update left as they were, as far as the stream says so. Pure; hot where a table has `only_when_changed`.
import {
  hasSameText,
  isDamaged,
  NOT_SENT,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type Column,
  type Relation,
  type RowEvent,
} from '../../core/change.ts';

/**
 * Is a column always sent with its old value where an update changes it? Without an old row the columns of the replica identity are
 * unchanged; under FULL such an update came from a partition that has less, and its key is.
 * https://www.postgresql.org/docs/current/logical-replication-publication.html#LOGICAL-REPLICATION-PUBLICATION-REPLICA-IDENTITY
 */
const isOfIdentity = ({ replicaIdentity, key }: Relation, { name, identity }: Column): boolean =>
  replicaIdentity === 'full' ? key.includes(name) : identity;

/** Of these columns, those that an update may change without the stream telling so. */
export function untoldChanges(relation: Relation, columns: readonly string[]): readonly string[] {
  if (relation.replicaIdentity === 'full') return [];
  return relation.columns
    .filter((column) => columns.includes(column.name) && !isOfIdentity(relation, column))
    .map(({ name }) => name);
}

/** Is each of these columns known to be what it was before an update? Of one that the table does not have nobody knows. */
export function leavesUnchanged(
  relation: Relation,
  columns: readonly string[],
): (event: RowEvent) => boolean {
  const looked = columns.map((name) => {
    const index = relation.columns.findIndex((column) => column.name === name);
    const identity = index !== -1 && isOfIdentity(relation, relation.columns[index]!);
    return { index, identity };
  });
  if (looked.some(({ index }) => index === -1)) return () => false;
  return (event) => {
    for (const { index, identity } of looked) if (!isUnchanged(event, index, identity)) return false;
    return true;
  };
}

function isUnchanged(event: RowEvent, index: number, identity: boolean): boolean {
  const { newTuple, oldTuple, oldKind } = event;
  // The server itself says so of a value out of line.
  if (newTuple.lengths[index] === UNCHANGED_TOAST) return true;
  if (oldKind === 'none') return identity;
  if (oldKind === 'key' && !identity) return false;
  const oldLength = oldTuple.lengths[index]!;
  if (oldLength === NOT_SENT || oldLength < NULL_VALUE) return false;
  // What was lost of a damaged text may be what differs.
  return hasSameText(event, index) && !isDamaged(newTuple, index) && !isDamaged(oldTuple, index);
}
