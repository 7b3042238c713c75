// Which relations have come and no row event has used yet: who wants to know is asked at the first that does, at its place. A Relation
// message does not say where it is used first, and it may never be.
import type { Position } from '../../core/position.ts';
import type { SchemaChange } from '../../core/schema-change.ts';
import { decodeTruncate, MESSAGE, relationIdOfRow } from '../../pgoutput/messages.ts';

export type OnFirstUse = (relationId: number, at: Position) => SchemaChange | undefined;

export class FirstUses {
  /** What rows before looked like, if otherwise. Undefined: nobody wants to know. */
  onFirstUse: OnFirstUse | undefined;
  readonly #unused = new Set<number>();
  /** Is there any? Asked at every row. */
  isAwaited = false;

  /** A relation has come from the server. */
  came(id: number): void {
    if (this.onFirstUse === undefined) return;
    this.#unused.add(id);
    this.isAwaited = true;
  }

  /** A connection begins: the server describes what it sends anew. */
  forget(): void {
    this.#unused.clear();
    this.isAwaited = false;
  }

  /** The row message at `start`, the first event of which is at `place`: of its relations those that look otherwise from here on. */
  by(
    bytes: Buffer,
    start: number,
    end: number,
    place: Position,
  ): { id: number; schemaChange: SchemaChange }[] {
    const isTruncate = bytes[start] === MESSAGE.truncate;
    const ids = isTruncate ? decodeTruncate(bytes, start, end).relationIds : [relationIdOfRow(bytes, start)];
    const changed: { id: number; schemaChange: SchemaChange }[] = [];
    for (const [i, id] of ids.entries()) {
      if (!this.#unused.delete(id)) continue;
      const schemaChange = this.onFirstUse?.(id, { ...place, index: place.index + i });
      if (schemaChange !== undefined) changed.push({ id, schemaChange });
    }
    this.isAwaited = this.#unused.size > 0;
    return changed;
  }
}
