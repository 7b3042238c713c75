// What is declared of columns: the pipeline's form of it, and the faults that the declarations of one table have among themselves.
import type { Action } from '../../core/change.ts';
import { parseRowTemplate, parseTemplate, templateColumns } from '../../core/template.ts';
import { exactTable, formatTableName, type TablePattern } from '../../core/selection.ts';
import {
  columnsAddedFrom,
  hidesAll,
  type AddRule,
  type ColumnRules,
  type FlattenRule,
  type MaskRule,
} from '../../functions/columns/rules.ts';
import type { MessageFormat } from '../../formats/format.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { Fault } from '../file/faults.ts';
import { listOf, valueAt, type FileValue, type Path } from '../file/file-value.ts';

type WrittenTable = {
  readonly name: TablePattern;
  readonly group_column_names?: readonly string[] | undefined;
  readonly columns?: readonly string[] | undefined;
  readonly exclude_columns?: readonly string[] | undefined;
  readonly rename?: Readonly<Record<string, string>> | undefined;
  readonly mask?: Readonly<Record<string, MaskRule>> | undefined;
  readonly flatten?: Readonly<Record<string, FlattenRule>> | undefined;
  readonly add?: Readonly<Record<string, AddRule>> | undefined;
  readonly only_when_changed?: ColumnRules['onlyWhenChanged'];
  readonly actions?: readonly Action[] | undefined;
};

type WrittenSink = {
  readonly tables: readonly WrittenTable[];
  readonly mask_key?: string | undefined;
  readonly message_grouping: boolean;
  readonly actions: readonly Action[];
  readonly destination: unknown;
};

/** `place`: where the table's entry stands. Undefined: nothing but `columns` is declared. */
export function rulesOf(table: WrittenTable, place: string): ColumnRules | undefined {
  const { exclude_columns: exclude, rename, mask, flatten, add, only_when_changed: onlyWhenChanged } = table;
  const declared = [exclude, rename, mask, flatten, add, onlyWhenChanged];
  if (declared.every((rule) => rule === undefined)) return undefined;
  return {
    place,
    exclude: exclude ?? [],
    rename: new Map(Object.entries(rename ?? {})),
    mask: new Map(Object.entries(mask ?? {})),
    flatten: new Map(Object.entries(flatten ?? {})),
    add: new Map(Object.entries(add ?? {})),
    ...(onlyWhenChanged && { onlyWhenChanged }),
  };
}

/** `path`: within the sink. */
export type RuleFault = { readonly path: (string | number)[]; readonly message: string };

/** What contradicts itself, or needs what is not there, whatever the table looks like. */
export function* ruleFaults(
  sink: WrittenSink,
  { name, listsColumns }: Pick<MessageFormat, 'name' | 'listsColumns'>,
): Generator<RuleFault> {
  for (const [index, table] of sink.tables.entries()) {
    for (const key of ['flatten', 'add'] as const) {
      if (listsColumns !== true || table[key] === undefined) continue;
      const message = `format ${name} has columns of the table only: leave it out, or write another format`;
      yield { path: ['tables', index, key], message };
    }
    for (const { path, message } of tableFaults(table, sink)) {
      yield { path: ['tables', index, ...path], message };
    }
  }
}

function* tableFaults(table: WrittenTable, sink: WrittenSink): Generator<RuleFault> {
  yield* excludedFaults(table);
  yield* renameFaults(table);
  for (const column of Object.keys(table.flatten ?? {})) {
    if (Object.hasOwn(table.mask ?? {}, column))
      yield { path: ['flatten', column], message: 'this contradicts its mask: keep one of the two' };
  }
  if (table.only_when_changed !== undefined && !(table.actions ?? sink.actions).includes('update')) {
    yield { path: ['only_when_changed'], message: 'this is about updates, and none is taken of this table' };
  }
  const masks = Object.entries(table.mask ?? {});
  const uses = usesOf(table, sink);
  for (const [column, rule] of masks) {
    const path = ['mask', column];
    const own = uses.filter(({ columns }) => columns.includes(column));
    const [use] = own;
    const hashed = own.find(({ isHashed }) => isHashed);
    if (use !== undefined && hidesAll(rule)) {
      const { key, what } = use;
      yield {
        path,
        message: `${key} makes ${what} of this column, and \`${rule.kind}\` leaves nothing of it: mask it by \`hash\``,
      };
    } else if (sink.mask_key === undefined && (rule.kind === 'hash' || hashed !== undefined)) {
      const why =
        rule.kind === 'hash'
          ? '`hash` needs'
          : `${hashed!.key} makes message groups of its hash, which needs`;
      yield { path, message: `${why} a key: give the sink a \`mask_key\` of 16 characters or more` };
    }
  }
}

