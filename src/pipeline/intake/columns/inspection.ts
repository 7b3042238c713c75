// What `doctor` and `check --database` find of the messages of sinks: can those of each table be made, by its column rules and its format?
import type { Client } from 'pg';
import { wallMs } from '../../../core/clock.ts';
import { TailraceError } from '../../../core/errors.ts';
import { renderOptions, type Envelope, type MessageFormat } from '../../../formats/format.ts';
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
import { actionsBeside } from '../route-needs.ts';
import { readSentTable, type SentTable } from '../sent-table.ts';
import { masksFor } from '../table-plan.ts';
import { wantedActions } from '../taken-actions.ts';
import { expectTold } from './told-changes.ts';
import { digestOf } from './masked.ts';
import { rowMembers } from './row-members.ts';

type Use = { readonly sink: SinkSettings; readonly table: TableName; readonly name: TableName };

/** Nothing where no sink of the database has rules, or a format that depends on the table. Rejects where the database cannot be asked. */
export async function inspectMessages(
  settings: DatabaseSettings,
  sinks: readonly SinkSettings[],
): Promise<readonly Finding[]> {
  const own = sinks.filter(
    (sink) =>
      sink.database === settings.name &&
      (dependsOnTable(sink) || sink.tables.some(({ rules }) => rules !== undefined)),
  );
  if (own.length === 0) return [];
  return await askOver(await findPrimary(settings), settings, async (client) => {
    const uses = usesOf(own, await listTables(client));
    const findings = await inspectUses(client, uses, settings.publication.name);
    return findings.length > 0
      ? findings
      : [
          passed(
            'messages',
            `column rules and formats fit ${uses.length} ${uses.length === 1 ? 'table' : 'tables'}`,
          ),
        ];
  });
}

/** Whether messages can be made is decided by the names of the table's columns, too. */
const dependsOnTable = ({ format }: SinkSettings): boolean => formats[format].writesBeside === true;

/** Tables that have rules, or whose names decide, under the names that sinks read them by. */
const usesOf = (sinks: readonly SinkSettings[], tables: readonly TableName[]): Use[] =>
  sinks.flatMap((sink) =>
    tables.flatMap((table): Use[] => {
      const name = nameFor(sink.selection, table);
      if (name === undefined) return [];
      const isDecided = dependsOnTable(sink) || optionsFor(name, sink.tables)?.rules !== undefined;
      return isDecided ? [{ sink, table, name }] : [];
    }),
  );

async function inspectUses(client: Client, uses: readonly Use[], publication: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const use of uses) {
    const sent = await readSentTable(client, use.table, publication);
    const fault = sent && faultOf(use, sent);
    if (fault === undefined) continue;
    const { code, message: detail, hint: cure } = fault;
    const title = `messages of sink "${use.sink.name}" for ${formatTableName(use.name)}`;
    findings.push(failed({ code, title, detail, ...(cure !== undefined && { cure }) }));
  }
  return findings;
}

/** No message is made: only whether it could be counts. */
const NOWHERE: Envelope = {
  sinkName: '',
  sinkId: '',
  sinkAnnotations: {},
  databaseName: '',
  databaseId: '',
  databaseAnnotations: {},
  postgresDatabase: '',
  hostname: '',
};

/** What would halt the sink at the table's next row. */
function faultOf({ sink, table, name }: Use, { relation, known }: SentTable) {
  const options = optionsFor(name, sink.tables);
  const masks = masksFor(name, sink);
  const format: MessageFormat = formats[sink.format];
  const values = renderOptions(format, sink.values, sink.formatOptions);
  try {
    const members = rowMembers(relation, options, {
      masks,
      compileColumn: (column, { types }, forms) => compileColumn(column, types, { ...values, ...forms }),
    });
    format.compile({
      relation,
      ...members,
      masks,
      envelope: NOWHERE,
      values: sink.values,
      options: sink.formatOptions,
      actionsAt: (action) => actionsBeside(sink, name, action),
      wallMs,
      encoding: 'json',
    });
    const grouping = sink.messageGrouping ? (options?.groupColumns ?? relation.key) : [];
    for (const column of grouping) digestOf(relation, column, masks);
    if (wantedActions(name, sink).includes('update') && !known.isPartitioned)
      expectTold(relation, options?.rules, table);
    return undefined;
  } catch (error) {
    if (error instanceof TailraceError) return error;
    throw error;
  }
}
