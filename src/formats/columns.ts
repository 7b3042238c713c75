// The columns of a row as JSON members, for every format, and what becomes of an unchanged TOAST value: it comes from the old
// row, or is left out and named. Hot file: plain loops on purpose (bench/micro/render.ts).
import type { ByteWriter, Literal } from '../core/byte-writer.ts';
import {
  hasSameText,
  isDamaged,
  NOT_SENT,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type RowEvent,
  type Tuple,
} from '../core/change.ts';
import { escapeFrom, literal } from '../core/encoding.ts';
import { TailraceError } from '../core/errors.ts';
import { jsonText } from '../core/json.ts';
import type { SpreadRenderer, ValueRenderer } from '../core/render.ts';
import type { AddedMember, CompileInput } from './format.ts';

const COMMA = 0x2c;
const NULL: Literal = literal('null', 'json');

/** One column of the message. */
type PlannedColumn = {
  /** Its place in the relation. */
  readonly index: number;
  /** The name as a JSON string. */
  readonly name: Literal;
  /** `"name":` */
  readonly first: Literal;
  /** `,"name":` */
  readonly next: Literal;
  /** Behind the value, where something stands there. */
  readonly end: Literal | undefined;
  readonly render: ValueRenderer;
  /** Stands for an unchanged value that was not sent; undefined: the column is left out. */
  readonly unchanged: Literal | undefined;
  readonly spread: SpreadRenderer | undefined;
  /** Part of the replica identity: an old key tuple knows it. */
  readonly identity: boolean;
};

type PlannedMember = Pick<PlannedColumn, 'first' | 'next'> & Pick<AddedMember, 'write'>;

/** How a column stands in the message where it is not a member of an object. */
export type MemberForm = {
  readonly before: (column: { readonly name: string; readonly index: number }) => string;
  readonly after: string;
};

export type ColumnPlanOptions = {
  /** Names of members that stand beside the row's. */
  readonly reserved?: readonly string[];
  /** Of columns alone: what is flattened or added is a member of an object. */
  readonly form?: MemberForm;
};

export class ColumnPlan {
  readonly #table: string;
  readonly #columns: readonly PlannedColumn[];
  readonly #added: readonly PlannedMember[];
  readonly #escaped: boolean;
  /** Columns of the relation, of which the message may have fewer. */
  readonly #relationColumnCount: number;
  /** Undefined: what was not sent is left out. */
  readonly #absent: Literal | undefined;

