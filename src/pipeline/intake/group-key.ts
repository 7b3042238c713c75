// Which message group a row event belongs to, also where its key changed or lies in an unchanged TOAST value. Hot file: runs
// for every wanted row (bench/micro).
import {
  hasSameText,
  isDamaged,
  NOT_SENT,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type Relation,
  type RowEvent,
  type TransactionContext,
  type Tuple,
} from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import type { TextOf } from '../../core/render.ts';
import { parseTemplate, templateColumns, type Template } from '../../core/template.ts';
import type { Masks } from '../../functions/columns/masks.ts';
import { digestOf, expectShown, masksForReaders } from './columns/masked.ts';
import { GroupText } from './group-text.ts';

export interface GroupKey {
  /** The group of the row as it is after the event (of a delete: as it was). */
  current(event: RowEvent, transaction: TransactionContext): string;
  /** The group of the row before an update, when that is known to be another one. */
  previous(event: RowEvent, transaction: TransactionContext): string | undefined;
  /** The column that its template cannot do without, and that is NULL or was not sent; undefined: none. */
  lacks?(event: RowEvent): string | undefined;
}

type Part =
  | { readonly kind: 'text'; readonly text: string; readonly bytes: Buffer }
  | ColumnValue
  | { readonly kind: 'xid' };

type ColumnValue = {
  readonly kind: 'column';
  readonly index: number;
  readonly identity: boolean;
  /** What stands for a value that is NULL or was not sent. */
  readonly instead: Buffer;
  /** What stands for a value that stays here. */
  readonly masked: TextOf | undefined;
};

/** How a NULL stands in a group made of columns: no text value escapes to this. */
const NULL_PART = Buffer.from('\\N');
const NOTHING = Buffer.alloc(0);

/**
 * Groups by a table's columns: `schema.table:value[:value…]`. Different keys never give the same group: separators
 * inside a part are escaped. Of a masked column stands the HMAC of its value, which tells as many groups apart. No columns: the
 * table is one group.
 */
export function groupByColumns(relation: Relation, columns: readonly string[], masks: Masks): GroupKey {
  const table = `${escapeName(relation.schema)}.${escapeName(relation.table)}`;
  if (columns.length === 0) return constantGroup(table);
  const parts: Part[] = [];
  columns.forEach((name, i) => {
    const masked = digestOf(relation, name, masks);
    const part = columnPart(relation, name, { instead: NULL_PART, masked });
    parts.push(textPart(i === 0 ? `${table}:` : ':'), part);
  });
  return new ComputedGroup(relation, parts, { escaped: true });
}

/** Names rows as `groupByColumns` does by the key, for who reads about them: a masked value is hidden where there is no key for it. */
export const rowNames = (relation: Relation, masks: Masks): GroupKey =>
  groupByColumns(relation, relation.key, masksForReaders(masks));

/**
 * Groups by a template's text, as it comes out. A value that is NULL or was not sent is its default, else the empty text; of a masked
 * column stands what consumers see.
 */
export function groupByTemplate(relation: Relation, template: Template, masks: Masks): GroupKey {
  expectShown(relation, templateColumns(template), { masks, by: 'group' });
  const maskOf = (name: string): TextOf | undefined => masks.get(name)?.textOf as TextOf | undefined;
  const needed: ColumnValue[] = [];
  const parts = template.map((part): Part => {
    switch (part.kind) {
      case 'text':
        return textPart(part.text);
      case 'table':
        return textPart(relation.table);
      case 'schema':
        return textPart(relation.schema);
      case 'xid':
        return { kind: 'xid' };
      case 'column':
        return columnPart(relation, part.name, { instead: NOTHING, masked: maskOf(part.name) });
      case 'value': {
        const { name, fallback } = part;
        const instead = fallback === undefined ? NOTHING : Buffer.from(fallback);
        const value = columnPart(relation, name, { instead, masked: maskOf(name) });
        if (fallback === undefined) needed.push(value);
        return value;
      }
      case 'action':
        throw new Error('a group has no action');
      default:
        return part satisfies never;
    }
  });
  if (parts.every((part) => part.kind === 'text')) {
    return constantGroup(parts.map((part) => part.text).join(''));
  }
  return new ComputedGroup(relation, parts, { escaped: false, needed });
}

const textPart = (text: string): Part => ({ kind: 'text', text, bytes: Buffer.from(text) });

function columnPart(
  relation: Relation,
  name: string,
  how: Pick<ColumnValue, 'instead' | 'masked'>,
): ColumnValue {
  const index = relation.columns.findIndex((column) => column.name === name);
  if (index === -1) {
    throw new TailraceError(
      `the group of table ${relation.schema}.${relation.table} names the column "${name}", which the table does not have`,
      {
        code: 'GROUP_COLUMN_MISSING',
        kind: 'fatal',
        hint: `name one of ${relation.columns.map((column) => column.name).join(', ')}, or add the column to the publication`,
      },
    );
  }
  return { kind: 'column', index, identity: relation.columns[index]!.identity, ...how };
}

/** The group of all messages of a sink that keeps one order: its template's text, where nothing of a row stands, or the sink's name. */
export const groupOfSink = (template: string | undefined, sink: string): string =>
  template === undefined
    ? sink
    : parseTemplate(template)
        .map((part) => (part.kind === 'text' ? part.text : ''))
        .join('');

