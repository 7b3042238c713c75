// What gaps of publications are made of: their range, their end, and the names of their tables.
import type { GapDeclaration } from '../../../core/gaps.ts';
import type { CatalogVersions, TableVersions } from '../../../core/look.ts';
import type { TableName } from '../../../core/selection.ts';

export type Range = { readonly from: string; readonly to: string };

/** What is published no more. */
export const lacking = (before: CatalogVersions | undefined, after: CatalogVersions): readonly string[] =>
  before?.publication?.publishes.filter((action) => !after.publication?.publishes.includes(action)) ?? [];

/** A gap goes on for as long as something is not published. */
export const untilPublished = (
  lacks: readonly string[],
  { to }: Pick<Range, 'to'>,
): Pick<GapDeclaration, 'to' | 'ends'> =>
  lacks.length === 0 ? { to, ends: [] } : { ends: [{ when: 'actions_published', actions: lacks }] };

/** Under every name that their rows may have come. */
export const namesOf = (tables: readonly TableVersions[]): TableName[] =>
  tables.flatMap(({ schema, table, partitions = [], above = [] }) => [
    { schema, table },
    ...partitions.map((partition) => ({ schema: partition.schema, table: partition.table })),
    ...above,
  ]);
