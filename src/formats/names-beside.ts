// Names that a format puts beside the row's own members into one object: a row that has one of them, too, would say two things by it.
import { TailraceError } from '../core/errors.ts';
import type { CompileInput, FormatFault, SinkWish } from './format.ts';

/** Of what a sink declares of its tables: members and new names of columns that are called like one of these. */
export function* declaredTwice(
  tables: SinkWish['tables'],
  names: readonly string[],
): Generator<FormatFault, void> {
  for (const [index, { add = {}, rename = {} }] of tables.entries()) {
    const declared = [
      ...Object.keys(add).map((name) => ({ name, path: ['add', name] })),
      ...Object.entries(rename).map(([column, name]) => ({ name, path: ['rename', column] })),
    ];
    for (const { name, path } of declared) {
      if (!names.includes(name)) continue;
      const message = `the format puts a field called "${name}" beside the row's own: give another name`;
      yield { path: ['tables', index, ...path], message };
    }
  }
}

/** Throws TailraceError (fatal) where the messages of a table have a member of such a name. */
export function expectFree(
  { relation, columns, added = [] }: Pick<CompileInput, 'relation' | 'columns' | 'added'>,
  names: readonly string[],
  format: { readonly name: string; readonly cure: string },
): void {
  const member = [...columns, ...added].find(({ name }) => names.includes(name));
  if (member !== undefined) throw clash(relation, member.name, format);
}

export const clash = (
  { schema, table }: CompileInput['relation'],
  name: string,
  { name: format, cure }: { readonly name: string; readonly cure: string },
): TailraceError =>
  new TailraceError(
    `column "${name}" of ${schema}.${table} clashes with a field that the format ${format} adds`,
    {
      code: 'COLUMN_CLASH',
      kind: 'fatal',
      hint: `list the table's columns without "${name}", rename it, or ${cure}`,
    },
  );
