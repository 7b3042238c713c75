// Which rows of one table the stream has changed while chunks of it were on their way: those of a chunk that are not the latest any more.
import { createRowEvent, UNCHANGED_TOAST } from '../../../core/change.ts';
import { decodeRow, type RawRelation } from '../../../pgoutput/messages.ts';
import { asRead, hashOfKey, joined, keyTexts } from '../../../pgoutput/row-keys.ts';

/**
 * What the stream has said of a row. whole: all its columns · part: not those that were too large to be sent again · gone: it was
 * deleted, or has another key now.
 */
type Said = 'whole' | 'part' | 'gone';
type Change = { readonly at: number; readonly said: Said };

/** Changed rows of one table that are remembered: beyond, its chunks are read again (invariant 8). */
const MAX_CHANGED_ROWS = 200_000;

/** One is enough: a row is looked at without a pause. */
const EVENT = createRowEvent();

export class TableWatch {
  /** The columns that rows are told apart by, in the stream and in a chunk; none: a change of any may be one of every row. */
  readonly key: readonly string[];
  readonly #updatesAreTold: boolean;
  readonly #changes = new Map<string, Change>();
  /** In the stream's own relation; undefined: they are not (all) there, so nothing can be told. */
  #indexes: readonly number[] | undefined;
  /** Do old rows have them? */
  #areInOldRows = false;
  #columnCount = 0;
  /** Changes so far. */
  #count = 0;
  /** The number of the last change that may have been of any row. */
  #allAt = -1;
  /** Rows that have come under another key, without some of their columns: where a chunk has passed already, nobody reads these. */
  readonly #movedInPart = new Map<string, readonly string[]>();

  /** `updatesAreTold`: else an update is as good as one of which a part came, whatever it brought. */
  constructor(key: readonly string[], { updatesAreTold }: { readonly updatesAreTold: boolean }) {
    this.key = key;
    this.#updatesAreTold = updatesAreTold;
  }

  /** The number that the next change has: a window that opens now is of all from here on. */
  get now(): number {
    return this.#count;
  }

  /** A Relation message of the stream, for the rows that follow. */
  relation({ columns, replicaIdentity }: RawRelation): void {
    const indexes = this.key.map((name) => columns.findIndex((column) => column.name === name));
    this.#columnCount = columns.length;
    this.#indexes = indexes.length === 0 || indexes.includes(-1) ? undefined : indexes;
    this.#areInOldRows =
      replicaIdentity === 'full' || indexes.every((index) => columns[index]?.identity === true);
  }

  /** An Insert, Update or Delete message of it. */
  row(bytes: Buffer, start: number, end: number): void {
    const at = this.#count++;
    const indexes = this.#indexes;
    if (indexes === undefined || this.#changes.size >= MAX_CHANGED_ROWS) return void (this.#allAt = at);
    decodeRow(bytes, start, end, EVENT);
    const { hasNew, newTuple, oldKind, oldTuple } = EVENT;
    const old = oldKind === 'none' ? undefined : keyTexts(EVENT, oldTuple, undefined, indexes);
    // Without its old key in the stream, a row may have been any other before.
    const isNew = oldKind === 'none' && EVENT.action === 'insert';
    if (!isNew && !this.#areInOldRows) return void (this.#allAt = at);
    if (oldKind !== 'none' && old === undefined) return void (this.#allAt = at);
    if (!hasNew) return this.#note(joined(old!), { at, said: 'gone' });
    const now = keyTexts(EVENT, newTuple, oldKind === 'none' ? undefined : oldTuple, indexes);
    if (now === undefined) return void (this.#allAt = at);
    const key = joined(now);
    const isMoved = old !== undefined && joined(old) !== key;
    if (isMoved) this.#note(joined(old), { at, said: 'gone' });
    const isTold = this.#updatesAreTold || EVENT.action === 'insert';
    const said = isTold && this.#isWhole() ? 'whole' : 'part';
    const before = this.#changes.get(key)?.said;
    // What was sent whole once is known: later ones may leave out what has not changed since.
    this.#note(key, { at, said: said === 'part' && before === 'whole' && !isMoved ? 'whole' : said });
    if (isMoved && said === 'part') this.#movedInPart.set(key, now);
  }

  /** A TRUNCATE, or a row of which nothing is known but that it changed. */
  any(): void {
    this.#allAt = this.#count++;
  }

  #note(key: string, change: Change): void {
    this.#changes.set(key, change);
    if (change.said !== 'part') this.#movedInPart.delete(key);
  }

  #isWhole(): boolean {
    const { newTuple, oldKind, oldTuple } = EVENT;
    for (let i = 0; i < this.#columnCount; i++) {
      if (newTuple.lengths[i] !== UNCHANGED_TOAST) continue;
      if (oldKind !== 'full' || oldTuple.lengths[i]! < 0) return false;
    }
    return true;
  }

  /** May any row have changed since a window opened? Then what was read in it says nothing. */
  hasChangedAll(since: number): boolean {
    return this.#allAt >= since;
  }

  /** Has the table changed since a window opened? */
  hasChanged(since: number): boolean {
    return this.#count > since;
  }

  /** Hashes of the keys that have changed since a window opened: of a row with another one nothing has been said (row-keys.ts). */
  changedSince(since: number): ReadonlySet<number> {
    const hashes = new Set<number>();
    for (const [key, { at }] of this.#changes) if (at >= since) hashes.add(hashOfKey(key));
    return hashes;
  }

  /**
   * What is to become of a row that was read in a window that opened at `since`: let in, left out because what the stream brought is
   * newer, or read again because it brought only a part of that.
   */
  fateOf(key: string, since: number): 'let in' | 'newer came' | 'part came' {
    const change = this.#changes.get(key);
    if (change === undefined || change.at < since) return 'let in';
    return change.said === 'part' ? 'part came' : 'newer came';
  }

  /** Keys of rows that have to be read once more, wherever the chunks are; they are asked for once. */
  takeMovedInPart(): readonly (readonly string[])[] {
    const keys = [...this.#movedInPart.values()].map(asRead);
    this.#movedInPart.clear();
    return keys;
  }

  get hasMovedInPart(): boolean {
    return this.#movedInPart.size > 0;
  }

  /** No window is open that is older than this. */
  forgetBefore(since: number): void {
    for (const [key, { at }] of this.#changes) if (at < since) this.#changes.delete(key);
  }
}
