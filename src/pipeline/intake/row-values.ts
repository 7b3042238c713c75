// What a row says apart from its message: a column's value as text for a route that rows decide, key and unchanged (TOAST)
// columns for sinks that ask for them. Others pay nothing.
import {
  NOT_SENT,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type Relation,
  type RowEvent,
  type Tuple,
} from '../../core/change.ts';
import { jsonText, writeJsonStringPart } from '../../core/json.ts';
import type { RowFacts } from '../../core/message.ts';
import type { MaskedTexts, TextOf } from '../../core/render.ts';
import type { ColumnPart } from '../../core/template.ts';
import type { MessageColumn } from '../../formats/format.ts';
import type { PartWriter } from '../../functions/columns/added.ts';
import type { RowValues } from '../../sinks/sink.ts';

type KnownColumn = {
  readonly index: number;
  /** Part of the replica identity: an old key tuple knows it. */
  readonly identity: boolean;
  /** What is told in the place of a value that stays here. */
  readonly masked: TextOf<string | null> | undefined;
};

/** The values of the row event in hand, masked where they stay here; of a delete, as the row was. One for a relation, used for every row. */
export class RowTexts implements RowValues {
  readonly #columns: ReadonlyMap<string, KnownColumn>;
  #event: RowEvent | undefined;
  #isBefore = false;

  constructor(relation: Relation, masks: MaskedTexts) {
    this.#columns = new Map(
      relation.columns.map(({ name, identity }, index) => [
        name,
        { index, identity, masked: masks.get(name)?.textOf },
      ]),
    );
  }

  of(event: RowEvent): this {
    this.#event = event;
    this.#isBefore = false;
    return this;
  }
  /** The row as it was before an update: its values are the old ones. */
  before(event: RowEvent): this {
    this.#event = event;
    this.#isBefore = true;
    return this;
  }

  text(column: string): string | null | undefined {
    if (this.#isBefore) return this.old(column);
    const known = this.#columns.get(column);
    return known && this.#read(tupleOf(this.#event!, known), known);
  }

  old(column: string): string | null | undefined {
    const known = this.#columns.get(column);
    return known && this.#read(oldTupleOf(this.#event!, known), known);
  }

  #read(tuple: Tuple | undefined, { index, masked }: KnownColumn): string | null | undefined {
    if (tuple === undefined) return undefined;
    const length = tuple.lengths[index]!;
    if (length === NULL_VALUE) return null;
    const start = tuple.starts[index]!;
    if (masked !== undefined) return masked(this.#event!.bytes, start, length);
    return this.#event!.bytes.toString('utf8', start, start + length);
  }

  /** Is it left out of the message, because it did not change and was not sent again (invariant 7)? */
  isUnchanged(column: string): boolean {
    const known = this.#columns.get(column)!;
    const event = this.#event!;
    if (event.action === 'delete' || event.newTuple.lengths[known.index] !== UNCHANGED_TOAST) return false;
    return tupleOf(event, known) === undefined;
  }
}

/**
 * Writes a value of the row as part of a JSON string, masked where it stays here: of the image `row` as `RowTexts.text` says it, of `old` as
 * `RowTexts.old`. Hot where a table has templates.
 */
export function valueWriter(
  relation: Relation,
  { image, name }: Pick<ColumnPart, 'image' | 'name'>,
  masks: MaskedTexts,
): PartWriter<RowEvent> {
  const index = relation.columns.findIndex((column) => column.name === name);
  if (index === -1) return () => 'absent';
  const masked = masks.get(name)?.textOf;
  const known = { index, identity: relation.columns[index]!.identity, masked };
  const tupleIn = image === 'old' ? oldTupleOf : tupleOf;
  return (event, writer) => {
    const tuple = tupleIn(event, known);
    if (tuple === undefined) return 'absent';
    const start = tuple.starts[index]!;
    const length = tuple.lengths[index]!;
    if (length === NULL_VALUE) return 'null';
    if (masked === undefined) {
      writeJsonStringPart(event.bytes, start, length, writer);
    } else {
      const text = masked(event.bytes, start, length);
      if (text === null) return 'null';
      writer.text(jsonText(text).slice(1, -1));
    }
    return 'written';
  };
}

/** A column, and what messages call it. */
type NamedColumn = { readonly column: string; readonly name: string };

/** Reads the facts of rows of one relation; `columns`: those that its messages have. They are called as there. */
export class RowFactReader {
  readonly #texts: RowTexts;
  readonly #key: readonly NamedColumn[];
  readonly #columns: readonly NamedColumn[];

  constructor(
    relation: Relation,
    columns: readonly Pick<MessageColumn, 'index' | 'name'>[],
    masks: MaskedTexts,
  ) {
    this.#texts = new RowTexts(relation, masks);
    this.#columns = columns.map(({ index, name }) => ({ column: relation.columns[index]!.name, name }));
    const named = (column: string): NamedColumn =>
      this.#columns.find((each) => each.column === column) ?? { column, name: column };
    this.#key = relation.key.map(named);
  }

  read(event: RowEvent): RowFacts {
    const texts = this.#texts.of(event);
    return {
      key: this.#key.flatMap(({ column, name }) => {
        const text = texts.text(column);
        return text === undefined ? [] : [{ name, text }];
      }),
      unchangedColumns: this.#columns
        .filter(({ column }) => texts.isUnchanged(column))
        .map(({ name }) => name),
    };
  }
}

/**
 * The tuple that has a column's value; undefined where none was sent. As in the messages (formats/columns.ts): a value that
 * did not change comes from the old row, where a NULL says that the old row does not know it.
 */
function tupleOf(event: RowEvent, { index, identity }: KnownColumn): Tuple | undefined {
  const { newTuple, oldTuple, oldKind } = event;
  const isDelete = event.action === 'delete';
  if (!isDelete && newTuple.lengths[index] !== UNCHANGED_TOAST) return newTuple;
  if (oldKind === 'none' || (oldKind === 'key' && !identity)) return undefined;
  return oldTuple.lengths[index]! >= (isDelete ? NULL_VALUE : 0) ? oldTuple : undefined;
}

/** The tuple that has a column's value before the change; undefined where it is not known. */
function oldTupleOf(event: RowEvent, known: KnownColumn): Tuple | undefined {
  const { action, newTuple, oldTuple, oldKind } = event;
  if (action === 'delete') return tupleOf(event, known);
  if (action !== 'update') return undefined;
  const { index, identity } = known;
  // An update without an old row has not changed its identity.
  if (oldKind === 'none') return identity && newTuple.lengths[index]! >= NULL_VALUE ? newTuple : undefined;
  if (oldKind === 'key' && !identity) return undefined;
  return oldTuple.lengths[index] === NOT_SENT ? undefined : oldTuple;
}
