// What a backfill asks of each row beyond its table, in SQL: the user's filter, and where the sorted column begins. Pure.
import { escapeLiteral } from 'pg';
import { isSameKey, keyLiterals, operatorIn, rowColumn } from './key-order.ts';
import type { KeyColumn } from './table.ts';

/** A comment at a condition's end ends with its line. Undefined: every row is wanted. */
export function allOf(...conditions: readonly (string | undefined)[]): string | undefined {
  const given = conditions.filter((condition) => condition !== undefined);
  return given.length === 0 ? undefined : given.map((one) => `(${one}\n)`).join(' and ');
}

/** The value takes the type of the column, as any literal does. `operators`: the schema of those that order it, as in a key (table.ts). */
export const startsAt = (column: string, from: string, operators: string | undefined): string =>
  `${rowColumn(column)} ${operatorIn(operators, '>=')} ${escapeLiteral(from)}`;

/** Keys as rows of SQL, each value of its column's type. */
export const keyValues = (key: readonly KeyColumn[], keys: readonly (readonly string[])[]): string =>
  keys.map((texts) => `(${keyLiterals(key, texts)})`).join(', ');

/** The user's filter, but not for the rows with these keys. */
export const besidesKeys = (
  where: string,
  key: readonly KeyColumn[],
  keys: readonly (readonly string[])[],
): string => (keys.length === 0 ? where : `(${where}\n) and not ${amongKeys(key, keys)}`);

/** The row stands under the name `r`. As a query: there may be thousands of keys, and so they are looked up, not compared one by one. */
export function amongKeys(key: readonly KeyColumn[], keys: readonly (readonly string[])[]): string {
  const names = key.map((_, i) => `tailrace_k${i}`);
  const values = `(values ${keyValues(key, keys)}) tailrace_keys (${names.join(', ')})`;
  return `exists (select from ${values} where ${isSameKey(key, names)})`;
}