/** Nothing else can be said of a column that is not there. */
function* excludedFaults({ exclude_columns: excluded = [], columns, rename, mask, flatten }: WrittenTable) {
  const others = Object.entries({ rename, mask, flatten });
  for (const [i, column] of excluded.entries()) {
    const path = ['exclude_columns', i];
    if (excluded.indexOf(column) < i) yield { path, message: `"${column}" is named twice` };
    if (columns?.includes(column) === true)
      yield { path, message: `"${column}" is in \`columns\` too: keep it in one of the two` };
    for (const [key, rules] of others) {
      if (rules !== undefined && Object.hasOwn(rules, column))
        yield {
          path,
          message: `\`${key}\` has a rule for "${column}", which is not in the message: keep one of the two`,
        };
    }
  }
}

function* renameFaults({ columns = [], rename = {}, add = {} }: WrittenTable): Generator<RuleFault> {
  const names = new Map(
    columns.flatMap((column) => (Object.hasOwn(rename, column) ? [] : [[column, column]])),
  );
  for (const [column, name] of Object.entries(rename)) {
    const other = names.get(name);
    if (other !== undefined)
      yield {
        path: ['rename', column],
        message: `"${name}" is the name of "${other}" in the message already: give another name`,
      };
    names.set(name, column);
  }
  for (const name of Object.keys(add)) {
    const other = names.get(name);
    if (other !== undefined)
      yield {
        path: ['add', name],
        message: `"${name}" is the name of "${other}" in the message already: give another name`,
      };
  }
}

/** What names columns, and makes of their values what must tell them apart. */
type ColumnUse = {
  readonly key: string;
  readonly what: 'message groups' | 'routes' | 'members';
  readonly columns: readonly string[];
  /** The values go in as their hashes, whatever the mask is. */
  readonly isHashed: boolean;
};

/** Of the messages of one table. */
function usesOf({ name, group_column_names: own, add = {} }: WrittenTable, sink: WrittenSink): ColumnUse[] {
  const { destination, message_grouping: isGrouped } = sink;
  const table = exactTable(name);
  const definition = sinkDefinition((destination as { type: string }).type);
  const isOfTable = (each: { readonly table?: string }): boolean =>
    each.table === undefined || (table !== undefined && each.table === formatTableName(table));
  const named = (what: ColumnUse['what'], parse: typeof parseTemplate, templates: readonly Placed[] = []) =>
    templates.filter(isOfTable).map(({ key, template }) => ({
      key: `destination.${key}`,
      what,
      columns: columnsIn(template, parse),
      isHashed: false,
    }));
  const groups = [
    ...(own === undefined
      ? []
      : [{ key: 'group_column_names', what: 'message groups', columns: own, isHashed: true } as const]),
    ...named('message groups', parseTemplate, definition?.groupTemplates?.(destination)),
  ];
  return [
    ...(isGrouped ? groups : []),
    ...[...columnsAddedFrom({ add: new Map(Object.entries(add)) })].map(([member, columns]) => ({
      key: `add.${member}`,
      what: 'members' as const,
      columns,
      isHashed: false,
    })),
    ...named('routes', parseRowTemplate, definition?.routeTemplates?.(destination)),
  ];
}

type Placed = { readonly key: string; readonly table?: string; readonly template: string };

/** One that cannot be read is a fault of its own. */
function columnsIn(template: string, parse: typeof parseTemplate): readonly string[] {
  try {
    return templateColumns(parse(template));
  } catch {
    return [];
  }
}

const KEYED_BY_COLUMN = ['rename', 'mask', 'flatten', 'add'] as const;

/** What JavaScript keeps for itself is no key of a mapping here: a rule for such a column must not be passed over in silence. */
export function checkRuleNames({
  file,
  faults,
}: {
  readonly file: FileValue;
  readonly faults: Fault[];
}): void {
  for (const sink of listOf(file, 'sinks').keys()) {
    const tables = valueAt(file.value, ['sinks', sink, 'tables']);
    for (const table of Array.isArray(tables) ? tables.keys() : []) {
      for (const key of KEYED_BY_COLUMN) {
        const path: Path = ['sinks', sink, 'tables', table, key];
        if (valueAt(file.value, [...path, '__proto__']) === undefined) continue;
        faults.push(
          file.fault(
            path,
            '"__proto__" cannot be named here: a column of that name can be excluded (`exclude_columns`)',
          ),
        );
      }
    }
  }
}