  constructor(input: CompileInput, { reserved = [], form }: ColumnPlanOptions = {}) {
    const { relation, added = [] } = input;
    this.#table = `${relation.schema}.${relation.table}`;
    this.#relationColumnCount = relation.columns.length;
    const { encoding, values } = input;
    this.#absent = values.absent === 'null' ? NULL : undefined;
    this.#escaped = encoding === 'json-string';
    const taken = new Set([...input.columns, ...added].map(({ name }) => name).concat(reserved));
    const beforeOf = form?.before ?? (({ name }) => `${jsonText(name)}:`);
    const end = form && literal(form.after, encoding);
    this.#columns = input.columns.map(({ index, name, render, unchanged, spread }) => ({
      index,
      name: literal(jsonText(name), encoding),
      first: literal(beforeOf({ name, index }), encoding),
      next: literal(`,${beforeOf({ name, index })}`, encoding),
      end,
      render,
      unchanged: unchanged === undefined ? undefined : literal(unchanged, encoding),
      spread: spread?.({ taken, encoding }),
      identity: relation.columns[index]!.identity,
    }));
    this.#added = added.map(({ name, write }) => ({
      first: literal(`${jsonText(name)}:`, encoding),
      next: literal(`,${jsonText(name)}:`, encoding),
      write,
    }));
  }

  /**
   * Appends the members of the new row. An unchanged TOAST value comes from the old row where that has it, else the
   * column is left out (invariant 7), or says that it is unchanged where its form has words for that. Answers how many were not known.
   */
  writeNew(event: RowEvent, writer: ByteWriter): number {
    this.#expectColumns(event.newTuple);
    let unknown = 0;
    let isFirst = true;
    for (const column of this.#columns) {
      let tuple = event.newTuple;
      if (tuple.lengths[column.index] === UNCHANGED_TOAST) {
        if (!hasOldValue(column, event)) {
          unknown++;
          if (column.unchanged === undefined) continue;
          writer.literal(isFirst ? column.first : column.next);
          writer.literal(column.unchanged);
          isFirst = false;
          continue;
        }
        tuple = event.oldTuple;
      }
      this.#writeMember(column, event.bytes, tuple, isFirst, writer);
      isFirst = false;
    }
    for (const member of this.#added)
      isFirst = this.#writeAdded(member, event, { isOld: false, isFirst }, writer);
    return unknown;
  }

  /** Appends the members of the old row as far as Postgres sent it: what was not sent is absent, and null only where that was asked for. */
  writeOld(event: RowEvent, writer: ByteWriter): void {
    this.#expectColumns(event.oldTuple);
    let isFirst = true;
    for (const column of this.#columns) {
      if (isInOldRow(column, event)) {
        this.#writeMember(column, event.bytes, event.oldTuple, isFirst, writer);
      } else {
        if (this.#absent === undefined) continue;
        writer.literal(isFirst ? column.first : column.next);
        writer.literal(this.#absent);
      }
      isFirst = false;
    }
    for (const member of this.#added)
      isFirst = this.#writeAdded(member, event, { isOld: true, isFirst }, writer);
  }

  /** Appends the old values of the columns that an update changed, as far as the old row tells. Answers how many. */
  writeChanged(event: RowEvent, writer: ByteWriter): number {
    this.#expectColumns(event.oldTuple);
    let changed = 0;
    for (const column of this.#columns) {
      if (event.oldKind === 'key' && !column.identity) continue;
      if (!isChanged(column.index, event)) continue;
      this.#writeMember(column, event.bytes, event.oldTuple, changed === 0, writer);
      changed++;
    }
    return changed;
  }

  /** Appends the names of the columns that `writeNew` did not know, as the members of a JSON array. */
  writeUnknownNames(event: RowEvent, writer: ByteWriter): void {
    let first = true;
    for (const column of this.#columns) {
      if (event.newTuple.lengths[column.index] !== UNCHANGED_TOAST || hasOldValue(column, event)) continue;
      if (!first) writer.byte(COMMA);
      writer.literal(column.name);
      first = false;
    }
  }

  /** As `writeUnknownNames`: the columns whose text was damaged, in the new row or the old one. Answers how many. */
  writeDamagedNames({ newTuple, oldTuple }: RowEvent, writer: ByteWriter): number {
    let count = 0;
    for (const { index, name } of this.#columns) {
      if (!isDamaged(newTuple, index) && !isDamaged(oldTuple, index)) continue;
      if (count++ > 0) writer.byte(COMMA);
      writer.literal(name);
    }
    return count;
  }

  #writeMember(
    column: PlannedColumn,
    bytes: Buffer,
    tuple: Tuple,
    isFirst: boolean,
    writer: ByteWriter,
  ): void {
    const length = tuple.lengths[column.index]!;
    const start = tuple.starts[column.index]!;
    // What cannot be spread stays whole.
    if (column.spread !== undefined && length !== NULL_VALUE) {
      if (column.spread(bytes, start, length, isFirst, writer)) return;
    }
    writer.literal(isFirst ? column.first : column.next);
    if (length === NULL_VALUE) writer.literal(NULL);
    else {
      const from = writer.length;
      column.render(bytes, start, length, writer);
      if (this.#escaped) escapeFrom(from, writer);
    }
    if (column.end !== undefined) writer.literal(column.end);
  }

  /** Answers whether what follows is the first member. */
  #writeAdded(
    { first, next, write }: PlannedMember,
    event: RowEvent,
    { isOld, isFirst }: { readonly isOld: boolean; readonly isFirst: boolean },
    writer: ByteWriter,
  ): boolean {
    const { length, escapes } = writer;
    writer.literal(isFirst ? first : next);
    const start = writer.length;
    if (!write(event, isOld, writer)) {
      writer.truncate(length, escapes);
      return isFirst;
    }
    if (this.#escaped) escapeFrom(start, writer);
    return false;
  }

  #expectColumns(tuple: Tuple): void {
    if (tuple.columnCount === this.#relationColumnCount) return;
    throw new TailraceError(
      `a row of ${this.#table} has ${tuple.columnCount} columns, its relation ${this.#relationColumnCount}`,
      {
        code: 'PGOUTPUT_MALFORMED',
        kind: 'fatal',
        hint: 'the change log lacks a relation: please report this',
      },
    );
  }
}

/** Did Postgres send this column of the old row? */
const isInOldRow = (column: PlannedColumn, event: RowEvent): boolean =>
  (event.oldKind !== 'key' || column.identity) && event.oldTuple.lengths[column.index]! >= NULL_VALUE;

/**
 * Does the old row know a value that the new one leaves out as unchanged? A value out of line is never NULL: a NULL in
 * its place says that the old row came from a partition whose identity is less than its root's.
 */
const hasOldValue = (column: PlannedColumn, event: RowEvent): boolean =>
  event.oldKind !== 'none' &&
  (event.oldKind !== 'key' || column.identity) &&
  event.oldTuple.lengths[column.index]! >= 0;

/** As far as both rows know the value. */
function isChanged(index: number, event: RowEvent): boolean {
  const length = event.newTuple.lengths[index]!;
  const oldLength = event.oldTuple.lengths[index]!;
  if (length === UNCHANGED_TOAST || oldLength === UNCHANGED_TOAST || oldLength === NOT_SENT) return false;
  return !hasSameText(event, index);
}
