import { expect, test } from 'vitest';
import type { CatalogVersions, TableVersions } from '../../../../src/core/look.ts';
import { partitionsMoved } from '../../../../src/pipeline/source/history/partitions.ts';

const root = (oid: number, table: string, ...partitions: readonly (readonly [number, string])[]) =>
  ({
    oid,
    schema: 'public',
    table,
    shape: '0',
    partitions: partitions.map(([partition, name]) => ({ oid: partition, schema: 'public', table: name })),
  }) satisfies TableVersions;
const catalog = (...tables: readonly TableVersions[]): CatalogVersions => ({ tables });

test('partitions that came and went between two looks are told, each with what it is under', () => {
  const before = catalog(root(1, 'a', [10, 'a1'], [11, 'a2']), root(2, 'b'));
  const after = catalog(root(1, 'a', [10, 'renamed'], [12, 'a3']), root(2, 'b', [11, 'a2']));
  const { attached, detached } = partitionsMoved(before, after);
  expect(attached).toEqual([
    { oid: 12, schema: 'public', table: 'a3', roots: [{ schema: 'public', table: 'a' }] },
  ]);
  // It is under another table now: still streamed.
  expect(detached).toEqual([]);
  expect(partitionsMoved(after, before).detached.map(({ oid }) => oid)).toEqual([12]);
});

test('the partitions of a table that joined or left the publication have not moved', () => {
  const { attached, detached } = partitionsMoved(
    catalog(root(1, 'a', [10, 'a1'])),
    catalog(root(2, 'b', [20, 'b1'])),
  );
  expect([...attached, ...detached]).toEqual([]);
});
