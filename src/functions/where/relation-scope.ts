// The columns of a relation as a filter sees them: which type each has, and its value in the row before and after a change.
// Hot: what is read here is read for every row (bench/micro/where.ts).
import {
  isDamaged,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type Column,
  type Relation,
  type RowEvent,
  type Tuple,
} from '../../core/change.ts';
import { arrayOf, typeName, type SqlType } from './catalog/types.ts';
import type { Collation } from './collations.ts';
import { isText } from './coercion.ts';
import { fastReader } from './fast-values.ts';
import type { FilterRow, Scope, ScopedColumn } from './scope.ts';
import type { Image } from './syntax.ts';
import { conversionOf } from './values/conversions.ts';
import { UNIX_EPOCH_US } from './values/dates.ts';
import { EnumPlaces } from './values/enums.ts';
import { parseJsonb } from './values/jsonb.ts';
import { ABSENT, type Result, type Value } from './values/value.ts';

/** Types nest this deep at most: only a damaged catalog has a cycle. */
const MAX_TYPE_DEPTH = 64;

export function relationScope(relation: Relation): Scope {
  const { columns, collations } = relation;
  const defaultCollation: Collation = { name: 'default', isDefault: true, facts: collations?.default };
  return {
    defaultCollation,
    foreignUnit: collations?.foreignUnit,
    placesOf: enumPlaces(relation),
    names: (image) => (image === 'meta' ? Object.keys(META) : columns.map(({ name }) => name)),
    column: (image, name) => {
      if (image === 'meta') return Object.hasOwn(META, name) ? META[name] : undefined;
      const index = columns.findIndex((column) => column.name === name);
      if (index === -1) return undefined;
      const column = columns[index]!;
      if (image === 'old' && !isInIdentity(relation, column))
        return `old.${name} is not known: it is outside of the table's replica identity. REPLICA IDENTITY FULL on the table makes it known`;
      return scopedColumn(relation, { image, index, column, defaultCollation });
    },
  };
}

/** One for each enum, whoever asks for it. */
function enumPlaces({ types }: Relation): Scope['placesOf'] {
  const known = new Map<SqlType, EnumPlaces>();
  return (type) => {
    const oid = Number(type.slice(type.indexOf(':') + 1));
    const info = types.get(oid);
    if (info?.kind !== 'enum' || info.labels === undefined) return undefined;
    const places = known.get(type) ?? new EnumPlaces(oid, info.labels);
    known.set(type, places);
    return places;
  };
}

const isInIdentity = ({ replicaIdentity }: Relation, { identity }: Column): boolean =>
  replicaIdentity === 'full' || identity;

function scopedColumn(
  relation: Relation,
  what: {
    readonly image: Image;
    readonly index: number;
    readonly column: Column;
    readonly defaultCollation: Collation;
  },
): ScopedColumn {
  const { image, index, column, defaultCollation } = what;
  const found = sqlTypeOf(column.type, relation, 0);
  const conversion = found === undefined ? undefined : conversionOf(found);
  const type = conversion === undefined ? undefined : found;
  const own = relation.collations?.own[column.name];
  const collation = own === undefined ? defaultCollation : { name: own.name, isDefault: false, facts: own };
  return {
    type,
    typeText: relation.types.get(column.type)?.name ?? found ?? `with the OID ${column.type}`,
    collation: type !== undefined && isText(type) ? collation : undefined,
    read:
      conversion === undefined
        ? () => ABSENT
        : reader(image, { index, ...identityOf(relation, column) }, parserOf(found!, conversion.parse)),
  };
}

/** By its base where it is a domain; undefined: a filter does not know it. */
function sqlTypeOf(oid: number, { types }: Relation, depth: number): SqlType | undefined {
  const info = types.get(oid);
  if (depth > MAX_TYPE_DEPTH) return undefined;
  switch (info?.kind) {
    case undefined:
      return typeName(oid);
    case 'enum':
      return `enum:${oid}`;
    case 'domain':
      return sqlTypeOf(info.base, { types } as Relation, depth + 1);
    case 'array': {
      const element = sqlTypeOf(info.element, { types } as Relation, depth + 1);
      return element === undefined ? undefined : arrayOf(element);
    }
    case 'base':
    case 'composite':
    case 'range':
    case 'multirange':
      return undefined;
    default:
      return info satisfies never;
  }
}

