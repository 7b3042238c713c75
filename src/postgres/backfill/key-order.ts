// Where rows stand in the order of their key, as SQL: behind one key, up to another, or among some. Pure.
//
// An operator without a schema is looked for in the search path, which is pinned: for an extension's type that finds none, or by an
// implicit cast another type's, whose order is not the index's. So operators are those of the index's own class.
import { escapeIdentifier } from 'pg';
import { keyLiteral } from './cursor-text.ts';
import type { KeyColumn } from './table.ts';

type Key = readonly KeyColumn[];

/** A column of the row, which stands under the name `r`. */
export const rowColumn = (name: string): string => `r.${escapeIdentifier(name)}`;

/** `r.a, r.b`: what rows are ordered by. */
export const keyColumns = (key: Key): string => key.map(({ name }) => rowColumn(name)).join(', ');

/** How the row's key is to compare with these values, a text each. */
export function compared(key: Key, operator: '>' | '<=', values: readonly string[]): string {
  const [first] = key;
  if (key.every(({ operators }) => operators === first?.operators))
    return `(${keyColumns(key)}) ${operatorIn(first?.operators, operator)} (${keyLiterals(key, values)})`;
  // A comparison of rows has one operator for all columns. The bound in front is what an index is searched by.
  const side = operator === '>' ? '>' : '<';
  const from = (i: number): string => {
    if (i === key.length - 1) return pair(key[i]!, operator, values[i]!);
    return `(${pair(key[i]!, side, values[i]!)} or ${pair(key[i]!, '=', values[i]!)} and ${from(i + 1)})`;
  };
  return `${pair(key[0]!, `${side}=`, values[0]!)} and ${from(0)}`;
}

/** Is the row's key one of these? */
export const isAmong = (key: Key, keys: readonly (readonly string[])[]): string =>
  keys.map((values) => `(${key.map((one, i) => pair(one, '=', values[i]!)).join(' and ')})`).join(' or ');

/** Is the row's key what these columns hold? */
export const isSameKey = (key: Key, names: readonly string[]): string =>
  key
    .map(({ name, operators }, i) => `${rowColumn(name)} ${operatorIn(operators, '=')} ${names[i]!}`)
    .join(' and ');

/** Undefined: of pg_catalog. */
export const operatorIn = (schema: string | undefined, operator: string): string =>
  schema === undefined ? operator : `operator(${schema}.${operator})`;

const pair = (column: KeyColumn, operator: string, value: string): string =>
  `${rowColumn(column.name)} ${operatorIn(column.operators, operator)} ${literal(column, value)}`;

const literal = ({ type }: KeyColumn, value: string): string => `${keyLiteral(value)}::${type}`;

/** Values of the key's columns, of their types. */
export const keyLiterals = (key: Key, values: readonly string[]): string =>
  values.map((value, i) => literal(key[i]!, value)).join(', ');
