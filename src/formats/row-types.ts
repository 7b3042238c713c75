// What the members of a row are in messages, by the columns that columns.ts writes: which may be missing, which may be null.
import type { Action } from '../core/change.ts';
import {
  maybe,
  member,
  NULL_TYPE,
  nullable,
  object,
  STRING,
  typeOfJson,
  unionOf,
  type JsonMember,
  type JsonObject,
  type JsonType,
} from '../core/json-type.ts';
import type { ColumnPart } from '../core/template.ts';
import type { AddedMember, CompileInput, MessageColumn, RowKnowledge } from './format.ts';

export type DescribedRow = Pick<CompileInput, 'relation' | 'columns' | 'added' | 'values' | 'masks'>;

type Certainty = ReturnType<RowKnowledge['inOldRow']>;
type Members = {
  readonly members: JsonMember[];
  readonly others: NonNullable<JsonObject['others']>[number][];
};

/** As `ColumnPlan.writeNew` writes it. `beside`: members that the format adds. */
export const newRowType = (
  row: DescribedRow,
  action: Action,
  rows: RowKnowledge,
  beside: readonly JsonMember[] = [],
): JsonObject =>
  rowType(row, rows, beside, {
    column: (column) => newColumn(row, column, action, rows),
    has: ({ image }, index) => {
      if (image === 'old') return 'sometimes';
      return rows.mayBeUnchanged(index, action) ? 'sometimes' : 'always';
    },
  });

/** As `ColumnPlan.writeOld` writes it. */
export const oldRowType = (
  row: DescribedRow,
  action: Action,
  rows: RowKnowledge,
  beside: readonly JsonMember[] = [],
): JsonObject =>
  rowType(row, rows, beside, {
    column: (column) => oldColumn(row, column, action, rows),
    has: (_, index) => rows.inOldRow(index, action),
  });

/** As `ColumnPlan.writeChanged` writes it, of an update. */
export const changedType = (row: DescribedRow, rows: RowKnowledge): JsonObject =>
  rowType({ ...row, added: [] }, rows, [], {
    column: (column) => {
      if (rows.inOldRow(column.index, 'update') === 'never') return undefined;
      return { ...memberOf(row, column, rows), optional: true };
    },
    has: () => 'never',
  });

/** As `KeyTexts` writes them. */
export function keyTextsType(
  { relation, masks }: DescribedRow,
  action: Action,
  rows: RowKnowledge,
): JsonType {
  if (relation.key.length === 0 && rows.isPartitioned) return { kind: 'array', items: nullable(STRING) };
  const items = relation.columns.flatMap(({ name }, index): JsonType[] => {
    if (!relation.key.includes(name)) return [];
    const mask = masks.get(name)?.type;
    if (mask?.kind === 'null') return [NULL_TYPE];
    const isKnown =
      action === 'delete' ? rows.inOldRow(index, action) === 'always' : !rows.mayBeUnchanged(index, action);
    return [isKnown && !rows.mayBeNull(index) ? STRING : nullable(STRING)];
  });
  return { kind: 'tuple', items };
}

type Way = {
  /** Undefined: it is not there. */
  readonly column: (column: MessageColumn) => JsonMember | undefined;
  /** What an added member is made of. */
  readonly has: (part: ColumnPart, index: number) => Certainty;
};

function rowType(row: DescribedRow, rows: RowKnowledge, beside: readonly JsonMember[], way: Way): JsonObject {
  const { members, others }: Members = { members: [], others: [] };
  for (const column of row.columns) {
    const found = way.column(column);
    if (found === undefined) continue;
    const { spreadType } = column;
    if (spreadType === undefined || found.type.kind === 'null') {
      members.push(found);
      continue;
    }
    // Whole, or its members.
    members.push(
      { ...found, optional: true },
      ...spreadType.members.map((each) => ({ ...each, optional: true })),
    );
    others.push(...(spreadType.others ?? []));
  }
  for (const added of row.added ?? []) members.push(...addedMember(row, added, rows, way));
  return object([...distinct(members), ...beside], others);
}

/** Where two columns may give a member of one name, which is then whole in one of them, it is either, and there where one is always. */
function distinct(members: readonly JsonMember[]): readonly JsonMember[] {
  const byName = new Map<string, JsonMember>();
  for (const each of members) {
    const other = byName.get(each.name);
    if (other === undefined) byName.set(each.name, each);
    else {
      const type = unionOf(other.type, each.type);
      const mayLack = other.optional === true && each.optional === true;
      byName.set(each.name, {
        ...(mayLack ? maybe : member)(each.name, type),
        about: other.about ?? each.about,
      });
    }
  }
  return [...byName.values()];
}

function newColumn(row: DescribedRow, column: MessageColumn, action: Action, rows: RowKnowledge): JsonMember {
  const found = memberOf(row, column, rows);
  if (!rows.mayBeUnchanged(column.index, action)) return found;
  if (column.unchanged === undefined) return { ...found, optional: true };
  return { ...found, type: unionOf(found.type, typeOfJson(JSON.parse(column.unchanged))) };
}

function oldColumn(
  row: DescribedRow,
  column: MessageColumn,
  action: Action,
  rows: RowKnowledge,
): JsonMember | undefined {
  const found = memberOf(row, column, rows);
  const sendsNull = row.values.absent === 'null';
  const certainty = rows.inOldRow(column.index, action);
  switch (certainty) {
    case 'always':
      return found;
    case 'sometimes':
      return sendsNull ? { ...found, type: nullable(found.type) } : { ...found, optional: true };
    case 'never':
      return sendsNull ? { ...found, type: NULL_TYPE } : undefined;
    default:
      return certainty satisfies never;
  }
}

const memberOf = ({ relation }: DescribedRow, column: MessageColumn, rows: RowKnowledge): JsonMember => ({
  name: column.name,
  type: rows.mayBeNull(column.index) ? nullable(column.type) : column.type,
  about: relation.typeNames?.[column.index] ?? undefined,
});

function addedMember(
  { relation }: DescribedRow,
  { name, type, needs }: AddedMember,
  rows: RowKnowledge,
  { has }: Way,
): readonly JsonMember[] {
  const parts = needs.map((part) => {
    const index = relation.columns.findIndex((column) => column.name === part.name);
    return { index, certainty: index === -1 ? ('never' as const) : has(part, index) };
  });
  if (parts.some(({ certainty }) => certainty === 'never')) return [];
  const told = parts.some(({ index }) => rows.mayBeNull(index)) ? nullable(type) : type;
  return [parts.some(({ certainty }) => certainty === 'sometimes') ? maybe(name, told) : member(name, told)];
}
