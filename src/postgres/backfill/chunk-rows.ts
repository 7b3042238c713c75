// The rows of one chunk, made of COPY's lines as they come. Hot.
import { ByteWriter } from '../../core/byte-writer.ts';
import { ROWS_AT_ONCE, type ChunkCursor, type Leading } from './chunk-sql.ts';
import type { CopyLine } from './copy-line.ts';
import type { BackfillTable } from './table.ts';

/** Rows as Insert messages, in the order of the chunk. */
export type ChunkRows = {
  readonly bytes: Buffer;
  readonly count: number;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** By their numbers, those that are larger than a row may be, and their sizes (none: undefined): of these the key is here alone. */
  readonly tooLarge?: ReadonlyMap<number, number>;
};

export type ReadRows = {
  readonly rows: ChunkRows;
  /** Each row's place in the table, where that is all that it is known by. */
  readonly places: readonly string[];
  /** How many rows were looked at: wanted or not. */
  readonly scanned: number;
  /** Behind its last row. Undefined: the table has been read to its end. */
  readonly next: ChunkCursor | undefined;
};

export type RowLimits = {
  /** Of a chunk's rows in memory: what is beyond is left for the next chunk. */
  readonly maxBytes: number;
  /** Of one row, as a message: of one that is larger the key is kept alone. */
  readonly maxRowBytes: number;
};

/** Takes the lines of one chunk as they come. */
export class ChunkInMaking {
  leading: Leading = { wanted: false, sized: false, key: 0 };
  readonly #table: BackfillTable;
  readonly #line: CopyLine;
  readonly #limits: RowLimits;
  readonly #writer = new ByteWriter();
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #places: string[] = [];
  readonly #tooLarge = new Map<number, number>();
  #scanned = 0;
  #last: readonly string[] | undefined;
  #isFull = false;

  constructor(table: BackfillTable, line: CopyLine, limits: RowLimits) {
    this.#table = table;
    this.#line = line;
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#writer.length;
  }

  take(bytes: Buffer): void {
    // What came beyond the bound is read again: memory is bounded by it and one row (invariant 8).
    if (this.#isFull) return;
    const line = this.#line;
    line.split(bytes);
    const { wanted, sized, key } = this.leading;
    const first = Number(wanted) + Number(sized);
    if (this.#writer.length > this.#limits.maxBytes && this.#mayEndBefore(line.text(first)!)) {
      this.#isFull = true;
      return;
    }
    this.#scanned++;
    this.#last = Array.from({ length: key }, (_, i) => line.text(first + i)!);
    if (wanted && line.text(0) !== 't') return;
    const { id, columns } = this.#table.relation;
    const leftOut = sized ? Number(line.text(first - 1)) : 0;
    const size = line.insertBytes(first + key) + leftOut;
    this.#starts.push(this.#writer.length);
    if (size <= this.#limits.maxRowBytes) line.writeInsert(this.#writer, id, first + key);
    else {
      this.#tooLarge.set(this.#starts.length - 1, size);
      const names = this.#table.key.map(({ name }) => name);
      line.writeInsert(this.#writer, id, first + key, (i) => names.includes(columns[i]!.name));
      line.forget();
    }
    this.#ends.push(this.#writer.length);
    if (this.#table.key.length === 0) this.#places.push(this.#last[0]!);
  }

  /** Of a table that is read by its pages a chunk is whole pages. */
  #mayEndBefore(known: string): boolean {
    return this.#table.key.length > 0 || pageOf(known) !== pageOf(this.#last![0]!);
  }

  finish({ cursor, size }: { readonly cursor: ChunkCursor | undefined; readonly size: number }): ReadRows {
    const rows: ChunkRows = {
      bytes: this.#writer.buffer.subarray(0, this.#writer.length),
      count: this.#starts.length,
      starts: Int32Array.from(this.#starts),
      ends: Int32Array.from(this.#ends),
      tooLarge: this.#tooLarge,
    };
    return { rows, places: this.#places, scanned: this.#scanned, next: this.#next(cursor, size) };
  }

  #next(cursor: ChunkCursor | undefined, size: number): ChunkCursor | undefined {
    const last = this.#last;
    if (cursor?.by === 'page') {
      const page = this.#isFull ? pageOf(last![0]!) + 1 : cursor.page + size;
      return page >= cursor.pages ? undefined : { ...cursor, page };
    }
    if (cursor?.by === 'rows') {
      const left = cursor.keys.slice(ROWS_AT_ONCE);
      return left.length === 0 ? undefined : { ...cursor, keys: left };
    }
    if (last === undefined || (!this.#isFull && this.#scanned < size)) return undefined;
    return { by: 'key', values: last };
  }
}

/** Of a place as Postgres writes it: `(page,number)`. */
const pageOf = (place: string): number => Number(place.slice(1, place.indexOf(',')));
