// Names as SQL writes them, of threads that speak to no server: `pg` has the same for those that do.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
import type { TableName } from '../core/selection.ts';

export const quoteTable = ({ schema, table }: TableName): string => `${quoted(schema)}.${quoted(table)}`;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
