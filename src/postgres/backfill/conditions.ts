// What a backfill asks of each row beyond its table, in SQL: the user's filter, and where the sorted column begins. Pure.
import { escapeIdentifier, escapeLiteral } from 'pg';
import type { BackfillTableRequest } from '../../core/backfill.ts';
import type { KeyColumn } from './table.ts';

/** The row stands under the name `r`; a comment at the filter's end ends with its line. Undefined: every row is wanted. */
export function conditionOf({
  where,
  sort,
}: Pick<BackfillTableRequest, 'where' | 'sort'>): string | undefined {
  const conditions = [
    ...(where === undefined ? [] : [`(${where}\n)`]),
    ...(sort?.from === undefined ? [] : [`(${startsAt(sort.column, sort.from)})`]),
  ];
  return conditions.length === 0 ? undefined : conditions.join(' and ');
}

/** The value takes the type of the column, as any literal does. */
const startsAt = (column: string, from: string): string =>
  `r.${escapeIdentifier(column)} >= ${escapeLiteral(from)}`;

/** Keys as rows of SQL, each value of its column's type. */
export const keyValues = (key: readonly KeyColumn[], keys: readonly (readonly string[])[]): string =>
  keys
    .map((texts) => `(${texts.map((text, i) => `${escapeLiteral(text)}::${key[i]!.type}`).join(', ')})`)
    .join(', ');

/** The user's filter, but not for the rows with these keys. */
export const besidesKeys = (
  where: string,
  key: readonly KeyColumn[],
  keys: readonly (readonly string[])[],
): string => (keys.length === 0 ? where : `(${where}\n) and not ${amongKeys(key, keys)}`);

/** The row stands under the name `r`. */
export const amongKeys = (key: readonly KeyColumn[], keys: readonly (readonly string[])[]): string =>
  `((${key.map(({ name }) => `r.${escapeIdentifier(name)}`).join(', ')}) in (values ${keyValues(key, keys)}))`;
