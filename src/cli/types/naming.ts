// The names of types and files: made of those of tables and sinks, whatever characters these have, and each there once.
import { createHash } from 'node:crypto';
import type { MessageAction } from '../../core/change.ts';
import { isSameType, named, unnamed, withParts, type JsonType } from '../../core/json-type.ts';
import type { TableName } from '../../core/selection.ts';
import type { DescribedMessage, DescribedTable } from '../../pipeline/sink/described/tables.ts';

/** What the files themselves say by these names. */
export const INT8 = 'Int8';
export const DIMENSIONS = 'Dimensions';
export const ANY_MESSAGE = 'AnyMessage';

/**
 * `order_lines` → `OrderLines`: of what a name in TypeScript may have, in any script, with a letter in front. Of digits that is no `²` and
 * no `½`. https://tc39.es/ecma262/#prod-IdentifierName
 */
export function pascal(text: string): string {
  const words = text.split(/(?:\P{ID_Continue}|\p{Pc})+/u).filter((word) => word !== '');
  const joined = words.map((word) => word.replace(/^./u, (first) => first.toUpperCase())).join('');
  return /^\p{ID_Start}/u.test(joined) ? joined : `N${joined}`;
}

const baseOf = ({ schema, table }: TableName): string =>
  pascal(schema === 'public' ? table : `${schema}_${table}`);

/** What is of no table has no schema. */
export const titleOf = ({ schema, table }: TableName): string =>
  schema === '' ? table : `${schema}.${table}`;

const SUFFIXES: Readonly<Record<MessageAction, string>> = {
  insert: 'Insert',
  update: 'Update',
  delete: 'Delete',
  truncate: 'Truncate',
  read: 'Read',
  schema: 'SchemaChange',
  begin: 'Begin',
  commit: 'Commit',
};

/** A type that has a name in its file. `action`: of a message's own. */
export type Declaration = { readonly name: string; readonly type: JsonType; readonly action?: MessageAction };

export type NamedTable = {
  readonly table: TableName;
  /** Of all its messages. */
  readonly name: string;
  /** In the order in which they are written: what another one names comes before it. */
  readonly declarations: readonly Declaration[];
};

/**
 * Of one sink; names of tables that give the same are told apart by a number, in the order of the tables. What is of no table is named
 * first: no table that comes gives it another name.
 */
export function nameTables(tables: readonly DescribedTable[]): readonly NamedTable[] {
  const used = new Set([INT8, DIMENSIONS, ANY_MESSAGE]);
  const named = new Map(tables.filter(isOfNoTable).map((described) => [described, nameTable(described)]));
  return tables.map((described) => named.get(described) ?? nameTable(described));

  function nameTable({ table, messages }: DescribedTable): NamedTable {
    for (let number = 1; ; number++) {
      const name = `${baseOf(table)}${number === 1 ? '' : `_${number}`}`;
      const declarations = declare(name, messages);
      const names = [name, ...declarations.map((each) => each.name)];
      if (names.some((each) => used.has(each))) continue;
      names.forEach((each) => used.add(each));
      return { table, name, declarations };
    }
  }
}

/** What is around a transaction. */
export const isOfNoTable = ({ table }: Pick<DescribedTable, 'table'>): boolean => table.schema === '';

/** What has a name in a message is declared once where it is the same for several actions, else with the action's name in its own. */
function declare(base: string, messages: readonly DescribedMessage[]): readonly Declaration[] {
  const declarations: Declaration[] = [];
  for (const { action, type } of messages) {
    const resolved = resolve(type, action);
    declarations.push({ name: base + SUFFIXES[action], type: resolved, action });
  }
  return declarations;

  function resolve(type: JsonType, action: MessageAction): JsonType {
    if (type.kind !== 'named') return withParts(type, (part) => resolve(part, action));
    const inner = resolve(type.type, action);
    if (inner.kind === 'object' && inner.members.length === 0) return inner;
    return named(declareOnce(type.name, inner, action), inner);
  }

  function declareOnce(name: string, type: JsonType, action: MessageAction): string {
    const candidates = [base + name, base + SUFFIXES[action] + name];
    for (const candidate of candidates) {
      const other = declarations.find((each) => each.name === candidate);
      if (other === undefined) declarations.push({ name: candidate, type });
      if (other === undefined || isSameType(unnamed(other.type), unnamed(type))) return candidate;
    }
    throw new Error(`two parts of one message have the name ${name}`);
  }
}

/** A name that every file system takes, another one for every text: what had to be replaced is told apart by a hash. */
export function fileName(text: string, others: readonly string[]): string {
  const safe = text.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, MAX_NAME);
  const isLike = others.some((other) => other !== text && other.toLowerCase() === text.toLowerCase());
  if (safe === text && !isLike && !RESERVED.test(text)) return text;
  return `${safe}-${createHash('sha256').update(text).digest('hex').slice(0, 8)}`;
}

const MAX_NAME = 100;
/** Windows' devices, and our own. https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions */
const RESERVED = /^(?:index|con|prn|aux|nul|com\d|lpt\d)$/i;
