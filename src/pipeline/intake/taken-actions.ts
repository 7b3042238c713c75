// Which changes of a table a sink takes, and which rows of backfills.
import type { Action } from '../../core/change.ts';
import { optionsFor, type TableName } from '../../core/selection.ts';
import type { SinkSettings, TableOptions } from '../settings.ts';

/** The actions of which a sink wants the changes of this table. */
export const wantedActions = (
  relation: TableName,
  settings: Pick<SinkSettings, 'tables' | 'actions'>,
): readonly Action[] => actionsOf(optionsFor(relation, settings.tables), settings);

/** Whoever takes inserts takes the rows that are there already, unless the sink says otherwise. */
export const takesReads = (
  table: TableOptions | undefined,
  settings: Pick<SinkSettings, 'actions' | 'backfill'>,
): boolean => settings.backfill.reads ?? actionsOf(table, settings).includes('insert');

/** Of a backfill: rows that are there, and that rows are not there. */
export const plannedOfReads = (
  table: TableOptions | undefined,
  settings: Pick<SinkSettings, 'actions' | 'backfill'>,
): readonly Action[] => [
  ...(takesReads(table, settings) ? (['read'] as const) : []),
  ...actionsOf(table, settings).filter((action) => action === 'delete'),
];

/** Of the stream and of backfills. */
export const takenActions = (
  table: TableOptions | undefined,
  settings: Pick<SinkSettings, 'actions' | 'backfill'>,
): readonly Action[] => [...actionsOf(table, settings), ...plannedOfReads(table, settings)];

export const actionsOf = (
  table: TableOptions | undefined,
  { actions }: Pick<SinkSettings, 'actions'>,
): readonly Action[] => table?.actions ?? actions;
