// What the rows of one relation have in messages, by the rules of its table: which columns, under which names, what is told of each, and
// what stands beside them.
import type { Column, Relation } from '../../../core/change.ts';
import type { ColumnForm, RenderOptions } from '../../../core/render.ts';
import type { ShapeColumn } from '../../../core/schema-change.ts';
import type { ColumnPart } from '../../../core/template.ts';
import type { AddedMember, MessageColumn } from '../../../formats/format.ts';
import { compileAdded, typeOfAdded } from '../../../functions/columns/added.ts';
import { spreadType, spreadWith } from '../../../functions/columns/flatten.ts';
import type { Masks } from '../../../functions/columns/masks.ts';
import { columnsAddedFrom, type ColumnRules } from '../../../functions/columns/rules.ts';
import type { TableOptions } from '../../settings.ts';
import { valueWriter } from '../row-values.ts';
import { expectDistinct, expectFit } from './fit.ts';
import { expectShown } from './masked.ts';

type Options = Pick<TableOptions, 'columns' | 'rules'>;

export type ColumnPorts = {
  /** `forms`: how values are written whatever the sink says. */
  readonly compileColumn: (column: Column, relation: Relation, forms?: Partial<RenderOptions>) => ColumnForm;
};

export type RowMembers = {
  readonly columns: readonly MessageColumn[];
  readonly added: readonly AddedMember[];
};

/** Throws TailraceError (fatal) where the rules do not fit the relation. */
export function rowMembers(
  relation: Relation,
  options: Options | undefined,
  { compileColumn, masks }: ColumnPorts & { readonly masks: Masks },
): RowMembers {
  const rules = options?.rules;
  if (rules !== undefined) expectFit(relation, rules, options?.columns);
  const columns = relation.columns.flatMap((column, index): MessageColumn[] => {
    if (!isInMessage(column, relation.key, options)) return [];
    const name = rules?.rename.get(column.name) ?? column.name;
    const form = compileColumn(column, relation);
    const { render, type } = masks.get(column.name) ?? form;
    const told = { index, name, ...form, render, type };
    const rule = rules?.flatten.get(column.name);
    if (rule === undefined) return [told];
    const flattened = compileColumn(column, relation, FLATTENED);
    return [
      {
        ...told,
        spread: (message) => spreadWith(flattened.render, { name, rule, ...message }),
        spreadType: spreadType(flattened.type, name, rule),
      },
    ];
  });
  const added = rules === undefined ? [] : addedMembers(relation, rules, masks);
  if (rules !== undefined) expectDistinct(relation, rules, { columns, added });
  return { columns, added };
}

/** Only objects have members. */
const FLATTENED = {
  composite: 'object',
  json: 'embed',
  debezium: undefined,
} as const satisfies Partial<RenderOptions>;

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

function addedMembers(relation: Relation, rules: ColumnRules, masks: Masks): readonly AddedMember[] {
  const from = columnsAddedFrom(rules);
  return [...rules.add].map(([name, rule]): AddedMember => {
    expectShown(relation, from.get(name)!, { masks, by: 'added member' });
    const valueOf = (part: ColumnPart) => valueWriter(relation, part, masks);
    const write = compileAdded(rule, { table: relation, valueOf });
    // The row as it was: its values are the old ones.
    const writeOld = compileAdded(rule, {
      table: relation,
      valueOf: (part) => valueOf({ ...part, image: 'old' }),
    });
    return {
      name,
      ...typeOfAdded(rule),
      write: (event, isOld, writer) => (isOld ? writeOld : write)(event, writer),
    };
  });
}
