// How tables look of which no row has come yet, where a sink keeps columns of theirs back: so a column that gets another name before its
// table's first row is known to have had one.
import type { Client } from 'pg';
import type { Look, TableVersions } from '../../core/look.ts';
import type { Position } from '../../core/position.ts';
import type { TableName } from '../../core/selection.ts';
import { columnUses, type SinkNames } from '../../core/wanted-names.ts';
import { readTableShapes } from '../../postgres/table-shapes.ts';
import type { ShapesInUse } from './used-shapes.ts';

/** The keys of the configuration that keep columns back. */
const KEEPING: readonly string[] = ['mask', 'exclude_columns'];

/** `look`: the newest. `last`: where the log ends. */
export async function noteFirstLooks(
  look: Look,
  ports: {
    readonly client: Pick<Client, 'query'>;
    readonly selections: readonly SinkNames[];
    readonly shapes: Pick<ShapesInUse, 'isUnseen' | 'looked'>;
    readonly last: () => Pick<Position, 'epoch' | 'commitLsn'>;
  },
): Promise<void> {
  const { client, selections, shapes, last } = ports;
  const unseen = look.catalog.tables
    .filter((table) => keepsOf(table, selections))
    .flatMap((table) => [table, ...(table.partitions ?? [])])
    .flatMap(({ oid, ...name }) =>
      oid === undefined || !shapes.isUnseen({ ...name, relationId: oid }) ? [] : oid,
    );
  if (unseen.length === 0) return;
  shapes.looked(await readTableShapes(client, unseen, look.publication), last());
}

/** By whatever name sinks read it. */
function keepsOf(
  { schema, table, above = [], partitions = [] }: TableVersions,
  sinks: readonly SinkNames[],
): boolean {
  const names: readonly TableName[] = [{ schema, table }, ...above, ...partitions];
  return sinks.some((sink) =>
    names.some((name) => columnUses(sink, name).some(({ key }) => KEEPING.includes(key))),
  );
}
