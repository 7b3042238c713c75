// Which rows of a block have which text in a column: made once for all sinks of a thread whose filters ask for texts of it. One look-up
// then says which rows a sink has to judge; the others its filter drops. Hot (bench/scenarios/growth-filters.ts).
import { createRowEvent, isDamaged, type Relation } from '../../core/change.ts';
import type { WantedTexts } from '../../functions/where/wanted-texts.ts';
import type { Kept } from '../../log/block.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';
import { decodeRow, relationIdOfRow } from '../../pgoutput/messages.ts';
import type { LoggedRow } from './log-walker.ts';

/** A longer text is not looked up: such rows are judged. */
const MAX_TEXT_BYTES = 256;
/** About what a row takes. */
const ROW_BYTES = 64;

/** The rows of a relation in one block, by the text of one column. */
export type ColumnIndex = {
  /** It knows of rows from the first of these places in the block to the second: there the relation has another shape. */
  readonly from: number;
  readonly until: number;
  readonly byText: ReadonlyMap<string, readonly number[]>;
  /** Rows whose text is NULL, damaged, long, or was not sent. */
  readonly others: readonly number[];
};

const EVENT = createRowEvent();

/** From a row on, to the end of its block. */
export function indexFrom(
  { bytes, start, relationId }: Pick<LoggedRow, 'bytes' | 'start' | 'relationId'>,
  end: number,
  { columns }: Pick<Relation, 'columns'>,
  column: number,
): ColumnIndex {
  const byText = new Map<string, number[]>();
  const others: number[] = [];
  const isOfKey = columns[column]!.identity;
  let at = start - FRAME_HEADER_BYTES;
  for (; at < end; at += FRAME_HEADER_BYTES + bytes.readUInt32BE(at)) {
    const place = at + FRAME_HEADER_BYTES;
    const kind = bytes[place];
    if (kind === FRAME.relation && bytes.readUInt32BE(place + 1) === relationId) break;
    if (kind !== FRAME.insert && kind !== FRAME.update && kind !== FRAME.delete) continue;
    if (relationIdOfRow(bytes, place) !== relationId) continue;
    decodeRow(bytes, place, place + bytes.readUInt32BE(at), EVENT);
    const tuple = EVENT.hasNew ? EVENT.newTuple : EVENT.oldTuple;
    const length = tuple.lengths[column]!;
    const isKnown =
      tuple.columnCount > column &&
      length >= 0 &&
      length <= MAX_TEXT_BYTES &&
      !isDamaged(tuple, column) &&
      (EVENT.hasNew || EVENT.oldKind === 'full' || isOfKey);
    if (!isKnown) {
      others.push(place);
      continue;
    }
    const from = tuple.starts[column]!;
    const text = bytes.toString('utf8', from, from + length);
    const places = byText.get(text);
    if (places === undefined) byText.set(text, [place]);
    else places.push(place);
  }
  return { from: start, until: at, byText, others };
}

/** The places of the rows that are to be judged, in order. */
export function placesOf({ byText, others }: ColumnIndex, texts: ReadonlySet<string>): readonly number[] {
  const lists: (readonly number[])[] = [];
  if (texts.size <= byText.size) {
    for (const text of texts) {
      const places = byText.get(text);
      if (places !== undefined) lists.push(places);
    }
  } else {
    for (const [text, places] of byText) if (texts.has(text)) lists.push(places);
  }
  if (others.length > 0) lists.push(others);
  if (lists.length <= 1) return lists[0] ?? NONE;
  return lists.flat().sort((a, b) => a - b);
}

const NONE: readonly number[] = [];

/** The rows of one sink and one relation that its filter has to judge, block after block. */
export class RowsToJudge {
  readonly #wanted: WantedTexts;
  readonly #relation: Relation;
  readonly #name: string;
  /** Of the block that it is about, its number: what is kept of that is not to stay for this. */
  #block: number | undefined;
  #from = 0;
  #until = 0;
  #places: readonly number[] = NONE;
  #next = 0;

  /** `shape`: equal for relations that are described alike. */
  constructor(wanted: WantedTexts, relation: Relation, shape: string) {
    this.#wanted = wanted;
    this.#relation = relation;
    this.#name = `index ${wanted.column} ${shape}`;
  }

  /** False: the filter drops it, without a look at anything else of it. Asked of a block's rows in their order. */
  has(row: LoggedRow): boolean {
    const { kept, start } = row;
    if (kept === undefined) return true;
    if (kept.number !== this.#block) this.#enter(row, kept);
    if (start < this.#from || start >= this.#until) return true;
    const places = this.#places;
    while (this.#next < places.length && places[this.#next]! < start) this.#next++;
    return places[this.#next] === start;
  }

  #enter(row: LoggedRow, kept: Kept): void {
    const index = kept.of(this.#name, () => {
      const made = indexFrom(row, row.bytes.length, this.#relation, this.#wanted.column);
      kept.grow(ROW_BYTES * (made.others.length + made.byText.size));
      return made;
    });
    this.#block = kept.number;
    this.#from = index.from;
    this.#until = index.until;
    this.#places = placesOf(index, this.#wanted.texts);
    this.#next = 0;
  }
}
