// What a sink reads, as the pipeline takes it, and the faults that its lists of tables have among themselves.
import { ROW_ACTIONS, type Action } from '../../core/change.ts';
import {
  exactTable,
  formatTableName,
  formatTablePattern,
  matchesName,
  matchesTable,
  selects,
  tablePattern,
  type NamePattern,
  type Selection,
  type TableName,
  type TablePattern,
} from '../../core/selection.ts';
import { nearestName } from '../../core/nearest-name.ts';

/** The part of a sink that says which tables it reads. */
type Source = {
  readonly source?:
    | {
        readonly include_schemas?: readonly NamePattern[] | undefined;
        readonly exclude_schemas?: readonly NamePattern[] | undefined;
        readonly include_tables?: readonly TablePattern[] | undefined;
        readonly exclude_tables?: readonly TablePattern[] | undefined;
      }
    | undefined;
  readonly table?: TableName | undefined;
  readonly schema?: NamePattern | undefined;
  readonly partitions_have_identity?: boolean | undefined;
};

type Options = {
  readonly tables: readonly {
    readonly name: TablePattern;
    readonly group_column_names?: readonly string[] | undefined;
    readonly actions?: readonly Action[] | undefined;
    readonly where?: string | undefined;
  }[];
  readonly actions: readonly Action[];
  readonly message_grouping: boolean;
  readonly key_changes?: 'update' | 'split' | undefined;
  readonly where?: string | undefined;
  readonly where_moves: 'ignore' | 'convert';
  readonly deletes_outside: 'deliver' | 'drop';
  readonly initial_backfill?: unknown;
  readonly backfill: { readonly reads?: boolean | undefined };
};

export function selectionOf({ source, table, schema, partitions_have_identity: assured }: Source): Selection {
  const includeTables = source?.include_tables ?? (table && [tablePattern(table)]);
  const includeSchemas = source?.include_schemas ?? (schema && [schema]);
  return {
    ...(includeSchemas && { includeSchemas }),
    ...(source?.exclude_schemas && { excludeSchemas: source.exclude_schemas }),
    ...(includeTables && { includeTables }),
    ...(source?.exclude_tables && { excludeTables: source.exclude_tables }),
    ...(assured && { partitionsHaveIdentity: true }),
  };
}

type TableFault = {
  readonly path: (string | number)[];
  readonly message: string;
  readonly nearest?: string | undefined;
};

/** What contradicts itself among the tables of a sink: names that nothing can match, options without a table. */
export function* tableFaults(sink: Source & Options): Generator<TableFault> {
  yield* sourceFaults(sink);
  const selection = selectionOf(sink);
  const seen = new Set<string>();
  for (const [index, options] of sink.tables.entries()) {
    const path = (key: string): TableFault['path'] => ['tables', index, key];
    const name = formatTablePattern(options.name);
    if (seen.has(name)) yield { path: path('name'), message: `${name} is named twice` };
    seen.add(name);
    if (!mayApply(options.name, selection)) {
      const nearest = nearestName(name, (selection.includeTables ?? []).map(formatTablePattern));
      yield { path: path('name'), message: `${name} is not among the tables that this sink reads`, nearest };
    }
    if (!sink.message_grouping && options.group_column_names !== undefined) {
      yield { path: path('group_column_names'), message: 'this contradicts `message_grouping: false`' };
    }
    const foreign = options.actions?.find((action) => !sink.actions.includes(action));
    if (foreign !== undefined) {
      yield { path: path('actions'), message: `${foreign} is not among the sink's actions` };
    }
  }
  const missing = (['insert', 'delete'] as const).find((action) => !sink.actions.includes(action));
  if (sink.key_changes === 'split' && missing !== undefined) {
    yield {
      path: ['key_changes'],
      message: `split sends ${missing}s, which are not among the sink's actions`,
    };
  }
  if (sink.initial_backfill !== undefined && sink.backfill.reads === false) {
    yield { path: ['initial_backfill'], message: 'this contradicts `backfill.reads: false`' };
  }
  yield* moveFaults(sink);
}

/** Updates become deletes and inserts: whoever does not take all three has a copy that goes wrong. */
function* moveFaults({
  tables,
  actions,
  where,
  where_moves,
  deletes_outside,
}: Options): Generator<TableFault> {
  if (where_moves !== 'convert') return;
  const path = ['where_moves'];
  const lacking = (taken: readonly Action[]): Action | undefined =>
    ROW_ACTIONS.find((action) => !taken.includes(action));
  if (where === undefined && tables.every((table) => table.where === undefined)) {
    yield { path, message: 'this goes with `where`: without a filter no row leaves or enters' };
  }
  const missing = lacking(actions);
  if (missing !== undefined) {
    yield {
      path,
      message: `convert sends inserts, updates and deletes; ${missing} is not among the sink's actions`,
    };
  }
  for (const [index, table] of tables.entries()) {
    const own = table.actions && lacking(table.actions);
    if (missing !== undefined || own === undefined || (where ?? table.where) === undefined) continue;
    yield {
      path: ['tables', index, 'actions'],
      message: `where_moves: convert sends inserts, updates and deletes: ${own} is missing`,
    };
  }
  if (deletes_outside === 'drop') {
    yield {
      path: ['deletes_outside'],
      message: '`drop` keeps rows in a copy that are gone: this contradicts `where_moves: convert`',
    };
  }
}

/** A table that is named to be read, and kept out by another list. */
function* sourceFaults({ source }: Source): Generator<TableFault> {
  for (const [index, pattern] of (source?.include_tables ?? []).entries()) {
    const name = exactTable(pattern);
    if (name === undefined) continue;
    const path = ['source', 'include_tables', index];
    const text = formatTableName(name);
    if (source?.exclude_tables?.some((excluded) => matchesTable(excluded, name))) {
      yield { path, message: `${text} is in exclude_tables too` };
    }
    const inSchema = (schema: NamePattern): boolean => matchesName(schema, name.schema);
    if (source?.exclude_schemas?.some(inSchema)) {
      yield { path, message: `${text} is in a schema of exclude_schemas` };
    }
    if (source?.include_schemas !== undefined && !source.include_schemas.some(inSchema)) {
      yield { path, message: `${text} is in no schema of include_schemas: a table must be in both lists` };
    }
  }
}

/** Can the options concern any table of the sink? Of two patterns nobody knows: yes. */
function mayApply(pattern: TablePattern, selection: Selection): boolean {
  const name = exactTable(pattern);
  if (name !== undefined) return selects(selection, name);
  const included = selection.includeTables?.map(exactTable) ?? [undefined];
  return included.some((table) => table === undefined || matchesTable(pattern, table));
}
