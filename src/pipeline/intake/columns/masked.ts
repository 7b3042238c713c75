// What stands for masked values beside messages: where they tell rows apart, in groups that columns make and in the keys of rows that a
// backfill has read; and in templates.
import type { Relation } from '../../../core/change.ts';
import { TailraceError } from '../../../core/errors.ts';
import type { TextOf } from '../../../core/render.ts';
import { HIDDEN, type Masks } from '../../../functions/columns/masks.ts';
import { hidesAll } from '../../../functions/columns/rules.ts';

/** Undefined: the column is not masked. Throws TailraceError (fatal) where there is no key to hash its values with. */
export function digestOf(relation: Relation, column: string, masks: Masks): TextOf | undefined {
  const mask = masks.get(column);
  if (mask === undefined) return undefined;
  if (mask.digestOf === undefined) throw keyMissing(relation, column);
  return mask.digestOf;
}

/** For who reads about rows: without a key the values are hidden. */
export const masksForReaders = (masks: Masks): Masks =>
  new Map([...masks].map(([name, mask]) => [name, { ...mask, digestOf: mask.digestOf ?? (() => HIDDEN) }]));

const keyMissing = ({ schema, table }: Relation, column: string): TailraceError =>
  new TailraceError(
    `the rows of table ${schema}.${table} are told apart by the column "${column}", which is masked, and there is no key to hash its values with`,
    {
      code: 'MASK_KEY_MISSING',
      kind: 'fatal',
      hint: 'give the sink a `mask_key`',
    },
  );

const HIDDEN_CODES = {
  group: 'GROUP_COLUMN_MASKED',
  route: 'ROUTE_COLUMN_MASKED',
  'added member': 'ADDED_COLUMN_MASKED',
} as const;

/** Throws TailraceError (fatal) where a template is made of what its mask hides. */
export function expectShown(
  { schema, table }: Relation,
  columns: readonly string[],
  { masks, by }: { readonly masks: Masks; readonly by: 'group' | 'route' | 'added member' },
): void {
  for (const column of columns) {
    const rule = masks.get(column)?.rule;
    if (rule === undefined || !hidesAll(rule)) continue;
    throw new TailraceError(
      `the ${by} of table ${schema}.${table} names the column "${column}", whose mask \`${rule.kind}\` leaves nothing of it`,
      {
        code: HIDDEN_CODES[by],
        kind: 'fatal',
        hint: `mask it by \`hash\`, which tells values apart, or name another column`,
      },
    );
  }
}
