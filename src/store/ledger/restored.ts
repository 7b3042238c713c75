// What a ledger says was settled when its last process ended: asked while the log is read again up to there.
import type { SettledPart } from '../../core/change.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Position } from '../../core/position.ts';
import type { Cursor } from './format.ts';
import { PositionRanges } from './position-ranges.ts';

/** What was settled when the last process ended. */
export class Restored {
  readonly cursor: Cursor;
  /** Everything before it is settled but `#unsettled`. */
  readonly #head: Position;
  readonly #unsettled: PositionRanges;
  readonly #settled: PositionRanges;
  readonly #parts: Readonly<Record<SettledPart, PositionRanges>>;
  /** No record speaks of anything beyond this. */
  readonly end: Position;

  constructor(known: {
    cursor: Cursor;
    head: Position;
    unsettled: PositionRanges;
    settled: PositionRanges;
    parts: Readonly<Record<SettledPart, PositionRanges>>;
    end: Position;
  }) {
    this.cursor = known.cursor;
    this.#head = known.head;
    this.#unsettled = known.unsettled;
    this.#settled = known.settled;
    this.#parts = known.parts;
    this.end = known.end;
  }

  /** Everything before the cursor, and nothing else. */
  static before(cursor: Cursor, file: string): Restored {
    const { position } = cursor;
    const none = (): PositionRanges => new PositionRanges(file);
    const parts = { delete: none(), insert: none(), schema: none(), begin: none(), row: none() };
    return new Restored({
      cursor,
      head: position,
      unsettled: none(),
      settled: none(),
      parts,
      end: position,
    });
  }

  has(epoch: number, commitLsn: Lsn, index: number): boolean {
    if (isBefore(epoch, commitLsn, index, this.cursor.position)) return true;
    if (isBefore(epoch, commitLsn, index, this.#head) && !this.#unsettled.has(epoch, commitLsn, index)) {
      return true;
    }
    return this.#settled.has(epoch, commitLsn, index);
  }

  /** Is this part of a change settled, which `has` does not know as settled? */
  hasPart(part: SettledPart, epoch: number, commitLsn: Lsn, index: number): boolean {
    return this.#parts[part].has(epoch, commitLsn, index);
  }

  get #sets(): readonly PositionRanges[] {
    return [this.#unsettled, this.#settled, ...Object.values(this.#parts)];
  }

  get bytesInMemory(): number {
    return this.#sets.reduce((sum, { bytesInMemory }) => sum + bytesInMemory, 0);
  }

  close(): void {
    for (const set of this.#sets) set.close();
  }
}

/** Without a Position made for it: it is asked for every row that is read again. */
export function isBefore(epoch: number, commitLsn: Lsn, index: number, other: Position): boolean {
  if (epoch !== other.epoch) return epoch < other.epoch;
  if (commitLsn !== other.commitLsn) return commitLsn < other.commitLsn;
  return index < other.index;
}
