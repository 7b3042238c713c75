// A table that is renamed in Postgres, moves to another schema, or comes under another table's name, because it was attached or detached or
// what it is under was renamed, must not let out what stayed here under its old name: rules are by name.
import type { Relation } from '../../../core/change.ts';
import { nameFor } from '../../../core/partitions.ts';
import {
  differencesOf,
  possibleNames,
  schemaSteps,
  type ShapeDifference,
} from '../../../core/schema-change.ts';
import { formatTableName, optionsFor, type TableName } from '../../../core/selection.ts';
import { rulesUnusable } from '../../../functions/columns/rules.ts';
import type { SinkSettings, TableOptions } from '../../settings.ts';
import { isInMessage } from './row-members.ts';

type Naming = Pick<SinkSettings, 'selection' | 'tables'>;

/**
 * `relation`: under the name that the sink reads it by. Throws TailraceError (fatal) where columns that stayed here, or rows that a filter
 * of the table's own kept, would go out.
 */
export function expectKeptByName(logged: Relation, relation: Relation, settings: Naming): void {
  for (const difference of differencesOf(relation))
    expectKept(relation, difference, { settings, from: formerName(difference, logged, settings) });
}

/** What the sink read the rows as before. Where nobody knows what they were under, it was what they are under now. */
function formerName({ before, after }: ShapeDifference, logged: Relation, { selection }: Naming): TableName {
  const ancestors = before.above ?? after.above ?? logged.ancestors;
  return nameFor(selection, { ...before, ancestors }) ?? before;
}

function expectKept(
  relation: Relation,
  difference: ShapeDifference,
  { settings: { tables }, from }: { readonly settings: Naming; readonly from: TableName },
): void {
  const { before, after } = difference;
  if (isSameName(from, relation)) return;
  const former = optionsFor(from, tables);
  const now = optionsFor(relation, tables);
  if (former === undefined || former === now) return;
  const place = former.rules?.place ?? former.where?.place ?? 'tables';
  const renamed = movedTo(difference, from, relation);
  const cure = `name ${formatTableName(relation)} beside ${formatTableName(from)} under tables (the old name may go once the sink is past this change)`;
  const key = before.key ?? relation.key;
  const names = new Map(
    schemaSteps(before, after).flatMap((step) =>
      step.change === 'column_renamed' ? [[step.from, step.to] as const] : [],
    ),
  );
  const out = before.columns
    .filter(({ name }) => staysHere(name, key, former))
    .flatMap((column) => [
      names.get(column.name) ?? column.name,
      ...possibleNames(difference, column).map(({ name }) => name),
    ])
    .filter((name) => relation.columns.some((column) => column.name === name))
    .filter((name) => !staysHere(name, relation.key, now) && now?.columns?.includes(name) !== true);
  if (out.length > 0) {
    throw rulesUnusable({ place }, relation, {
      message: `${renamed}, and nothing says that ${quoted(out)} stays here under that name, too`,
      hint: `${cure}, with what is to be masked or left out; what may go out list there under \`columns\``,
    });
  }
  if (former.where !== undefined && now?.where === undefined) {
    throw rulesUnusable({ place }, relation, {
      message: `${renamed}, and no filter is for that name`,
      hint: `${cure}, with its \`where\` (\`where: "true"\` takes all)`,
    });
  }
}

/** What happened: a table, or one above it, has another name; or its rows come under that of one above it, or do no more. */
function movedTo({ before, after }: ShapeDifference, from: TableName, to: TableName): string {
  const hasMoved = isSameName(from, before) !== isSameName(to, after);
  return hasMoved
    ? `the rows of ${formatTableName(after)} came under the name ${formatTableName(from)} and come under ${formatTableName(to)} now`
    : `the table ${formatTableName(from)} is now called ${formatTableName(to)}`;
}

const staysHere = (name: string, key: readonly string[], options: TableOptions | undefined): boolean =>
  options?.rules?.mask.has(name) === true || !isInMessage({ name }, key, options);

const isSameName = (a: TableName, b: TableName): boolean => a.schema === b.schema && a.table === b.table;

const quoted = (names: readonly string[]): string =>
  [...new Set(names)].map((name) => `"${name}"`).join(', ');
