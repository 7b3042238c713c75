// Which rows of a block have which text in a column: made once for all sinks of a thread whose filters ask for texts of it. One look-up
// then says which rows a sink has to judge; the others its filter drops. Hot (bench/scenarios/growth-filters.ts).
import { createRowEvent, isDamaged, type Relation } from '../../core/change.ts';
import type { WantedTexts } from '../../functions/where/wanted-texts.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';
import { decodeRow, relationIdOfRow } from '../../pgoutput/messages.ts';
import type { LoggedRow, RowsPassed } from './log-walker.ts';

/** A longer text is not looked up: such rows are judged. */
const MAX_TEXT_BYTES = 256;
/** About what a text with its rows takes, and a place with its row. */
const ROW_BYTES = 64;
const PLACE_BYTES = 16;

/** The rows of a relation in one block, by the text of one column. A row is known by its number among them. */
export type ColumnIndex = {
  /** It knows of rows from the first of these places in the block to the second: there the relation has another shape. */
  readonly from: number;
  readonly until: number;
  /** Where each row's message begins. */
  readonly places: readonly number[];
  readonly runs: readonly Run[];
  readonly byText: ReadonlyMap<string, readonly number[]>;
  /** Rows whose text is NULL, damaged, long, or was not sent. */
  readonly others: readonly number[];
};

/** Rows of one kind with nothing between them. `until`: the number behind the last of them; `next`: the frame behind it. */
type Run = { readonly kind: number; until: number; next: number };

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
  const places: number[] = [];
  const runs: Run[] = [];
  const isOfKey = columns[column]!.identity;
  let run: Run = { kind: 0, until: 0, next: 0 };
  let at = start - FRAME_HEADER_BYTES;
  for (; at < end; at += FRAME_HEADER_BYTES + bytes.readUInt32BE(at)) {
    const place = at + FRAME_HEADER_BYTES;
    const kind = bytes[place]!;
    if (kind === FRAME.relation && bytes.readUInt32BE(place + 1) === relationId) break;
    if (kind !== FRAME.insert && kind !== FRAME.update && kind !== FRAME.delete) continue;
    if (relationIdOfRow(bytes, place) !== relationId) continue;
    const number = places.push(place) - 1;
    const next = place + bytes.readUInt32BE(at);
    if (run.kind !== kind || run.next !== at) runs.push((run = { kind, until: 0, next }));
    run.until = number + 1;
    run.next = next;
    decodeRow(bytes, place, next, EVENT);
    const tuple = EVENT.hasNew ? EVENT.newTuple : EVENT.oldTuple;
    const length = tuple.lengths[column]!;
    const isKnown =
      tuple.columnCount > column &&
      length >= 0 &&
      length <= MAX_TEXT_BYTES &&
      !isDamaged(tuple, column) &&
      (EVENT.hasNew || EVENT.oldKind === 'full' || isOfKey);
    if (!isKnown) {
      others.push(number);
      continue;
    }
    const from = tuple.starts[column]!;
    const text = bytes.toString('utf8', from, from + length);
    const numbers = byText.get(text);
    if (numbers === undefined) byText.set(text, [number]);
    else numbers.push(number);
  }
  return { from: start, until: at, places, runs, byText, others };
}

/** The rows that are to be judged, in order. */
export function rowsWith({ byText, others }: ColumnIndex, texts: ReadonlySet<string>): readonly number[] {
  const lists: (readonly number[])[] = [];
  if (texts.size <= byText.size) {
    for (const text of texts) {
      const rows = byText.get(text);
      if (rows !== undefined) lists.push(rows);
    }
  } else {
    for (const [text, rows] of byText) if (texts.has(text)) lists.push(rows);
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
  #toJudge: readonly number[] = NONE;
  /** The row asked of last, and its run; and the first of those to be judged that is not before it. */
  #row = 0;
  #run = 0;
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
    const index = this.#indexOf(row);
    if (index === undefined) return true;
    if (kept!.number !== this.#block) this.#enter(kept!.number, index);
    const { from, until, places } = index;
    if (start < from || start >= until) return true;
    while (places[this.#row]! < start) this.#row++;
    const toJudge = this.#toJudge;
    while (this.#next < toJudge.length && toJudge[this.#next]! < this.#row) this.#next++;
    return toJudge[this.#next] === this.#row;
  }

  /** Of a row that it has not (`has`): those directly behind it that are of the same kind, and that it has not either. */
  passed(row: LoggedRow): RowsPassed | undefined {
    const index = this.#indexOf(row);
    if (index === undefined) return undefined;
    const { places, runs } = index;
    while (runs[this.#run]!.until <= this.#row) this.#run++;
    const run = runs[this.#run]!;
    const until = Math.min(this.#toJudge[this.#next] ?? run.until, run.until);
    const rows = until - this.#row - 1;
    if (rows === 0) return undefined;
    return { rows, next: until === run.until ? run.next : places[until]! - FRAME_HEADER_BYTES };
  }

  /** Undefined: nobody keeps one, and it would be made anew for each row. */
  #indexOf(row: LoggedRow): ColumnIndex | undefined {
    const { kept } = row;
    if (kept === undefined || kept.isGone) return undefined;
    return kept.of(this.#name, () => {
      const made = indexFrom(row, row.bytes.length, this.#relation, this.#wanted.column);
      kept.grow(ROW_BYTES * (made.others.length + made.byText.size) + PLACE_BYTES * made.places.length);
      return made;
    });
  }

  #enter(block: number, index: ColumnIndex): void {
    this.#block = block;
    this.#toJudge = rowsWith(index, this.#wanted.texts);
    this.#row = 0;
    this.#run = 0;
    this.#next = 0;
  }
}
