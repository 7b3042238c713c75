// A table that is renamed in Postgres, or moves to another schema, must not let out what stayed here under its old name: rules are by name.
import type { Relation } from '../../../core/change.ts';
import { possibleNames, schemaSteps, type ShapeDifference } from '../../../core/schema-change.ts';
import { formatTableName, optionsFor, type TableName } from '../../../core/selection.ts';
import { rulesUnusable } from '../../../functions/columns/rules.ts';
import type { TableOptions } from '../../settings.ts';
import { isInMessage } from './row-members.ts';

/** Throws TailraceError (fatal) where columns that stayed here, or rows that a filter of the table's own kept, would go out. */
export function expectKeptByName(relation: Relation, tables: readonly TableOptions[]): void {
  for (const difference of relation.untold ?? []) expectKept(relation, difference, tables);
  if (relation.schemaChange !== undefined) expectKept(relation, relation.schemaChange, tables);
}

function expectKept(relation: Relation, difference: ShapeDifference, tables: readonly TableOptions[]): void {
  const { before, after } = difference;
  if (isSameName(before, relation)) return;
  const former = optionsFor(before, tables);
  const now = optionsFor(relation, tables);
  if (former === undefined || former === now) return;
  const place = former.rules?.place ?? former.where?.place ?? 'tables';
  const renamed = `the table ${formatTableName(before)} is now called ${formatTableName(relation)}`;
  const cure = `name ${formatTableName(relation)} beside ${formatTableName(before)} under tables`;
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

const staysHere = (name: string, key: readonly string[], options: TableOptions | undefined): boolean =>
  options?.rules?.mask.has(name) === true || !isInMessage({ name }, key, options);

const isSameName = (a: TableName, b: TableName): boolean => a.schema === b.schema && a.table === b.table;

const quoted = (names: readonly string[]): string =>
  [...new Set(names)].map((name) => `"${name}"`).join(', ');
