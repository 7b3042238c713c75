// How a table looked to the rows that were written to it, and what a change of its schema is: what differs between two such looks. Pure.
import type { Placed } from './partitions.ts';
import type { Position } from './position.ts';
import type { TableName } from './selection.ts';

export type ShapeColumn = {
  readonly name: string;
  /** The OID and modifier of its type, as the stream says them. */
  readonly type: number;
  readonly typeModifier: number;
  /** As SQL writes the type; undefined: the type was gone when that was looked up. */
  readonly typeName?: string | undefined;
  /** Undefined: not known for the time of the rows. */
  readonly nullable?: boolean | undefined;
  /** Of the attribute, where the catalog proves that it was this column when the rows were written. Never given to another one. */
  readonly number?: number | undefined;
  /** As in `Column`: in messages where it is asked for. */
  readonly generated?: true | undefined;
};

export type TableShape = TableName & {
  readonly relationId: number;
  readonly columns: readonly ShapeColumn[];
  /** The key's columns, empty where there is none; undefined: not known for the time of the rows. */
  readonly key?: readonly string[] | undefined;
  /** The partitioned tables above it, by the names of which its rows are read: the root first. Undefined: not known for the time of the rows. */
  readonly above?: NonNullable<Placed['ancestors']> | undefined;
};

export type ShapeDifference = { readonly before: TableShape; readonly after: TableShape };

/** The table's rows have another shape from the row event at this place on: the first that was written with it. */
export type SchemaChange = ShapeDifference & {
  readonly at: Pick<Position, 'commitLsn' | 'index'>;
};

/** Is the row event at this place the first with a schema that is new? Hot: there are hardly ever any. */
export const isFirstWith = (
  change: SchemaChange | undefined,
  { commitLsn }: Pick<Position, 'commitLsn'>,
  index: number,
): boolean => change !== undefined && change.at.commitLsn === commitLsn && change.at.index === index;

/** All that came before a relation's rows and looked otherwise, told or not. */
export const differencesOf = ({
  untold = [],
  schemaChange,
}: {
  readonly untold?: readonly ShapeDifference[] | undefined;
  readonly schemaChange?: SchemaChange | undefined;
}): readonly ShapeDifference[] => (schemaChange ? [...untold, schemaChange] : untold);

/** One thing that differs. */
export type SchemaStep =
  | { readonly change: 'table_renamed'; readonly from: TableName; readonly to: TableName }
  | { readonly change: 'column_renamed'; readonly from: string; readonly to: string }
  | { readonly change: 'column_dropped'; readonly column: string }
  | { readonly change: 'column_added'; readonly column: string }
  | {
      readonly change: 'column_retyped';
      readonly column: string;
      readonly from: string | undefined;
      readonly to: string | undefined;
    }
  | { readonly change: 'key_changed'; readonly from: readonly string[]; readonly to: readonly string[] };

/**
 * What differs, in an order in which it could be done. Columns are told to be renamed only where the catalog knew the same attribute
 * under both names; else one was dropped and one added.
 */
export function schemaSteps(before: TableShape, after: TableShape): readonly SchemaStep[] {
  const steps: SchemaStep[] = [];
  if (before.schema !== after.schema || before.table !== after.table)
    steps.push({ change: 'table_renamed', from: nameOf(before), to: nameOf(after) });
  const nowOf = partners(before, after);
  const stays = new Set(nowOf.values());
  for (const column of before.columns)
    if (!nowOf.has(column)) steps.push({ change: 'column_dropped', column: column.name });
  for (const [was, now] of nowOf)
    if (was.name !== now.name) steps.push({ change: 'column_renamed', from: was.name, to: now.name });
  for (const [was, now] of nowOf)
    if (!isOfSameType(was, now))
      steps.push({ change: 'column_retyped', column: now.name, from: was.typeName, to: now.typeName });
  for (const column of after.columns)
    if (!stays.has(column)) steps.push({ change: 'column_added', column: column.name });
  if (hasOtherKey(before, after, nowOf)) {
    steps.push({ change: 'key_changed', from: before.key ?? [], to: after.key ?? [] });
  }
  return steps;
}

