// Which tables are looked at before their first rows. No server: the catalog is given.
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import type { Look, TableVersions } from '../../../src/core/look.ts';
import type { TableShape } from '../../../src/core/schema-change.ts';
import { tablePattern } from '../../../src/core/selection.ts';
import type { SinkNames } from '../../../src/core/wanted-names.ts';
import { noteFirstLooks } from '../../../src/pipeline/source/first-looks.ts';

const named = (table: string) => ({ schema: 'public', table });
const carried = (table: string, oid: number, more: Partial<TableVersions> = {}): TableVersions => ({
  ...named(table),
  oid,
  shape: 'v',
  ...more,
});
const sink = (table: string, rules: Readonly<Record<string, readonly string[]>>): SinkNames => ({
  sink: {
    name: 's',
    tables: [{ pattern: tablePattern(named(table)), rules }],
    destinationTables: [],
    groups: [],
    actions: ['insert'],
  },
});

/** The OIDs that the catalog is asked for; undefined: it is not asked. */
async function asked(
  tables: readonly TableVersions[],
  selections: readonly SinkNames[],
  seen: readonly number[] = [],
): Promise<readonly number[] | undefined> {
  let oids: readonly number[] | undefined;
  const shape: TableShape = { ...named('t'), relationId: 1, columns: [] };
  const looked: unknown[] = [];
  await noteFirstLooks({ publication: 'p', catalog: { tables } } as unknown as Look, {
    client: {
      query: (_: string, values: readonly unknown[]) => {
        expect(values[1]).toBe('p');
        oids = values[0] as readonly number[];
        return Promise.resolve({ rows: [shape] });
      },
    } as never,
    selections,
    shapes: {
      isUnseen: ({ relationId }) => !seen.includes(relationId),
      looked: (shapes, last) => looked.push([shapes, last]),
    },
    last: () => ({ epoch: 3, commitLsn: toLsn(7n) }),
  });
  expect(looked).toEqual(oids === undefined ? [] : [[[shape], { epoch: 3, commitLsn: 7n }]]);
  return oids;
}

test('tables of which a sink keeps columns back are looked at, once', async () => {
  const tables = [carried('a', 1), carried('b', 2), carried('c', 3)];
  expect(await asked(tables, [sink('a', { mask: ['x'] }), sink('c', { exclude_columns: ['y'] })])).toEqual([
    1, 3,
  ]);
  expect(
    await asked(tables, [sink('a', { mask: ['x'] }), sink('c', { exclude_columns: ['y'] })], [1]),
  ).toEqual([3]);
  expect(await asked(tables, [sink('a', { mask: ['x'] })], [1])).toBeUndefined();
  expect(await asked(tables, [sink('a', { rename: ['x'], mask: [] }), {}])).toBeUndefined();
});

test('partitions are, by whatever name a sink reads them', async () => {
  const root = carried('root', 1, {
    partitions: [{ ...named('p1'), oid: 2 }, { ...named('p2'), oid: 3 }, named('of an older look')],
  });
  expect(await asked([root], [sink('root', { mask: ['x'] })], [3])).toEqual([1, 2]);
  expect(await asked([root], [sink('p2', { mask: ['x'] })])).toEqual([1, 2, 3]);
  const leaf = carried('p1', 2, { above: [named('root')] });
  expect(await asked([leaf], [sink('root', { mask: ['x'] })])).toEqual([2]);
});
