// Looks for tests: of a publication with one table, changed as a test says.
import type { CatalogVersions, Look, TableVersions } from '../../src/core/look.ts';
import { toLsn } from '../../src/core/lsn.ts';

export const table = (oid: number, changes: Partial<TableVersions> = {}): TableVersions => ({
  oid,
  schema: 'public',
  table: `t${oid}`,
  member: `${oid + 1000}:700`,
  entry: 'all',
  shape: 'shape',
  ...changes,
});

export const catalog = (
  tables: readonly TableVersions[],
  publication: Partial<CatalogVersions['publication']> = {},
): CatalogVersions => ({
  publication: {
    oid: 1,
    version: '1:700',
    publishes: ['insert', 'update', 'delete', 'truncate'],
    ...publication,
  },
  tables,
});

/** `fold` follows from what was seen, unless it is given. */
export function look(changes: Partial<Look> = {}): Look {
  const seen = changes.catalog ?? catalog([table(1)]);
  return {
    at: '2026-01-02T03:04:05.000Z',
    publication: 'p',
    server: {
      systemIdentifier: '7',
      timeline: 1,
      switches: [],
      address: '10.0.0.1:5432',
      startedAtUs: '1700000000000000',
    },
    walBefore: toLsn(100n),
    walAfter: toLsn(110n),
    xmin: 700n,
    begun: 700n,
    fold: JSON.stringify(seen),
    ...changes,
    catalog: seen,
  };
}
