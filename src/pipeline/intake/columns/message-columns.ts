// The columns that the messages of one relation have, by the rules of its table: which, under which names, and what is told of each.
import type { Column, Relation } from '../../../core/change.ts';
import type { ColumnForm } from '../../../core/render.ts';
import { schemaSteps, type ShapeColumn } from '../../../core/schema-change.ts';
import type { MessageColumn } from '../../../formats/format.ts';
import { NO_MASKS, type Masks } from '../../../functions/columns/masks.ts';
import { rulesUnusable, type ColumnRules } from '../../../functions/columns/rules.ts';
import type { TableOptions } from '../../settings.ts';

type Options = Pick<TableOptions, 'columns' | 'rules'>;

export type ColumnPorts = { readonly compileColumn: (column: Column, relation: Relation) => ColumnForm };

/** Throws TailraceError (fatal) where the rules do not fit the relation. */
export function messageColumns(
  relation: Relation,
  options: Options | undefined,
  { compileColumn, masks = NO_MASKS }: ColumnPorts & { readonly masks?: Masks },
): readonly MessageColumn[] {
  const rules = options?.rules;
  if (rules !== undefined) expectFit(relation, rules);
  const columns = relation.columns.flatMap((column, index): MessageColumn[] => {
    if (!isInMessage(column, relation.key, options)) return [];
    const { name } = column;
    const { render, unchanged } = compileColumn(column, relation);
    return [
      {
        index,
        name: rules?.rename.get(name) ?? name,
        render: masks.get(name)?.render ?? render,
        unchanged,
      },
    ];
  });
  if (rules !== undefined) expectDistinct(relation, rules, columns);
  return columns;
}

/**
 * Those listed, and the key in any case; never one that is excluded. Generated columns that are only sent for some table's key must be
 * listed.
 */
export function isInMessage(
  { name, generated }: Pick<Column | ShapeColumn, 'name' | 'generated'>,
  key: readonly string[],
  options: Options | undefined,
): boolean {
  if (options?.rules?.exclude.includes(name) === true) return false;
  return options?.columns === undefined
    ? generated !== true
    : options.columns.includes(name) || key.includes(name);
}

function expectFit(relation: Relation, rules: ColumnRules): void {
  const key = rules.exclude.find((name) => relation.key.includes(name));
  if (key !== undefined) {
    throw rulesUnusable(rules, relation, {
      message: `exclude_columns names "${key}", which is part of the key: nothing else says which row a message is about`,
      hint: 'mask it instead of excluding it',
    });
  }
  const { schemaChange } = relation;
  if (schemaChange === undefined) return;
  const isKept = (name: string): boolean => rules.mask.has(name) || rules.exclude.includes(name);
  for (const step of schemaSteps(schemaChange.before, schemaChange.after)) {
    if (step.change !== 'column_renamed' || !isKept(step.from) || isKept(step.to)) continue;
    throw rulesUnusable(rules, relation, {
      message: `the column "${step.from}", whose values stay here, is now called "${step.to}"`,
      hint: `name "${step.to}" beside "${step.from}" under ${rules.mask.has(step.from) ? 'mask' : 'exclude_columns'}`,
    });
  }
}

/** A name stands once in a message, whatever columns are added to the table. */
function expectDistinct(relation: Relation, rules: ColumnRules, columns: readonly MessageColumn[]): void {
  const byName = new Map<string, MessageColumn>();
  for (const column of columns) {
    const other = byName.get(column.name);
    byName.set(column.name, column);
    if (other === undefined) continue;
    const [one, two] = [other, column].map(({ index }) => `"${relation.columns[index]!.name}"`);
    throw rulesUnusable(rules, relation, {
      message: `the columns ${one} and ${two} would both be called "${column.name}" in the message`,
      hint: 'rename one of them otherwise, or exclude it',
    });
  }
}