/** Has a row of the one shape other columns, another name, another place or another key than one of the other? A column is another one where its attribute is known to be. */
export const isSameShape = (before: TableShape, after: TableShape): boolean =>
  before.schema === after.schema &&
  before.table === after.table &&
  !isElsewhere(before, after) &&
  before.columns.length === after.columns.length &&
  before.columns.every((column, i) => {
    const other = after.columns[i]!;
    return (
      column.name === other.name &&
      isOfSameType(column, other) &&
      column.generated === other.generated &&
      !(before.relationId === after.relationId && isKnownToDiffer(column, other))
    );
  }) &&
  !hasOtherKey(before, after, partners(before, after));

const nameOf = ({ schema, table }: TableName): TableName => ({ schema, table });

/** Is the one known to be under other tables, or other names, than the other? */
export const isElsewhere = ({ above: before }: TableShape, { above: after }: TableShape): boolean =>
  before !== undefined &&
  after !== undefined &&
  (before.length !== after.length ||
    before.some(({ schema, table, published }, i) => {
      const other = after[i]!;
      return schema !== other.schema || table !== other.table || published !== other.published;
    }));

const isOfSameType = (a: ShapeColumn, b: ShapeColumn): boolean =>
  a.type === b.type && a.typeModifier === b.typeModifier;

/** The columns of before that are there afterwards, under whatever name: the same attribute, or by name where that is not known of both. */
function partners(before: TableShape, after: TableShape): Map<ShapeColumn, ShapeColumn> {
  const isSameTable = before.relationId === after.relationId;
  const byNumber = new Map(after.columns.map((column) => [column.number, column]));
  const byName = new Map(after.columns.map((column) => [column.name, column]));
  const found = new Map<ShapeColumn, ShapeColumn>();
  for (const column of before.columns) {
    const same = isSameTable && column.number !== undefined ? byNumber.get(column.number) : undefined;
    const named = byName.get(column.name);
    const isKnownOfBoth = isSameTable && column.number !== undefined && named?.number !== undefined;
    const partner = same ?? (isKnownOfBoth ? undefined : named);
    if (partner !== undefined) found.set(column, partner);
  }
  return withoutDoubles(found, isSameTable);
}

/**
 * The columns of after that may be this one of before under another name, where nobody knows which attributes they were: new names, and
 * names of others of its type, which may be gone, the nearest first. Attributes stand in the order of their numbers, new ones behind all others: where every
 * name of before is there, in its order, what stands behind is new.
 */
export function possibleNames(
  { before, after }: ShapeDifference,
  column: ShapeColumn,
): readonly ShapeColumn[] {
  if (before.relationId !== after.relationId) return [];
  if (after.columns.some((other) => isSameAttribute(column, other))) return [];
  const names = before.columns.map(({ name }) => name);
  const isAppended = names.every((name, i) => after.columns[i]?.name === name);
  if (isAppended) return [];
  const namesakes = new Map(before.columns.map((each) => [each.name, each]));
  const placesAfter = new Map(after.columns.map(({ name }, j) => [name, j]));
  const place = placeOf({ before, after }, column);
  const possible = after.columns.filter(
    (other, to) => other.name !== column.name && !isKnownToDiffer(column, other) && place.mayBe(to),
  );
  const fresh = possible.filter(({ name }) => !namesakes.has(name));
  // Where its own name is there, and names are in the order that they were in, it is itself: else each column that is dropped would put
  // those beside it in doubt.
  const stayed = names.flatMap((name) => placesAfter.get(name) ?? []);
  const isInOrder = stayed.every((to, i) => i === 0 || stayed[i - 1]! < to);
  if (isInOrder && placesAfter.has(column.name)) return fresh;
  const isTaken = (other: ShapeColumn): boolean => {
    const namesake = namesakes.get(other.name);
    const isOfItsType = column.type === other.type || !(namesake && isOfSameType(namesake, other));
    return namesake !== undefined && isOfItsType && place.hasRoom(placesAfter.get(other.name)!);
  };
  return [...fresh, ...possible.filter(isTaken).toReversed()];
}

type Place = {
  /** May it stand there afterwards, by the numbers that are known, and their order? */
  readonly mayBe: (to: number) => boolean;
  /**
   * What stands in front of a column that was there was there, too: so between those that are known to be the same no more stand in
   * front of it, or behind it, than stood there.
   */
  readonly hasRoom: (to: number) => boolean;
};

