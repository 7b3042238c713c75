// The messages that a sink makes of the tables of its database, as these are now: by the plan of each table, which also renders them.
// It asks the catalog, and needs neither slot, publication nor service.
import type { Client } from 'pg';
import type { Action, MessageAction, Relation } from '../../../core/change.ts';
import { TailraceError } from '../../../core/errors.ts';
import type { JsonType } from '../../../core/json-type.ts';
import { didYouMean, nearestName } from '../../../core/nearest-name.ts';
import { nameFor } from '../../../core/partitions.ts';
import { formatTableName, namedTables, type TableName } from '../../../core/selection.ts';
import type { Envelope, RowKnowledge } from '../../../formats/format.ts';
import type { TableKnowledge } from '../../../postgres/column-knowledge.ts';
import { listTables, tableKey } from '../../../postgres/preflight/tables.ts';
import type { Sink } from '../../../sinks/sink.ts';
import type { Pending } from '../../delivery/pending.ts';
import { Routes } from '../../delivery/routes.ts';
import { Barriers } from '../../delivery/table-order.ts';
import { Unsettled } from '../../delivery/unsettled.ts';
import { readSentTable } from '../../intake/sent-table.ts';
import { formatting } from '../../intake/sink-intake.ts';
import { compileTablePlan, type PlanPorts, type TablePlan } from '../../intake/table-plan.ts';
import type { SinkSettings } from '../../settings.ts';

/** A message of one table and action. */
export type DescribedMessage = { readonly action: MessageAction; readonly type: JsonType };

export type DescribedTable = {
  /** The name that the sink reads it by; without a schema: what is around the changes of all tables. */
  readonly table: TableName;
  readonly messages: readonly DescribedMessage[];
};

export type DescribeOptions = {
  readonly settings: SinkSettings;
  readonly envelope: Envelope;
  /** Looked at only. */
  readonly sink: Sink;
  /** The publication's name; it may not be there yet. */
  readonly publication: string;
};

/** In the order of their names. Throws TailraceError where a table that is named is not there, or the sink's rules do not fit one. */
export async function describeTables(
  client: Client,
  options: DescribeOptions,
): Promise<readonly DescribedTable[]> {
  const { settings, publication } = options;
  const described: DescribedTable[] = [];
  for (const table of await tablesOf(client, settings)) {
    const sent = await readSentTable(client, table, publication);
    // Dropped meanwhile.
    if (sent === undefined) continue;
    const messages = describeMessages(sent.relation, sent.known, options);
    if (messages.length > 0) described.push({ table, messages });
  }
  return described.length === 0 ? [] : [...described, ...aroundThem(options)];
}

/** What begins and what ends transactions, in a sink that is told so. */
function aroundThem({ settings, envelope, sink }: DescribeOptions): readonly DescribedTable[] {
  const { format } = formatting(settings, envelope);
  const form = format.transactions?.(settings.formatOptions, sink.encoding ?? 'json');
  if (form === undefined) return [];
  const messages = (['begin', 'commit'] as const).map((action) => ({ action, type: form.describe(action) }));
  return [{ table: { schema: '', table: 'transaction' }, messages }];
}

/** Of partitions that are read by the name of a table above them, that table stands for all. */
async function tablesOf(client: Client, { name, selection }: SinkSettings): Promise<readonly TableName[]> {
  const all = await listTables(client);
  const known = new Set(all.map(tableKey));
  const missing = namedTables(selection).find((table) => !known.has(tableKey(table)));
  if (missing !== undefined) {
    const nearest = nearestName(formatTableName(missing), all.map(formatTableName));
    throw new TailraceError(
      `sink "${name}" names the table ${formatTableName(missing)}, and there is none${didYouMean(nearest)}`,
      {
        code: 'TABLE_MISSING',
        kind: 'fatal',
        hint: 'create the table, or correct its name in the sink’s source',
      },
    );
  }
  return all.filter((table) => {
    const read = nameFor(selection, table);
    return read !== undefined && tableKey(read) === tableKey(table);
  });
}

function describeMessages(
  relation: Relation,
  known: TableKnowledge,
  { settings, envelope, sink }: DescribeOptions,
): readonly DescribedMessage[] {
  // Nothing waits here: these only give plans their routes.
  const { room } = new Unsettled(settings);
  const ports: PlanPorts = {
    ...formatting(settings, envelope),
    sink,
    routes: new Routes(settings, room),
    barriers: new Barriers<Pending>(),
  };
  const streamed = compileTablePlan(relation, settings, ports);
  const read = compileTablePlan(relation, settings, ports, true, true);
  const plan = streamed ?? read;
  if (plan === undefined) return [];
  const rows = knowledgeOf(relation, known, plan, read?.delete !== undefined);
  const actions: readonly Action[] = [
    ...(['insert', 'update', 'delete', 'truncate'] as const).filter(
      (action) => streamed?.[action] !== undefined,
    ),
    ...(read?.read === undefined ? [] : (['read'] as const)),
    ...(settings.ddl === 'events' ? (['schema'] as const) : []),
  ];
  return actions.map((action) => ({ action, type: plan.render.describe(action, rows) }));
}

/** `readsDelete`: a backfill may say that a row is not there, by its key alone. */
function knowledgeOf(
  { columns, key }: Relation,
  known: TableKnowledge,
  plan: TablePlan,
  readsDelete: boolean,
): RowKnowledge {
  const byIndex = columns.map(({ name }) => known.columns.find((column) => column.name === name)!);
  const halves = plan.changesKey !== undefined || plan.routeMoveOf !== undefined;
  const moves = plan.movesByFilter;
  return {
    mayBeNull: (column) => byIndex[column]!.mayBeNull,
    mayBeUnchanged: (column, action) => {
      const isUpdate = action === 'update' || (action === 'insert' && (halves || moves));
      const { outOfLine, identity } = byIndex[column]!;
      return isUpdate && outOfLine && identity !== 'all';
    },
    inOldRow: (column, action) => {
      const { name, identity } = byIndex[column]!;
      if (identity === 'none')
        return action === 'delete' && readsDelete && key.includes(name) ? 'sometimes' : 'never';
      if (identity === 'some') return 'sometimes';
      return action === 'delete' && readsDelete && !key.includes(name) ? 'sometimes' : 'always';
    },
    updatesHaveOld: known.isFull,
    halves,
    moves,
    isPartitioned: known.isPartitioned,
  };
}
