// What the old row of a change does not know: under publish_via_partition_root a NULL stands for a value that the partition's
// identity does not have. Unknown is absent (invariant 7). Hot: asked for every row of a partitioned table (bench/micro/walk.ts).
import { NOT_SENT, NULL_VALUE, type Relation, type RowEvent } from '../core/change.ts';

/**
 * Rows under the id of a partitioned table come from its partitions. Which of them one came from is not said; but each sends its
 * own Relation message before its first row. So a NULL is one only where every partition seen so far is FULL.
 */
export class OldRows {
  /** By partitioned table, its partitions that were seen, and whether each is FULL. */
  readonly #partitions = new Map<number, Map<number, boolean>>();
  readonly #partitioned = new Set<number>();
  /** Partitioned tables whose NULLs say nothing. */
  readonly #unknown = new Set<number>();
  /** A table is gone whose root nobody knows, and was not FULL. */
  #isAnyUnknown = false;

  /** A relation is new or has another shape. */
  relation({ id, replicaIdentity, partitioned, ancestors = [], gone }: Relation): void {
    const isFull = replicaIdentity === 'full';
    if (partitioned === true) {
      this.#partitioned.add(id);
      this.#judge(id);
      return;
    }
    for (const { oid } of ancestors) {
      const partitions = this.#partitions.get(oid) ?? new Map<number, boolean>();
      this.#partitions.set(oid, partitions.set(id, isFull));
      this.#judge(oid);
    }
    if (gone !== true || isFull || this.#isAnyUnknown) return;
    this.#isAnyUnknown = true;
    for (const oid of this.#partitioned) this.#judge(oid);
  }

  #judge(oid: number): void {
    if (!this.#partitioned.has(oid)) return;
    const partitions = this.#partitions.get(oid);
    const isKnown =
      !this.#isAnyUnknown && partitions !== undefined && [...partitions.values()].every(Boolean);
    if (isKnown) this.#unknown.delete(oid);
    else this.#unknown.add(oid);
  }

  /** Takes the NULLs that say nothing out of the old row. */
  forget(event: RowEvent): void {
    if (event.oldKind === 'none' || !this.#unknown.has(event.relationId)) return;
    const { lengths, columnCount } = event.oldTuple;
    for (let i = 0; i < columnCount; i++) if (lengths[i] === NULL_VALUE) lengths[i] = NOT_SENT;
    event.oldKind = 'some';
  }
}
