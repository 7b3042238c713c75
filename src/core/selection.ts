// Which tables somebody wants: names, patterns with `*`, and the lists that include and exclude them. Pure.

export type TableName = { readonly schema: string; readonly table: string };

/** What stands between the stars, in order: one piece is an exact name, `tenant_*` is `tenant_` and the empty text. */
export type NamePattern = readonly string[];

export type TablePattern = { readonly schema: NamePattern; readonly table: NamePattern };

/**
 * A table is selected when its schema is among `includeSchemas`, it is among `includeTables` (a list that is absent
 * takes everything), and no exclusion names it. So the empty selection is every table.
 */
export type Selection = {
  readonly includeSchemas?: readonly NamePattern[] | undefined;
  readonly excludeSchemas?: readonly NamePattern[] | undefined;
  readonly includeTables?: readonly TablePattern[] | undefined;
  readonly excludeTables?: readonly TablePattern[] | undefined;
  /** Is each partition of these tables given an identity, whatever its root has? Their user's word. */
  readonly partitionsHaveIdentity?: boolean | undefined;
};

export function selects(selection: Selection, name: TableName): boolean {
  const { includeSchemas, excludeSchemas, includeTables, excludeTables } = selection;
  const hasSchema = (pattern: NamePattern): boolean => matchesName(pattern, name.schema);
  const isTable = (pattern: TablePattern): boolean => matchesTable(pattern, name);
  if (includeSchemas !== undefined && !includeSchemas.some(hasSchema)) return false;
  if (includeTables !== undefined && !includeTables.some(isTable)) return false;
  return excludeSchemas?.some(hasSchema) !== true && excludeTables?.some(isTable) !== true;
}

export const matchesTable = (pattern: TablePattern, { schema, table }: TableName): boolean =>
  matchesName(pattern.schema, schema) && matchesName(pattern.table, table);

export function matchesName(pattern: NamePattern, name: string): boolean {
  const first = pattern[0]!;
  const last = pattern.at(-1)!;
  if (pattern.length === 1) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  const end = name.length - last.length;
  let at = first.length;
  for (const piece of pattern.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return at <= end;
}

/** The exact name that a pattern without a star is. */
export function exactTable({ schema, table }: TablePattern): TableName | undefined {
  if (schema.length > 1 || table.length > 1) return undefined;
  return { schema: schema[0]!, table: table[0]! };
}

/** Of options by table: an exact name wins over patterns, then the first in the list. */
export function optionsFor<Options extends { readonly pattern: TablePattern }>(
  name: TableName,
  tables: readonly Options[],
): Options | undefined {
  const fitting = tables.filter(({ pattern }) => matchesTable(pattern, name));
  return fitting.find(({ pattern }) => exactTable(pattern) !== undefined) ?? fitting[0];
}

export const tablePattern = ({ schema, table }: TableName): TablePattern => ({
  schema: [schema],
  table: [table],
});

/** The tables that are named one by one, and selected. */
export const namedTables = (selection: Selection): readonly TableName[] =>
  (selection.includeTables ?? []).flatMap((pattern) => {
    const name = exactTable(pattern);
    return name !== undefined && selects(selection, name) ? [name] : [];
  });

/** Are there tables that the selection takes without naming them? */
export const isOpen = (selection: Selection): boolean =>
  selection.includeTables === undefined ||
  selection.includeTables.some((pattern) => exactTable(pattern) === undefined);

/** `users` (schema `public`), `shop.users`, `tenant_*.orders`, `"Odd.Schema"."T"*`; undefined when it is none of them. */
export function parseTablePattern(text: string): TablePattern | undefined {
  const trimmed = text.trim();
  const first = readName(trimmed, 0);
  if (first === undefined) return undefined;
  if (first.end === trimmed.length) return isStar(first.pattern) ? undefined : inPublic(first.pattern);
  // As in Sequin, what follows the first dot is the table, other dots and all.
  const second = readName(trimmed, first.end + 1, { isLast: true });
  return second && { schema: first.pattern, table: second.pattern };
}

/** `public`, `tenant_*`, `"Odd.Schema"`. */
export function parseNamePattern(text: string): NamePattern | undefined {
  const trimmed = text.trim();
  const read = readName(trimmed, 0);
  return read?.end === trimmed.length ? read.pattern : undefined;
}

/** A table's exact name; undefined when it is a pattern or none at all. */
export function parseTableName(text: string): TableName | undefined {
  const pattern = parseTablePattern(text);
  return pattern && exactTable(pattern);
}

/** A star alone could mean every table of `public`, or of all schemas. */
const isStar = (pattern: NamePattern): boolean =>
  pattern.length > 1 && pattern.every((piece) => piece === '');

const inPublic = (table: NamePattern): TablePattern => ({ schema: ['public'], table });

/**
 * One name from `start` on, up to a dot unless it is the last one. As in psql's patterns, double quotes take literally what
 * they enclose and may stand around a part of the name only; capital letters and blanks count with and without them.
 * https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS
 */
function readName(
  text: string,
  start: number,
  { isLast = false } = {},
): { pattern: NamePattern; end: number } | undefined {
  const pieces = [''];
  let at = start;
  while (at < text.length && (isLast || text[at] !== '.')) {
    const character = text[at]!;
    if (character === '*') {
      pieces.push('');
      at++;
    } else if (character === '"') {
      const quoted = /^"((?:[^"]|"")+)"/.exec(text.slice(at));
      if (quoted === null) return undefined;
      pieces[pieces.length - 1] += quoted[1]!.replaceAll('""', '"');
      at += quoted[0].length;
    } else if (character === '?') {
      return undefined;
    } else {
      pieces[pieces.length - 1] += character;
      at++;
    }
  }
  return at === start ? undefined : { pattern: pieces, end: at };
}

/** How a table is named everywhere in settings and messages for people. */
export const formatTableName = ({ schema, table }: TableName): string => `${schema}.${table}`;

/** Literal stars of an exact name look like a pattern's, so those are quoted. */
const formatPiece = (piece: string): string => (piece.includes('*') ? `"${piece}"` : piece);

export const formatNamePattern = (pattern: NamePattern): string => pattern.map(formatPiece).join('*');

export const formatTablePattern = ({ schema, table }: TablePattern): string =>
  `${formatNamePattern(schema)}.${formatNamePattern(table)}`;

/** In words, for people. */
export function describeSelection(selection: Selection): string {
  const { includeSchemas, excludeSchemas, includeTables, excludeTables } = selection;
  const list = (names: readonly string[]): string => names.join(', ');
  const tables = includeTables === undefined ? 'every table' : list(includeTables.map(formatTablePattern));
  const among = includeSchemas && ` in ${list(includeSchemas.map(formatNamePattern))}`;
  const left = [
    ...(excludeSchemas ?? []).map((pattern) => `${formatNamePattern(pattern)}.*`),
    ...(excludeTables ?? []).map(formatTablePattern),
  ];
  return `${tables}${among ?? ''}${left.length === 0 ? '' : ` except ${list(left)}`}`;
}
