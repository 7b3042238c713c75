// Which partitions came and went between two looks. Pure.
import type { CatalogVersions } from '../../../core/look.ts';
import type { TableName } from '../../../core/selection.ts';

export type MovedPartition = TableName & {
  readonly oid: number;
  /** The tables of the publication that it is, or was, under. */
  readonly roots: readonly TableName[];
};

export function partitionsMoved(
  before: CatalogVersions,
  after: CatalogVersions,
): { readonly attached: readonly MovedPartition[]; readonly detached: readonly MovedPartition[] } {
  const then = partitionsOf(before, after);
  const now = partitionsOf(after, before);
  return {
    attached: [...now.values()].filter(({ oid }) => !then.has(oid)),
    detached: [...then.values()].filter(({ oid }) => !now.has(oid)),
  };
}

/** Under the tables that the other look saw, too: of one that joined the publication nothing was known. */
function partitionsOf(catalog: CatalogVersions, other: CatalogVersions): Map<number, MovedPartition> {
  const common = new Set(other.tables.map(({ oid }) => oid));
  const found = new Map<number, MovedPartition>();
  for (const root of catalog.tables) {
    if (!common.has(root.oid)) continue;
    for (const { oid, schema, table } of root.partitions ?? []) {
      if (oid === undefined) continue;
      const roots = found.get(oid)?.roots ?? [];
      found.set(oid, { oid, schema, table, roots: [...roots, { schema: root.schema, table: root.table }] });
    }
  }
  return found;
}
