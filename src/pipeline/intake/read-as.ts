// Under which name a sink reads the rows of a table, and what it is told of a table that looks otherwise.
import type { Relation } from '../../core/change.ts';
import { nameFor } from '../../core/partitions.ts';
import { asSeenBy, type SchemaChange } from '../../core/schema-change.ts';
import { optionsFor, type TableName } from '../../core/selection.ts';
import type { SinkSettings } from '../settings.ts';
import { isInMessage } from './columns/row-members.ts';

/** How a sink reads a table. */
export type Reading = {
  /** Under the name that it is read by. */
  readonly relation: Relation;
  /** Its own name, where that is another one: a partition's. */
  readonly partition: TableName | undefined;
  /** Not of a table that is read no further: of that only how it changed is told. */
  readonly hasRows: boolean;
};

/** Undefined: not at all. */
export function readAs(
  logged: Relation,
  settings: Pick<SinkSettings, 'selection' | 'ddl'>,
): Reading | undefined {
  const read = nameFor(settings.selection, logged);
  const name = read ?? formerName(logged, settings);
  if (name === undefined) return undefined;
  const { schema, table } = name;
  return {
    relation: name === logged ? logged : { ...logged, schema, table },
    partition:
      read === undefined || read === logged ? undefined : { schema: logged.schema, table: logged.table },
    hasRows: read !== undefined,
  };
}

/** A table whose rows the sink has read under a name that it has no more: it is told so, and reads no further. */
function formerName(
  logged: Relation,
  { selection, ddl }: Pick<SinkSettings, 'selection' | 'ddl'>,
): TableName | undefined {
  const before = ddl === 'events' ? logged.schemaChange?.before : undefined;
  return before && nameFor(selection, { ...logged, schema: before.schema, table: before.table });
}

/** What the sink is told of a change of the table's schema; undefined: nothing. */
export function toldChange(
  { relation, partition }: Omit<Reading, 'hasRows'>,
  settings: Pick<SinkSettings, 'tables' | 'ddl'>,
): SchemaChange | undefined {
  const { schemaChange } = relation;
  if (settings.ddl !== 'events' || schemaChange === undefined) return undefined;
  const table = optionsFor(relation, settings.tables);
  return asSeenBy(schemaChange, partition && relation, (column, { key = [] }) =>
    isInMessage(column, key, table),
  );
}
