// Do the rules of a table fit a relation? What would make a message ambiguous, or let a value out that stays here, is a fault of the sink.
import type { Relation } from '../../../core/change.ts';
import { differencesOf, possibleNames, schemaSteps } from '../../../core/schema-change.ts';
import type { CompileInput } from '../../../formats/format.ts';
import { rulesUnusable, type ColumnRules } from '../../../functions/columns/rules.ts';
import { TYPE } from '../../../postgres/values/builtin.ts';
import { baseOf } from '../../../postgres/values/values.ts';
import { FIRST_USER_OID } from '../../../postgres/versions.ts';

/**
 * Throws TailraceError (fatal). Of a column that the table does not have nothing is expected: it may be to come, or gone. `listed`: the
 * columns that are to be in the message, if the sink says so.
 */
export function expectFit(
  relation: Relation,
  rules: ColumnRules,
  listed: readonly string[] | undefined,
): void {
  const key = rules.exclude.find((name) => relation.key.includes(name));
  if (key !== undefined) {
    throw rulesUnusable(rules, relation, {
      message: `exclude_columns names "${key}", which is part of the key: nothing else says which row a message is about`,
      hint: 'mask it instead of excluding it',
    });
  }
  for (const name of rules.flatten.keys()) {
    const column = relation.columns.find((each) => each.name === name);
    if (column === undefined || mayHaveMembers(column.type, relation)) continue;
    throw rulesUnusable(rules, relation, {
      message: `flatten names "${name}", which is neither a composite nor jsonb: it has no members`,
      hint: 'take it out of flatten',
    });
  }
  expectKept(relation, rules, listed);
}

/**
 * A column that is renamed in Postgres must not let out what stayed here under its old name. Where the table changed again before its
 * look was known, a column with a new name may be any, and so may one with the name of a column that may be gone: it goes out where the
 * configuration lists it.
 */
function expectKept(relation: Relation, rules: ColumnRules, listed: readonly string[] | undefined): void {
  const isKept = (name: string): boolean => rules.mask.has(name) || rules.exclude.includes(name);
  const keyOf = (name: string): string => (rules.mask.has(name) ? 'mask' : 'exclude_columns');
  const differences = differencesOf(relation);
  for (const step of differences.flatMap(({ before, after }) => schemaSteps(before, after))) {
    if (step.change !== 'column_renamed' || !isKept(step.from) || isKept(step.to)) continue;
    throw rulesUnusable(rules, relation, {
      message: `the column "${step.from}", whose values stay here, is now called "${step.to}"`,
      hint: `name "${step.to}" beside "${step.from}" under ${keyOf(step.from)}`,
    });
  }
  const goesOutUnasked = (name: string): boolean =>
    !isKept(name) && (listed === undefined || (!listed.includes(name) && relation.key.includes(name)));
  for (const difference of differences) {
    for (const column of difference.before.columns.filter(({ name }) => isKept(name))) {
      const other = possibleNames(difference, column).find(({ name }) => goesOutUnasked(name));
      if (other === undefined) continue;
      throw rulesUnusable(rules, relation, {
        message: `nobody knows whether the column "${other.name}" is "${column.name}" under another name, whose values stay here: the table changed again soon after a change`,
        hint: `name "${other.name}" beside "${column.name}" under ${keyOf(column.name)}, or, if its values may go out, list the table's columns that do under \`columns\``,
      });
    }
  }
}

/** Of a type that nobody remembers nothing is known, but that it is not built in. */
function mayHaveMembers(type: number, { types }: Relation): boolean {
  const base = baseOf(type, types);
  const info = types.get(base);
  if (info !== undefined) return info.kind === 'composite';
  return base === TYPE.json || base === TYPE.jsonb || base >= FIRST_USER_OID;
}

type Members = Required<Pick<CompileInput, 'columns' | 'added'>>;

/** A name stands once in a message, whatever columns are added to the table. Throws TailraceError (fatal). */
export function expectDistinct(relation: Relation, rules: ColumnRules, { columns, added }: Members): void {
  const nameOf = (index: number): string => relation.columns[index]!.name;
  const from = new Map<string, string>();
  const members = [
    ...columns.map(({ index, name }) => ({ name, what: `the column "${nameOf(index)}"` })),
    ...added.map(({ name }) => ({ name, what: 'a member of add' })),
  ];
  for (const { name, what } of members) {
    const other = from.get(name);
    from.set(name, what);
    if (other === undefined) continue;
    throw rulesUnusable(rules, relation, {
      message: `${other} and ${what} would both be called "${name}" in the message`,
      hint: 'give one of them another name, or exclude it',
    });
  }
  const flattened = columns.flatMap(({ index, name }) => {
    const rule = rules.flatten.get(nameOf(index));
    return rule === undefined ? [] : [{ column: nameOf(index), beginning: name + rule.separator }];
  });
  for (const { column, beginning } of flattened) {
    const other = flattened.find((each) => each.column !== column && each.beginning.startsWith(beginning));
    if (other === undefined) continue;
    throw rulesUnusable(rules, relation, {
      message: `members of the columns "${column}" and "${other.column}" could have the same names, as both begin with "${beginning}"`,
      hint: 'flatten one of them with another separator, or rename it',
    });
  }
}
