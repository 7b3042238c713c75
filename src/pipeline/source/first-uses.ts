// Which relations have come and no row event has used yet: who wants to know is asked at the first that does, at its place. A Relation
// message does not say where it is used first, and it may never be.
import type { Position } from '../../core/position.ts';
import type { Enrichment } from '../../pgoutput/enrichment.ts';
import { decodeTruncate, MESSAGE, relationIdOfRow } from '../../pgoutput/messages.ts';

/** How rows before looked otherwise. */
export type LooksBefore = Pick<Enrichment, 'schemaChange' | 'untold'>;

export type OnFirstUse = (relationId: number, at: Position) => LooksBefore | undefined;

export class FirstUses {
  /** Answers undefined where none did. Undefined: nobody wants to know. */
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
  by(bytes: Buffer, start: number, end: number, place: Position): { id: number; before: LooksBefore }[] {
    const isTruncate = bytes[start] === MESSAGE.truncate;
    const ids = isTruncate ? decodeTruncate(bytes, start, end).relationIds : [relationIdOfRow(bytes, start)];
    const changed: { id: number; before: LooksBefore }[] = [];
    for (const [i, id] of ids.entries()) {
      if (!this.#unused.delete(id)) continue;
      const before = this.onFirstUse?.(id, { ...place, index: place.index + i });
      if (before !== undefined) changed.push({ id, before });
    }
    this.isAwaited = this.#unused.size > 0;
    return changed;
  }
}
