// What a table's replica identity keeps from a filter: columns of deleted rows, and large values that an update did not change.
import type { Relation } from '../../core/change.ts';
import { nameFor } from '../../core/partitions.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { namedColumns } from '../../functions/where/named-columns.ts';
import { warned, type Finding } from '../../postgres/preflight/finding.ts';
import { quoteTable } from '../../postgres/quoting.ts';
import type { PlacedFilter, SinkSettings } from '../settings.ts';
import { filtersFor, hasFilter } from './table-filter.ts';
import { wantedActions } from './taken-actions.ts';

type Settings = Pick<
  SinkSettings,
  'name' | 'where' | 'tables' | 'actions' | 'onAbsent' | 'deletesOutside' | 'whereMoves'
>;

/** Of many tables that are read under one name, this many are named. */
const MAX_NAMED = 3;

/** Columns that the filter asks of a row, and of which an old row that is a key says nothing. */
export function outsideIdentity({ columns, replicaIdentity }: Relation, filter: PlacedFilter): string[] {
  if (replicaIdentity === 'full') return [];
  const asked = new Set(
    namedColumns(filter.syntax).flatMap(({ image, name }) => (image === 'row' ? name : [])),
  );
  return columns.filter(({ name, identity }) => !identity && asked.has(name)).map(({ name }) => name);
}

/** What becomes of deletes that are not judged, and of updates beside them. */
function fateOfDeletes({ deletesOutside, whereMoves }: Settings): string {
  if (whereMoves === 'convert')
    return 'every delete is delivered, and every update of a row outside becomes a delete by key';
  return deletesOutside === 'deliver' ? 'every delete is delivered' : 'no delete is delivered';
}

const identityCure = (table: TableName): string => `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL;`;

/** A table of a sink, and what its filter asks for that may not be sent. */
export type Blindness = {
  readonly sink: Settings;
  /** Under which the sink reads it. */
  readonly name: TableName;
  readonly table: TableName;
  /** `deleted`: of a deleted row. `unchanged`: of an update that did not change it, where it is large. */
  readonly of: 'deleted' | 'unchanged';
  readonly columns: readonly string[];
};

/** Partitions that lack the same are one finding. */
export function blindnessFindings(all: readonly Blindness[]): Finding[] {
  const alike = Map.groupBy(all, ({ sink, name, of, columns }) =>
    JSON.stringify([sink.name, name.schema, name.table, of, columns]),
  );
  return [...alike.values()].map((group) => {
    const [{ sink, name, of, columns }] = group as [Blindness, ...Blindness[]];
    const tables = group.map(({ table }) => table);
    const more = tables.length > MAX_NAMED ? ` (and ${tables.length - MAX_NAMED} more)` : '';
    const named = tables.slice(0, MAX_NAMED);
    const asked = `of ${named.map(formatTableName).join(', ')}${more} where asks for ${columns.join(', ')}`;
    return warned({
      code: of === 'deleted' ? 'WHERE_DELETES_UNJUDGED' : 'WHERE_VALUE_MAY_BE_ABSENT',
      title: `filter of sink "${sink.name}" for ${formatTableName(name)}`,
      detail:
        of === 'deleted'
          ? `${asked}, and a deleted row comes with its replica identity alone: ${fateOfDeletes(sink)}`
          : `${asked}, which an update that does not change it comes without where it is stored out of line (TOAST): on_absent: ${sink.onAbsent}`,
      cure: named.map(identityCure).join(' ') + more,
    });
  });
}

/** Says once of each table that a sink reads, as its relation comes, that its deletes are not judged. Undefined: it has no filter. */
export function deletesTeller(
  settings: Settings & Pick<SinkSettings, 'selection'>,
  warn: (fields: Record<string, unknown>, message: string) => void,
): ((relation: Relation) => void) | undefined {
  const { name: sink, selection } = settings;
  if (!hasFilter(settings)) return undefined;
  const told = new Set<string>();
  return (relation) => {
    // The rows of a partitioned table are its partitions'.
    const name = relation.partitioned === true ? undefined : nameFor(selection, relation);
    if (name === undefined || !wantedActions(name, settings).includes('delete')) return;
    const columns = unjudgedBy(relation, filtersFor(name, settings));
    const what = JSON.stringify([name.schema, name.table, columns]);
    if (columns.length === 0 || told.has(what)) return;
    told.add(what);
    warn(
      { sink, table: formatTableName(name), columns, cure: identityCure(relation) },
      `deletes of a table are not judged by where, their columns are not sent: ${fateOfDeletes(settings)}`,
    );
  };
}

const unjudgedBy = (relation: Relation, filters: readonly PlacedFilter[]): readonly string[] => [
  ...new Set(filters.flatMap((filter) => outsideIdentity(relation, filter))),
];