/** Of a column that is not known to be there afterwards. Tables have 1,600 columns: each is looked at once. */
function placeOf({ before, after }: ShapeDifference, column: ShapeColumn): Place {
  const from = before.columns.indexOf(column);
  const stays = stayingIn({ before, after });
  const taken = new Set(stays.map(({ j }) => j));
  const ahead = stays.filter(({ i }) => i < from);
  const behind = stays.filter(({ i }) => i > from);
  const first = Math.max(-1, ...ahead.map(({ j }) => j)) + 1;
  const end = Math.min(after.columns.length, ...behind.map(({ j }) => j));
  const wasBetween = numbersAround(before.columns)(from);
  const isBetween = numbersAround(after.columns);
  const { i: aheadI, j: aheadJ } = ahead.at(-1) ?? { i: -1, j: -1 };
  const next = behind[0];
  return {
    mayBe: (to) =>
      !taken.has(to) &&
      to >= first &&
      to < end &&
      wasBetween(after.columns[to]!.number) &&
      isBetween(to)(column.number),
    hasRoom: (to) => to - aheadJ <= from - aheadI && (next === undefined || next.j - to <= next.i - from),
  };
}

/** The places, before and after, of the columns that are known to be the same. */
function stayingIn({
  before,
  after,
}: ShapeDifference): readonly { readonly i: number; readonly j: number }[] {
  const places = new Map(after.columns.map(({ number }, j) => [number, j]));
  return before.columns.flatMap(({ number }, i) => {
    const j = number === undefined ? undefined : places.get(number);
    return j === undefined ? [] : [{ i, j }];
  });
}

/** May an attribute of this number stand at that place? */
function numbersAround(columns: readonly ShapeColumn[]): (place: number) => (number?: number) => boolean {
  const lowest: number[] = [];
  let highest = -Infinity;
  const highestAhead = columns.map(({ number = -Infinity }) => {
    const ahead = highest;
    highest = Math.max(highest, number);
    return ahead;
  });
  for (let i = columns.length - 1, low = Infinity; i >= 0; i--) {
    lowest[i] = low;
    low = Math.min(low, columns[i]!.number ?? Infinity);
  }
  return (place) => (number) =>
    number === undefined || (highestAhead[place]! < number && lowest[place]! >= number);
}

/** Where a column is the same attribute as one and has the name of another, the attribute decides. */
function withoutDoubles(
  found: Map<ShapeColumn, ShapeColumn>,
  isSameTable: boolean,
): Map<ShapeColumn, ShapeColumn> {
  if (!isSameTable) return found;
  const taken = new Set<ShapeColumn>();
  for (const [was, now] of found) if (isSameAttribute(was, now)) taken.add(now);
  for (const [was, now] of found) if (!isSameAttribute(was, now) && taken.has(now)) found.delete(was);
  return found;
}

const isKnownToDiffer = (a: ShapeColumn, b: ShapeColumn): boolean =>
  a.number !== undefined && b.number !== undefined && a.number !== b.number;

const isSameAttribute = (a: ShapeColumn, b: ShapeColumn): boolean =>
  a.number !== undefined && a.number === b.number;

/** Keys are told to differ only where both are known; a renamed column stays the same part of its key. */
function hasOtherKey(
  before: TableShape,
  after: TableShape,
  nowOf: ReadonlyMap<ShapeColumn, ShapeColumn>,
): boolean {
  if (before.key === undefined || after.key === undefined) return false;
  if (before.key.length !== after.key.length) return true;
  const key = new Set(after.key);
  return before.key.some((name) => {
    const was = before.columns.find((column) => column.name === name);
    const now = was && nowOf.get(was);
    return !key.has(now?.name ?? name);
  });
}

/**
 * As far as a sink's messages have these columns; undefined where nothing differs there. `name`: of the table that it reads the rows
 * of a partition under, which has no name of its own there.
 */
export function asSeenBy(
  change: SchemaChange,
  name: TableName | undefined,
  isWanted: (column: ShapeColumn, shape: TableShape) => boolean,
): SchemaChange | undefined {
  const seen = (shape: TableShape): TableShape => ({
    ...shape,
    above: undefined,
    ...(name && nameOf(name)),
    columns: shape.columns.filter((column) => isWanted(column, shape)),
  });
  const before = seen(change.before);
  const after = seen(change.after);
  return isSameShape(before, after) ? undefined : { ...change, before, after };
}
