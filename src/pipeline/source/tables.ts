// Keeps the publication's list of tables: those that a sink wants and that were made since join it, without a restart.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import { formatTableName, selects, type Selection, type TableName } from '../../core/selection.ts';
import type { StreamedTable } from '../../core/status.ts';
import { inPlainSession, type Target } from '../../postgres/connection/connection.ts';
import { describeFinding, warned, type Finding } from '../../postgres/preflight/finding.ts';
import { readWanted } from '../../postgres/preflight/preflight.ts';
import {
  addTables,
  addTableSql,
  isOurs,
  readPublication,
  type Publication,
} from '../../postgres/preflight/publication.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { inspectTables, type WantedTables } from '../../postgres/preflight/table-findings.ts';
import { tableKey } from '../../postgres/preflight/tables.ts';
import type { SourceState } from './status.ts';

export type TablePorts = {
  readonly client: Client;
  readonly target: Target;
  readonly settings: DatabaseSettings;
  readonly selections: readonly Selection[];
  readonly state: SourceState;
  readonly logger: Logger;
  /** Remembers from where on tables are streamed. */
  readonly streamed: (tables: readonly StreamedTable[]) => void;
};

/** Looks again and again, at the tables and at the catalog. Rejects when the server no longer answers. */
export async function watchTables(
  ports: TablePorts,
  look: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { refreshIntervalMs } = ports.settings.publication;
  while (refreshIntervalMs > 0 && !signal.aborted) {
    await sleep(refreshIntervalMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    await refreshTables(ports);
    await look();
  }
}

/** Adds to a publication of ours what it lacks, and says of every wanted table what keeps it out. */
export async function refreshTables(ports: TablePorts): Promise<void> {
  const { client, settings, selections, state } = ports;
  let publication = await readPublication(client, settings.publication.name);
  // Its absence is for the look to say.
  if (publication === undefined) return;
  const wanted = await readWanted(client, selections);
  const lacking = isOurs(publication, settings) ? lackingTables(wanted, publication) : [];
  let refused: readonly Finding[] = [];
  if (lacking.length > 0) {
    refused = await add(lacking, ports);
    publication = (await readPublication(client, settings.publication.name)) ?? publication;
  }
  state.tables = publication.tables.filter((name) => selections.some((it) => selects(it, name))).length;
  report([...inspectTables(wanted, publication, settings), ...refused], ports);
}

function lackingTables(wanted: WantedTables, publication: Publication): readonly TableName[] {
  const published = new Set(publication.tables.map(tableKey));
  return wanted.states.filter((table) => table.hasIdentity && table.owned && !published.has(tableKey(table)));
}

/** On a connection of its own: it may wait for a lock, and the stream needs the other one. */
async function add(tables: readonly TableName[], ports: TablePorts): Promise<readonly Finding[]> {
  const { settings, target } = ports;
  const { name } = settings.publication;
  try {
    const { added, from, refused } = await inPlainSession(settings, target, (plain) =>
      addTables(plain, name, tables),
    );
    recordStreamed(added, from, ports);
    return refused.map(({ table, reason }) => notAdded(name, table, reason));
  } catch (error) {
    // Nothing is lost: these tables are tried again at the next look.
    return tables.map((table) =>
      notAdded(name, table, error instanceof Error ? error.message : String(error)),
    );
  }
}

/** Says and remembers that these tables are streamed from this position of the WAL on (LSN text). */
export function recordStreamed(
  tables: readonly TableName[],
  from: string,
  { settings, state, logger, streamed }: Pick<TablePorts, 'settings' | 'state' | 'logger' | 'streamed'>,
): void {
  if (tables.length === 0) return;
  const at = wallTime().toISOString();
  const records = tables.map(({ schema, table }): StreamedTable => ({ schema, table, from, at }));
  streamed(records);
  state.addStreamed(records);
  logger.info(
    {
      database: settings.name,
      from,
      count: tables.length,
      tables: tables.slice(0, MAX_NAMED).map(formatTableName),
    },
    'tables joined the publication: what transactions that begin after this position change is streamed',
  );
}

/** Of many tables, this many are named in a log line. */
const MAX_NAMED = 20;

/** What is new among the warnings is logged once. */
function report(findings: readonly Finding[], { state, logger }: TablePorts): void {
  const notices = noticesOf(findings);
  const known = new Set(state.tableNotices);
  for (const notice of notices) if (!known.has(notice)) logger.warn(notice);
  state.tableNotices = notices;
}

/** What is not as it should be, one line each, for `status` and the log. */
export const noticesOf = (findings: readonly Finding[]): readonly string[] =>
  findings
    .filter((finding) => !finding.ok)
    .map((finding) => `${describeFinding(finding)} — ${finding.cure ?? ''}`);

const notAdded = (publication: string, table: TableName, reason: string): Finding =>
  warned({
    code: 'TABLE_NOT_ADDED',
    title: `table "${formatTableName(table)}"`,
    detail: `it could not be added to publication "${publication}": ${reason}`,
    cure: `it is tried again; by hand: ${addTableSql(publication, table)}`,
  });
