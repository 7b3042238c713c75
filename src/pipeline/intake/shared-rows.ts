// Rows that several sinks of a thread send alike: rendered by the one that comes first, copied by the others, each with a part of its
// own in between. Hot: for every row that is shared (bench/scenarios/growth.ts).
import { createHash } from 'node:crypto';
import type { ByteWriter } from '../../core/byte-writer.ts';
import type { RenderContext } from '../../formats/format.ts';
import type { Kept } from '../../log/block.ts';
import type { LoggedRow } from './log-walker.ts';

/** What a row is in every sink that shares it. */
export type SharedRow = {
  /** The sinks are told the same of its transaction while they have the same key for it. */
  readonly transactionKey: string;
  readonly group: string | undefined;
  readonly previousGroup: string | undefined;
  readonly readKey: string | undefined;
  /** The message is `[start, ownAt)` of the bytes, the sink's own part, `[ownAt, end)`. */
  readonly start: number;
  readonly ownAt: number;
  readonly end: number;
  /** In these bytes. */
  readonly escapes: number;
};

/** Where a rendered message lies. */
export type Rendered = {
  readonly writer: ByteWriter;
  /** The writer's length and escapes before it. */
  readonly length: number;
  readonly escapes: number;
  readonly own: RenderContext['own'];
};

/** About what one takes beside its bytes. */
const ROW_BYTES = 160;

/** The rows of one block, as all sinks with one `shareKey` have them. */
export class SharedRows {
  readonly #kept: Kept;
  readonly #writer: ByteWriter;
  /** By their places in the block. */
  readonly #rows = new Map<number, SharedRow>();

  constructor(kept: Kept) {
    this.#kept = kept;
    this.#writer = kept.takeWriter();
  }

  /** Undefined: no sink has rendered it, or it was told something else of its transaction. */
  find({ start, transaction }: LoggedRow): SharedRow | undefined {
    const row = this.#rows.get(start);
    return row?.transactionKey === transaction.key ? row : undefined;
  }

  keep(
    { start: place, transaction }: LoggedRow,
    what: Pick<SharedRow, 'group' | 'previousGroup' | 'readKey'>,
    { writer: from, length, escapes, own }: Rendered,
  ): void {
    const writer = this.#writer;
    const { length: start, buffer } = writer;
    const capacity = buffer.length;
    writer.bytes(from.buffer, length, own?.start ?? from.length);
    const { length: ownAt } = writer;
    if (own !== undefined) writer.bytes(from.buffer, own.end, from.length);
    this.#rows.set(place, {
      transactionKey: transaction.key,
      ...what,
      start,
      ownAt,
      end: writer.length,
      escapes: from.escapes - escapes - (own?.escapes ?? 0),
    });
    this.#kept.grow(writer.buffer.length - capacity + ROW_BYTES);
  }

  get bytes(): Buffer {
    return this.#writer.buffer;
  }
}

/** Undefined: no other sink can have the row as this one has it. */
export const sharedRowsOf = (
  { shareKey }: { readonly shareKey: string | undefined },
  { kept }: LoggedRow,
): SharedRows | undefined =>
  shareKey === undefined || kept === undefined || kept.isGone
    ? undefined
    : kept.of(shareKey, () => new SharedRows(kept));

/** Of all that decides how a sink has the rows of a table: equal texts, equal messages but for their own parts. */
export const shareKeyOf = (decisive: unknown): string =>
  createHash('sha256').update(JSON.stringify(decisive, plain)).digest('base64url');

const plain = (_: string, value: unknown): unknown =>
  value instanceof Map || value instanceof Set
    ? [...(value as Iterable<unknown>)]
    : typeof value === 'bigint'
      ? `${value}n`
      : value;
