// How one sink treats the rows of one relation: compiled once, used for every row until the relation changes (row-intake.ts).
import type { Action, Relation, RowAction, RowEvent } from '../../core/change.ts';
import { wallMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { SchemaChange } from '../../core/schema-change.ts';
import { optionsFor, type TableName } from '../../core/selection.ts';
import { parseTemplate } from '../../core/template.ts';
import {
  tellsTransactions,
  type Envelope,
  type MessageFormat,
  type RenderPlan,
} from '../../formats/format.ts';
import { compileMasks, type Masks } from '../../functions/columns/masks.ts';
import { wantedTexts } from '../../functions/where/wanted-texts.ts';
import type { Sink } from '../../sinks/sink.ts';
import { expectKeptByName } from './columns/renamed-table.ts';
import { expectTold, unchangedRule } from './columns/told-changes.ts';
import { rowMembers, type ColumnPorts } from './columns/row-members.ts';
import {
  constantGroup,
  damagedKey,
  groupByColumns,
  groupByTemplate,
  groupOfSink,
  keyChange,
  type GroupKey,
} from './group-key.ts';
import { rowMover, type MoveRow } from './moved-rows.ts';
import { readAs, toldChange, type Reading } from './read-as.ts';
import { readKeyOf } from './read-key.ts';
import type { MessagePlan, Pending } from '../delivery/pending.ts';
import type { RouteQueue } from '../delivery/route-queue.ts';
import { RowsToJudge } from './row-index.ts';
import { lostRoutes, RowRoutes, type RowQueues, type RouteMove } from './row-routes.ts';
import { RowFactReader } from './row-values.ts';
import { shareKeyOf } from './shared-rows.ts';
import type { SinkSettings } from '../settings.ts';
import { actionsOf, plannedOfReads, takenActions } from './taken-actions.ts';
import { compileTableFilter, filtersFor, type TableFilter } from './table-filter.ts';
import type { Routes } from '../delivery/routes.ts';
import type { Barriers, TableBarriers } from '../delivery/table-order.ts';

/** Where the changes of one action go. */
export type ActionPlan = {
  /** Undefined: each row decides (`routeByRow`). */
  readonly routeQueue: RouteQueue<Pending> | undefined;
  readonly routeByRow: RowRoutes | undefined;
  /** Undefined: the sink has no message groups. */
  readonly group: GroupKey | undefined;
};

export type TablePlan = MessagePlan & {
  /** Under the name that the sink reads it by. */
  readonly relation: Relation;
  /** The partition that holds the rows, where they are read under the name of a table above it. */
  readonly partition: TableName | undefined;
  /** The columns that make the table's groups, where it is columns: another text is a barrier of the table. */
  readonly grouping: string;
  /** The rows' key is not proven yet: the table is one group, until a transaction comes that has the key for certain. */
  readonly awaitsKey: boolean;
  /** All messages of the sink are in this group, whatever they are: they have one order. Undefined: each has its own. */
  readonly oneGroup: string | undefined;
  readonly render: RenderPlan;
  /** Sinks whose plans have the same send its rows alike, but for their own parts. Undefined: nobody does. */
  readonly shareKey: string | undefined;
  /** Columns whose values stay here. */
  readonly masks: Masks;
  /** Was a text of the row's key damaged? Asked of damaged rows only. */
  readonly hasDamagedKey: (event: RowEvent) => boolean;
  /** Which of its changes pass; undefined: all. */
  readonly filter: TableFilter | undefined;
  /** Which of its rows the filter has to be asked of; undefined: all. */
  readonly toJudge: RowsToJudge | undefined;
  /** Has the filter judged rows? And is it not certain yet that a server means the same by it? */
  hasJudged: boolean;
  isDoubted: boolean;
  /** Set where an update that leaves some columns as they were is not sent: is this one? */
  readonly isUnchanged: ((event: RowEvent) => boolean) | undefined;
  /** Why there is none that could judge them: they are dead letters. */
  readonly filterFault: TailraceError | undefined;
  /** Is an update a delete for a row that leaves what the filter names, and an insert for one that enters? */
  readonly movesByFilter: boolean;
  /** Set where updates become deletes or inserts, for that or for `routeMoveOf`. */
  readonly moveRow: MoveRow | undefined;
  /** Set where the sink wants the facts of each row. */
  readonly facts: RowFactReader | undefined;
  /** Set where an update that changes the key is sent as a delete and an insert: is this one? */
  readonly changesKey: ((event: RowEvent) => boolean) | undefined;
  /** Set where an update whose row goes elsewhere than before is sent as a delete there and an insert here: is this one, and has it both? */
  readonly routeMoveOf: ((event: RowEvent) => RouteMove | undefined) | undefined;
  readonly insert: ActionPlan | undefined;
  readonly update: ActionPlan | undefined;
  readonly delete: ActionPlan | undefined;
  readonly truncate: ActionPlan | undefined;
  /** Of the rows that backfills read. */
  readonly read: ActionPlan | undefined;
  /** What such a row is known by, as a part of its idempotency key. */
  readonly readKey: ((event: RowEvent) => string) | undefined;
  /** Set where the sink is told that rows looked otherwise before, as far as its messages have the columns. */
  readonly schemaChange: PlannedSchemaChange | undefined;
};

export type PlannedSchemaChange = {
  readonly change: SchemaChange;
  readonly actionPlan: ActionPlan;
  /** Of the name that the table had, if it was another one. */
  readonly formerly: TableBarriers<Pending> | undefined;
};

export type PlannedAction = RowAction | 'read';

export type PlanPorts = {
  readonly sink: Pick<Sink, 'routeOf' | 'routeByRow' | 'actionsAt' | 'encoding' | 'wantsRow'>;
  readonly format: MessageFormat;
  readonly envelope: Envelope;
  readonly compileColumn: ColumnPorts['compileColumn'];
  /** Are there other sinks in its thread? */
  readonly hasCompany?: boolean | undefined;
  readonly routes: Pick<Routes, 'queue'> & RowQueues;
  readonly barriers: Pick<Barriers<Pending>, 'of'>;
};

/**
 * Compiles the plan of a relation; undefined when the sink does not want it. `isKeyProven`: did the table have this key when
 * the rows were written? `isRead`: they are rows that a backfill has read. Throws TailraceError (fatal) when it
 * cannot be rendered or grouped as configured.
 */
export function compileTablePlan(
  logged: Relation,
  settings: SinkSettings,
  ports: PlanPorts,
  isKeyProven = true,
  isRead = false,
): TablePlan | undefined {
  const reading = readAs(logged, settings);
  if (reading === undefined) return undefined;
  const { relation, partition, hasRows } = reading;
  const table = optionsFor(relation, settings.tables);
  const masks = masksFor(relation, settings);
  const groupColumns = table?.groupColumns ?? (isKeyProven ? relation.key : []);
  const actions: Partial<Record<Action, ActionPlan>> = {};
  const templates: Partial<Record<Action, string>> = {};
  const encoding = ports.sink.encoding ?? 'json';
  const isOneGroup = tellsTransactions(ports.format, settings.formatOptions, encoding);
  let oneGroup: string | undefined;
  const planned = isRead ? plannedOfReads(table, settings) : actionsOf(table, settings);
  for (const action of hasRows ? planned : []) {
    const routing = routingOf(relation, action, { ...settings, masks }, ports);
    if (routing === undefined) continue;
    const { routeQueue, routeByRow, groupTemplate } = routing;
    if (isOneGroup) oneGroup = groupOfSink(groupTemplate, settings.name);
    const how = { template: groupTemplate, masks, oneGroup };
    const group = settings.messageGrouping ? groupOf(relation, groupColumns, how) : undefined;
    actions[action] = { routeQueue, routeByRow, group };
    if (groupTemplate !== undefined) templates[action] = groupTemplate;
  }
  const schemaChange = isRead ? undefined : schemaChangeOf(reading, settings, ports);
  if (Object.keys(actions).length === 0 && (hasRows || schemaChange === undefined)) return undefined;
  if (hasRows) expectKeptByName(logged, relation, settings);
  const { columns, added } = rowMembers(relation, table, { ...ports, masks });
  if (actions.update !== undefined) expectTold(relation, table?.rules, partition ?? relation);
  const { filter, filterFault } = filterOf(relation, settings);
  const movesByFilter = filter !== undefined && settings.whereMoves === 'convert';
  const routeMoveOf = settings.routeMoves === 'convert' ? routeMoves(actions.update) : undefined;
  const taken = takenActions(table, settings);
  const actionsAt = (action: Action): readonly Action[] => {
    if (!taken.includes(action)) return [];
    const input = { schema: relation.schema, table: relation.table, action };
    return ports.sink.actionsAt?.(input) ?? settings.actions;
  };
  const render = ports.format.compile({
    relation,
    partition,
    columns,
    added,
    masks,
    envelope: ports.envelope,
    values: settings.values,
    options: settings.formatOptions,
    actionsAt,
    wallMs,
    encoding,
  });
  // Old rows of a partitioned table are what each sink has seen of its partitions (old-rows.ts).
  const isShared =
    ports.hasCompany === true &&
    render.renderOwn !== undefined &&
    ports.sink.wantsRow !== true &&
    relation.partitioned !== true &&
    Object.values(actions).every(({ routeByRow }) => routeByRow === undefined);
  return {
    schema: relation.schema,
    table: relation.table,
    relation,
    partition,
    grouping: oneGroup ?? JSON.stringify(groupColumns),
    oneGroup,
    awaitsKey: !isKeyProven,
    render,
    shareKey: isShared
      ? shareKeyOf({
          logged,
          read: [relation.schema, relation.table],
          isKeyProven,
          isRead,
          groupColumns,
          templates,
          oneGroup,
          grouped: settings.messageGrouping,
          columns: table?.columns,
          rules: table?.rules && { ...table.rules, place: undefined },
          maskKey: settings.maskKey,
          format: settings.format,
          options: settings.formatOptions,
          values: settings.values,
          encoding,
          actions: planned.map((action) => [action, actionsAt(action)]),
        })
      : undefined,
    grouped: settings.messageGrouping,
    barriers: ports.barriers.of(relation.schema, relation.table),
    masks,
    hasDamagedKey: damagedKey(relation),
    filter,
    toJudge: filter && ports.hasCompany === true ? rowsToJudge(relation, settings) : undefined,
    hasJudged: false,
    isDoubted: false,
    filterFault,
    isUnchanged: unchangedRule(relation, table?.rules),
    movesByFilter,
    moveRow: movesByFilter || routeMoveOf !== undefined ? rowMover(relation) : undefined,
    facts: ports.sink.wantsRow === true ? new RowFactReader(relation, columns, masks) : undefined,
    changesKey: settings.keyChanges === 'split' ? keyChange(relation) : undefined,
    routeMoveOf,
    insert: actions.insert,
    update: actions.update,
    delete: actions.delete,
    truncate: actions.truncate,
    schemaChange,
    read: actions.read,
    readKey: isRead ? readKeyOf(logged, masks) : undefined,
  };
}

function filterOf(relation: Relation, settings: SinkSettings): Pick<TablePlan, 'filter' | 'filterFault'> {
  try {
    return { filter: compileTableFilter(relation, filtersFor(relation, settings)), filterFault: undefined };
  } catch (error) {
    if (settings.onSchemaBreak === 'halt' || !(error instanceof TailraceError)) throw error;
    return { filter: undefined, filterFault: error };
  }
}

/** Of the filters the first one is asked first: what it drops is dropped. */
function rowsToJudge(relation: Relation, settings: SinkSettings): RowsToJudge | undefined {
  const [first] = filtersFor(relation, settings);
  const wanted = first && wantedTexts(first, relation);
  return wanted && new RowsToJudge(wanted, relation, shareKeyOf(relation));
}

function schemaChangeOf(
  reading: Reading,
  settings: SinkSettings,
  ports: PlanPorts,
): PlannedSchemaChange | undefined {
  const { relation } = reading;
  const change = toldChange(reading, settings);
  if (change === undefined) return undefined;
  const { onSchemaBreak } = settings;
  const how = { onSchemaBreak, masks: masksFor(relation, settings) };
  const routing = routingOf(relation, 'schema', how, ports);
  if (routing === undefined) return undefined;
  const { schema, table: name } = change.before;
  const isRenamed = schema !== relation.schema || name !== relation.table;
  const formerly = isRenamed ? ports.barriers.of(schema, name) : undefined;
  return { change, actionPlan: { ...routing, group: undefined }, formerly };
}

/**
 * Where a row goes that is too large to be kept whole. Whether it changed its key is not known: where that would make it
 * an insert, it is one.
 */
export const oversizePlan = (plan: TablePlan, action: PlannedAction): ActionPlan | undefined =>
  plan[action] ?? (plan.changesKey === undefined && plan.routeMoveOf === undefined ? undefined : plan.insert);

/** Does an update's row go elsewhere than before? Where it went is the update's own template over the old row. */
function routeMoves(update: ActionPlan | undefined): TablePlan['routeMoveOf'] {
  const routes = update?.routeByRow;
  return routes && ((event) => routes.moveOf(event));
}

/** Undefined: the sink does not want these changes. Throws as `compileTablePlan`, unless such changes are dead letters. */
function routingOf(
  relation: Relation,
  action: Action,
  { onSchemaBreak, masks }: Pick<SinkSettings, 'onSchemaBreak'> & { readonly masks: Masks },
  { sink, routes }: PlanPorts,
): (Omit<ActionPlan, 'group'> & { readonly groupTemplate: string | undefined }) | undefined {
  const input = { schema: relation.schema, table: relation.table, action };
  try {
    const by = sink.routeByRow?.(input);
    if (by !== undefined) {
      const routeByRow = new RowRoutes(relation, input, { by, routes, masks });
      return { routeQueue: undefined, routeByRow, groupTemplate: by.groupTemplate };
    }
  } catch (error) {
    if (onSchemaBreak === 'halt' || !(error instanceof TailraceError)) throw error;
    const routeByRow = new RowRoutes(relation, input, { by: lostRoutes(error), routes, masks });
    return { routeQueue: undefined, routeByRow, groupTemplate: undefined };
  }
  const route = sink.routeOf(input);
  if (route === undefined) return undefined;
  return { routeQueue: routes.queue(route), routeByRow: undefined, groupTemplate: route.groupTemplate };
}

/** The queue of a row's route. `event` undefined: a TRUNCATE, or a row too large to be known. */
export const queueOf = (
  { routeQueue, routeByRow }: ActionPlan,
  event: RowEvent | undefined,
): RouteQueue<Pending> => routeQueue ?? routeByRow!.queueOf(event);

function groupOf(
  relation: Relation,
  columns: readonly string[],
  {
    template,
    masks,
    oneGroup,
  }: {
    readonly template: string | undefined;
    readonly masks: Masks;
    readonly oneGroup: string | undefined;
  },
): GroupKey {
  if (oneGroup !== undefined) return constantGroup(oneGroup);
  if (template !== undefined) return groupByTemplate(relation, parseTemplate(template), masks);
  return groupByColumns(relation, columns, masks);
}

/** The masks of a table, under the name that the sink reads it by. */
export const masksFor = (
  name: TableName,
  { tables, maskKey }: Pick<SinkSettings, 'tables' | 'maskKey'>,
): Masks => compileMasks(optionsFor(name, tables)?.rules, maskKey);
