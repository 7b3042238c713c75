// What looks saw of each table, kept while the source runs: partitioned tables that it was under, and whether it was published by itself.
import type { Ancestor } from '../../core/change.ts';
import type { CatalogVersions } from '../../core/look.ts';
import type { SeenOf } from './lineages.ts';

/** Bounded by the tables of the looks that are kept. */
export class SeenTables {
  readonly #roots = new Map<number, readonly Ancestor[]>();
  readonly #alone = new Set<number>();

  add({ tables }: CatalogVersions): void {
    for (const { oid, schema, table, partitions = [] } of tables) {
      this.#alone.add(oid);
      for (const partition of partitions) {
        if (partition.oid === undefined) continue;
        // The name that a root had last.
        const others = (this.#roots.get(partition.oid) ?? []).filter((root) => root.oid !== oid);
        this.#roots.set(partition.oid, [...others, { oid, schema, table, published: true }]);
      }
    }
  }

  of(oid: number): SeenOf {
    return { roots: this.#roots.get(oid) ?? [], alone: this.#alone.has(oid) };
  }
}