/** The value of a column in the row's bytes. */
type Parse = (bytes: Buffer, start: number, end: number) => Value;

/** From its text, where it cannot be read faster. */
function parserOf(type: SqlType, parse: (text: string) => Value): Parse {
  const fast = fastReader(type);
  if (fast === undefined) return (bytes, start, end) => parse(bytes.toString('utf8', start, end));
  return (bytes, start, end) => fast(bytes, start, end) ?? parse(bytes.toString('utf8', start, end));
}

/** Where a column's values are. */
type Place = {
  readonly index: number;
  /** An old row that is a key has it. */
  readonly isIdentity: boolean;
  /** An update without an old row did not change it. */
  readonly isKept: boolean;
};

/** Under FULL each update has an old row, but that of a partition that has less than the table above it: of which nobody knows. */
const identityOf = ({ replicaIdentity }: Relation, { identity }: Column): Omit<Place, 'index'> => ({
  isIdentity: identity,
  isKept: identity && replicaIdentity !== 'full',
});

/** `new` of a delete and `old` of an insert are NULL, as RETURNING has it. The row of a delete is the old one. */
function reader(image: Image, place: Place, parse: Parse): (row: FilterRow) => Result {
  const after = ({ event }: FilterRow): Result => valueAfter(event, place, parse);
  const before = ({ event }: FilterRow): Result => valueBefore(event, place, parse);
  switch (image) {
    case 'new':
      return (row) => (row.event.action === 'delete' ? null : after(row));
    case 'old':
      return (row) => (row.event.action === 'insert' ? null : before(row));
    case 'row':
    case 'meta':
      return (row) => (row.event.action === 'delete' ? before(row) : after(row));
    default:
      return image satisfies never;
  }
}

/** What did not change and was not sent again is in the old row, if that has it. */
function valueAfter(event: RowEvent, { index, isIdentity }: Place, parse: Parse): Result {
  const length = event.newTuple.lengths[index]!;
  if (length === NULL_VALUE) return null;
  if (length !== UNCHANGED_TOAST) return valueIn(event, event.newTuple, index, parse);
  if (event.oldKind === 'none' || (event.oldKind === 'key' && !isIdentity)) return ABSENT;
  return event.oldTuple.lengths[index]! >= 0 ? valueIn(event, event.oldTuple, index, parse) : ABSENT;
}

/** An update without an old row has not changed its identity. */
function valueBefore(event: RowEvent, place: Place, parse: Parse): Result {
  const { index, isIdentity } = place;
  if (event.oldKind === 'none') return place.isKept ? valueAfter(event, place, parse) : ABSENT;
  if (event.oldKind === 'key' && !isIdentity) return ABSENT;
  const length = event.oldTuple.lengths[index]!;
  if (length === NULL_VALUE) return null;
  return length >= 0 ? valueIn(event, event.oldTuple, index, parse) : ABSENT;
}

/** A text that was damaged in the database is not the one that a filter would judge. */
function valueIn(event: RowEvent, tuple: Tuple, index: number, parse: Parse): Result {
  if (isDamaged(tuple, index)) return ABSENT;
  const start = tuple.starts[index]!;
  return parse(event.bytes, start, start + tuple.lengths[index]!);
}

/** Words of ours: plain ASCII where they are compared with a literal. */
const META_COLLATION: Collation = {
  name: 'default',
  isDefault: true,
  facts: { isDeterministic: true, isByteOrder: false, letters: 'more' },
};

const META: Readonly<Record<string, ScopedColumn>> = {
  action: metaColumn('text', ({ change }) => change.action),
  schema: metaColumn('text', ({ change }) => change.schema),
  table: metaColumn('text', ({ change }) => change.table),
  commit_timestamp: metaColumn('timestamptz', ({ change }) => change.commitTimeUs + UNIX_EPOCH_US),
  annotations: metaColumn('jsonb', ({ change }) =>
    change.annotations === undefined ? null : (parseJsonb(change.annotations) ?? null),
  ),
};

function metaColumn(type: SqlType, read: (row: FilterRow) => Result): ScopedColumn {
  return { type, typeText: type, collation: type === 'text' ? META_COLLATION : undefined, read };
}