export const constantGroup = (group: string): GroupKey => ({
  current: () => group,
  previous: () => undefined,
});

const escapeName = (name: string): string => name.replaceAll(/[\\.:]/g, (character) => `\\${character}`);

/** One is enough: a group is put together without a pause. */
const TEXT = new GroupText();

class ComputedGroup implements GroupKey {
  readonly #parts: readonly Part[];
  readonly #escaped: boolean;
  readonly #full: boolean;
  readonly #relation: Relation;
  readonly #needed: readonly ColumnValue[];

  constructor(
    relation: Relation,
    parts: readonly Part[],
    options: { readonly escaped: boolean; readonly needed?: readonly ColumnValue[] },
  ) {
    this.#parts = parts;
    this.#escaped = options.escaped;
    this.#full = relation.replicaIdentity === 'full';
    this.#relation = relation;
    this.#needed = options.needed ?? [];
  }

  lacks(event: RowEvent): string | undefined {
    if (this.#needed.length === 0) return undefined;
    const lacking = this.#needed.find((part) => {
      const isNew = event.hasNew && event.newTuple.lengths[part.index] !== UNCHANGED_TOAST;
      if (!isNew && !this.#isInOld(event, part)) return true;
      return (isNew ? event.newTuple : event.oldTuple).lengths[part.index]! < 0;
    });
    return lacking && this.#relation.columns[lacking.index]!.name;
  }

  current(event: RowEvent, transaction: TransactionContext): string {
    const text = TEXT.begin();
    for (const part of this.#parts) {
      if (part.kind === 'text') text.bytes(part.bytes, 0, part.bytes.length, false);
      else if (part.kind === 'xid') text.text(String(transaction.xid));
      else if (!event.hasNew) this.#writeOld(event, part, text);
      // An unchanged value that was not sent again stands in the old row, where that was sent.
      else if (event.newTuple.lengths[part.index] === UNCHANGED_TOAST) this.#writeOld(event, part, text);
      else this.#write(event, event.newTuple, part, text);
    }
    return text.end();
  }

  previous(event: RowEvent, transaction: TransactionContext): string | undefined {
    if (!event.hasNew || event.oldKind === 'none' || !this.#columnsDiffer(event)) return undefined;
    const text = TEXT.begin();
    for (const part of this.#parts) {
      if (part.kind === 'text') text.bytes(part.bytes, 0, part.bytes.length, false);
      else if (part.kind === 'xid') text.text(String(transaction.xid));
      else if (this.#isInOld(event, part)) this.#write(event, event.oldTuple, part, text);
      else this.#write(event, event.newTuple, part, text);
    }
    return text.end();
  }

  #isInOld(event: RowEvent, part: { readonly index: number; readonly identity: boolean }): boolean {
    if (event.oldKind === 'some') return event.oldTuple.lengths[part.index] !== NOT_SENT;
    return event.oldKind === 'full' || (event.oldKind === 'key' && (this.#full || part.identity));
  }

  #writeOld(event: RowEvent, part: ColumnValue, text: GroupText): void {
    if (this.#isInOld(event, part)) this.#write(event, event.oldTuple, part, text);
    else text.bytes(part.instead, 0, part.instead.length, false);
  }

  #columnsDiffer(event: RowEvent): boolean {
    for (const part of this.#parts) {
      if (part.kind !== 'column' || !this.#isInOld(event, part)) continue;
      if (valuesDiffer(event, part.index)) return true;
    }
    return false;
  }

  #write(event: RowEvent, tuple: Tuple, { index, instead, masked }: ColumnValue, text: GroupText): void {
    const length = tuple.lengths[index]!;
    if (length === NULL_VALUE || length === NOT_SENT || length === UNCHANGED_TOAST) {
      text.bytes(instead, 0, instead.length, false);
      return;
    }
    const start = tuple.starts[index]!;
    if (masked !== undefined) text.text(masked(event.bytes, start, length));
    else text.bytes(event.bytes, start, start + length, this.#escaped);
  }
}

/** Did an update change the primary key, as far as the old row tells? Undefined: the table has no key. */
export function keyChange(relation: Relation): ((event: RowEvent) => boolean) | undefined {
  const indexes = relation.key.map((name) => relation.columns.findIndex((column) => column.name === name));
  if (indexes.length === 0) return undefined;
  return (event) => event.oldKind !== 'none' && indexes.some((index) => valuesDiffer(event, index));
}

/** Was a text of the primary key damaged, in the row as it is or as it was? Another key may look the same. */
export function damagedKey(relation: Relation): (event: RowEvent) => boolean {
  const indexes = relation.key.map((name) => relation.columns.findIndex((column) => column.name === name));
  return ({ newTuple, oldTuple }) =>
    indexes.some((index) => isDamaged(newTuple, index) || isDamaged(oldTuple, index));
}

/** Are the old and the new text of a column different? An unchanged TOAST value is not, and nobody knows of one that was not sent. */
const valuesDiffer = (event: RowEvent, index: number): boolean =>
  event.newTuple.lengths[index] !== UNCHANGED_TOAST &&
  event.oldTuple.lengths[index] !== NOT_SENT &&
  !hasSameText(event, index);
