// One chunk while its lines come: its rows, within what may be held in memory, and how much of its range they are.
import { isList, type ChunkRange, type ChunkRest } from './chunk-sql.ts';
import { CopyRows, type Leading } from './copy-rows.ts';
import { goneRow } from './gone-row.ts';
import type { BackfillTable } from './table.ts';

export type AskedFor = {
  readonly range: ChunkRange;
  /** Rows that the statement gives at most. */
  readonly size: number;
  readonly maxBytes: number;
  readonly maxRowBytes: number;
};

export class ChunkInMaking {
  readonly rows: CopyRows;
  /** Each row's place in the table, where that is all that it is known by. */
  readonly places: string[] = [];
  /** How many rows were looked at. */
  scanned = 0;
  readonly #asked: AskedFor;
  readonly #table: BackfillTable;
  #isFull = false;

  /** `spare`: for its rows. */
  constructor(
    table: BackfillTable,
    asked: AskedFor & { readonly leading: Leading; readonly spare: Buffer | undefined },
  ) {
    this.#asked = asked;
    this.#table = table;
    const { id, columns } = table.relation;
    const key = table.key.map(({ name }) => columns.findIndex((column) => column.name === name));
    this.rows = new CopyRows({ id, columns: columns.length, key }, asked.leading, asked);
  }

  get bytes(): number {
    return this.rows.bytes;
  }

  /** A line of COPY: `bytes[start, end)`. */
  take(bytes: Buffer, start: number, end: number): void {
    // What came beyond the bound is read again: memory is bounded by it and one row (invariant 8).
    if (this.#isFull) return;
    const { rows } = this;
    const isWanted = rows.begin(bytes, start);
    if (this.#isTooMuch) {
      this.#isFull = true;
      return;
    }
    this.scanned++;
    const { range } = this.#asked;
    // What is told of is the key's number.
    if (range.by === 'absent') return rows.message(goneRow(this.#table, range.keys[Number(rows.key[0])]!));
    if (!isWanted) return;
    rows.row(bytes, end);
    if (this.#table.key.length === 0) this.places.push(rows.key[0]!);
  }

  /** Rows that are asked for one by one come as they are; of a table that is read by its pages a chunk is whole pages. */
  get #isTooMuch(): boolean {
    const { range, maxBytes } = this.#asked;
    if (this.rows.bytes <= maxBytes || isList(range)) return false;
    return range.by === 'key' || pageOf(this.rows.key[0]!) !== pageOf(this.rows.keyBefore[0]!);
  }

  /** How much was read, in rows, or in pages. */
  get size(): number {
    const { range } = this.#asked;
    return range.by === 'page' ? this.#endPage(range) - range.page : this.scanned;
  }

  /** The key, one character a byte, of the last row that was read. */
  get last(): readonly string[] {
    return this.#isFull ? this.rows.keyBefore : this.rows.key;
  }

  /** What of `whole`, which begins as what was asked for, was read, and what was not. `last`: as a cursor has it. */
  divided(
    whole: ChunkRange,
    last: readonly string[],
  ): { readonly range: ChunkRange; readonly rest: ChunkRest | undefined } {
    if (whole.by === 'page') {
      const end = this.#endPage(whole);
      if (end === whole.end) return { range: whole, rest: undefined };
      return { range: { ...whole, end }, rest: { ...whole, page: end } };
    }
    const { size } = this.#asked;
    if (isList(whole) || (!this.#isFull && this.scanned < size)) return { range: whole, rest: undefined };
    if (isSame(last, whole.upTo)) return { range: whole, rest: undefined };
    return { range: { ...whole, upTo: last }, rest: { ...whole, after: last } };
  }

  #endPage(whole: Extract<ChunkRange, { by: 'page' }>): number {
    const { range } = this.#asked;
    if (this.#isFull) return pageOf(this.rows.keyBefore[0]!) + 1;
    return range.by === 'page' ? range.end : whole.end;
  }
}

const isSame = (key: readonly string[], other: readonly string[] | undefined): boolean =>
  other !== undefined && key.every((text, i) => text === other[i]);

/** Of a place as Postgres writes it: `(page,number)`. */
const pageOf = (place: string): number => Number(place.slice(1, place.indexOf(',')));
