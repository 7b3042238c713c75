// What a filter names: its columns, and what is known only of a change.
import type { Image, Syntax } from './syntax.ts';

export type NamedColumn = { readonly image: Image; readonly name: string; readonly at: number };

/** In no order, a column as often as it is named. */
export function namedColumns(syntax: unknown): readonly NamedColumn[] {
  if (typeof syntax !== 'object' || syntax === null) return [];
  const { kind, image, name, at } = syntax as Partial<Extract<Syntax, { kind: 'column' }>>;
  if (kind === 'column') return [{ image: image!, name: name!, at: at! }];
  return Object.values(syntax).flatMap(namedColumns);
}

/** What is the same for all changes of a table. */
const OF_THE_TABLE: readonly string[] = ['schema', 'table'];

/** The first that asks for more than the columns of one row: another image of it, or what happened to it. */
export const beyondTheRow = (syntax: Syntax): NamedColumn | undefined =>
  namedColumns(syntax)
    .filter(({ image, name }) => image !== 'row' && !(image === 'meta' && OF_THE_TABLE.includes(name)))
    .sort((a, b) => a.at - b.at)[0];
