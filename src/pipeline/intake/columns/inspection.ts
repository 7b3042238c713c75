// What `doctor` and `check --database` find of the column rules of sinks: does each fit the tables as they are now?
import type { Client } from 'pg';
import { TailraceError } from '../../../core/errors.ts';
import { renderOptions } from '../../../formats/format.ts';
import { formats } from '../../../formats/registry.ts';
import { nameFor } from '../../../core/partitions.ts';
import { formatTableName, optionsFor, type TableName } from '../../../core/selection.ts';
import { askOver } from '../../../postgres/connection/asking.ts';
import { findPrimary } from '../../../postgres/connection/hosts.ts';
import { failed, passed, type Finding } from '../../../postgres/preflight/finding.ts';
import { listTables } from '../../../postgres/preflight/tables.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import { compileColumn } from '../../../postgres/values/values.ts';
import type { SinkSettings } from '../../settings.ts';
import { masksFor, wantedActions } from '../table-plan.ts';
import { readPresentTable, type PresentTable } from '../where-server/present-table.ts';
import { expectTold } from './told-changes.ts';
import { digestOf } from './masked.ts';
import { rowMembers } from './row-members.ts';

type Use = { readonly sink: SinkSettings; readonly table: TableName; readonly name: TableName };

/** Nothing where no sink of the database has rules. Rejects where the database cannot be asked. */
export async function inspectColumnRules(
  settings: DatabaseSettings,
  sinks: readonly SinkSettings[],
): Promise<readonly Finding[]> {
  const own = sinks.filter(
    ({ database, tables }) => database === settings.name && tables.some(({ rules }) => rules !== undefined),
  );
  if (own.length === 0) return [];
  return await askOver(await findPrimary(settings), settings, async (client) => {
    const uses = usesOf(own, await listTables(client));
    const findings = await inspectUses(client, uses, settings.publication.name);
    return findings.length > 0 ? findings : [passed('column rules', `they fit ${uses.length} tables`)];
  });
}

/** Tables that have rules, under the names that sinks read them by. */
const usesOf = (sinks: readonly SinkSettings[], tables: readonly TableName[]): Use[] =>
  sinks.flatMap((sink) =>
    tables.flatMap((table): Use[] => {
      const name = nameFor(sink.selection, table);
      if (name === undefined || optionsFor(name, sink.tables)?.rules === undefined) return [];
      return [{ sink, table, name }];
    }),
  );

async function inspectUses(client: Client, uses: readonly Use[], publication: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const use of uses) {
    const present = await readPresentTable(client, use.table, publication);
    const fault = present && faultOf(use, present);
    if (fault === undefined) continue;
    const { code, message: detail, hint: cure } = fault;
    const title = `columns of sink "${use.sink.name}" for ${formatTableName(use.name)}`;
    findings.push(failed({ code, title, detail, ...(cure !== undefined && { cure }) }));
  }
  return findings;
}

/** What would halt the sink at the table's next row. */
function faultOf({ sink, table, name }: Use, { relation, isPartitioned }: PresentTable) {
  const options = optionsFor(name, sink.tables)!;
  const masks = masksFor(name, sink);
  const values = renderOptions(formats[sink.format], sink.values, sink.formatOptions);
  try {
    rowMembers(relation, options, {
      masks,
      compileColumn: (column, { types }, forms) => compileColumn(column, types, { ...values, ...forms }),
    });
    const grouping = sink.messageGrouping ? (options.groupColumns ?? relation.key) : [];
    for (const column of grouping) digestOf(relation, column, masks);
    if (wantedActions(name, sink).includes('update') && !isPartitioned)
      expectTold(relation, options.rules, table);
    return undefined;
  } catch (error) {
    if (error instanceof TailraceError) return error;
    throw error;
  }
}
