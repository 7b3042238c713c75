// How tables look of which no row has come yet, where a sink keeps columns or rows of theirs back: so one that gets another name before
// its first row, or a column of it, is known to have had one.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Look, TableVersions, Version } from '../../core/look.ts';
import type { Position } from '../../core/position.ts';
import { optionsFor, type TableName } from '../../core/selection.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import { lineageIn, type EnrichmentContext } from '../../postgres/catalog.ts';
import { readLineages } from '../../postgres/lineage.ts';
import { readTableShapes } from '../../postgres/table-shapes.ts';
import { placesOf } from './shapes-above.ts';
import type { ShapesInUse } from './used-shapes.ts';

/** That many are asked for at once, and noted at once: rows go on in between. */
const MAX_TABLES_AT_ONCE = 256;

export type FirstLookPorts = {
  readonly client: Client;
  readonly context: EnrichmentContext;
  readonly selections: readonly SinkNames[];
  readonly shapes: Pick<ShapesInUse, 'isUnseen' | 'looked'>;
  /** Where the log ends. */
  readonly last: () => Pick<Position, 'epoch' | 'commitLsn'>;
};

/** Of one connection. A look that shows what the last one did, all of which is noted, is passed over. */
export function firstLooks(ports: FirstLookPorts): (look: Look) => Promise<void> {
  let noted: Version | undefined;
  return async (look) => {
    if (look.fold === noted) return;
    noted = (await noteAll(look, ports)) ? look.fold : undefined;
  };
}

/** Answers whether they are noted durably: where the store is busy the next look takes the rest. */
async function noteAll(
  look: Look,
  { client, context, selections, shapes, last }: FirstLookPorts,
): Promise<boolean> {
  const kept = look.catalog.tables
    .filter((table) => keepsOf(table, selections))
    .flatMap((table) => [table, ...(table.partitions ?? [])]);
  for (let from = 0; from < kept.length; from += MAX_TABLES_AT_ONCE) {
    await nextTurn();
    const unseen = kept
      .slice(from, from + MAX_TABLES_AT_ONCE)
      .flatMap(({ oid, ...name }) =>
        oid === undefined || !shapes.isUnseen({ ...name, relationId: oid }) ? [] : oid,
      );
    if (unseen.length === 0) continue;
    const lineages = await readLineages(client, unseen, context);
    const above = new Map(lineages.map((found) => [found.oid, placesOf(lineageIn(found))]));
    const found = await readTableShapes(client, unseen, look.publication);
    const placed = found.map((shape) => ({ ...shape, above: above.get(shape.relationId) }));
    if (!shapes.looked(placed, last())) return false;
  }
  return true;
}

/** By whatever name sinks read it. */
function keepsOf(
  { schema, table, above = [], partitions = [] }: TableVersions,
  selections: readonly SinkNames[],
): boolean {
  const names: readonly TableName[] = [{ schema, table }, ...above, ...partitions];
  return selections.some(
    ({ sink }) =>
      sink !== undefined && names.some((name) => optionsFor(name, sink.tables)?.keepsBack === true),
  );
}
