// Keeps the publication's list of tables: those that a sink wants and that were made since join it, without a restart.
import { setTimeout as sleep } from 'node:timers/promises';
import type { TailraceError } from '../../core/errors.ts';
import { alarmOf, describeFinding, type Finding } from '../../postgres/preflight/finding.ts';
import { inspectColumns, inspectUnmatched } from '../../postgres/preflight/names.ts';
import { readWanted } from '../../postgres/preflight/wanted.ts';
import { carried, isOurs, readPublication, type Publication } from '../../postgres/preflight/publication.ts';
import { inspectTables, type WantedTables } from '../../postgres/preflight/table-findings.ts';
import { readTables, tableKey, type TableState } from '../../postgres/preflight/tables.ts';
import { meetNeeds, needsOf } from './publication-needs.ts';
import type { TablePorts } from './streamed-tables.ts';

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

/** Keeps a publication of ours as it should be, and says of every wanted table what keeps it out. */
export async function refreshTables(ports: TablePorts): Promise<void> {
  const { client, settings, selections, state } = ports;
  let publication = await readPublication(client, settings.publication.name);
  // Its absence is for the look to say.
  if (publication === undefined) return;
  const wanted = await readWanted(client, selections, { settings, publication });
  let findings: readonly Finding[] = [];
  if (isOurs(publication, settings)) {
    const needs = needsOf(publication, { wanted, members: await membersOf(publication, wanted, ports) });
    if (needs === undefined) state.alarm('WRITES_FAIL', undefined);
    else {
      findings = await meetNeeds(publication.name, needs, ports);
      publication = (await readPublication(client, settings.publication.name)) ?? publication;
    }
  }
  const carries = publication;
  state.tables = wanted.states.filter((table) => carried(carries, table) !== 'none').length;
  const columns = inspectColumns(wanted.columnFaults);
  state.alarm('COLUMN_MISSING', columnAlarm(settings.name, columns));
  const names = [...inspectUnmatched(wanted.unmatched), ...columns];
  report([...inspectTables(wanted, publication, settings), ...names, ...findings], ports);
}

/** Degrades the source before a row comes that the sink cannot group, or leaves a column out of. */
function columnAlarm(database: string, findings: readonly Finding[]): TailraceError | undefined {
  const [first] = findings;
  if (first === undefined) return undefined;
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more such names)` : '';
  return alarmOf(database, first, more);
}

/** What the publication lists, wanted or not. */
async function membersOf(
  { entries }: Publication,
  { states }: WantedTables,
  { client }: TablePorts,
): Promise<readonly TableState[]> {
  const known = new Map(states.map((state) => [tableKey(state), state]));
  const others = await readTables(
    client,
    entries.filter((table) => !known.has(tableKey(table))),
  );
  return [...entries.flatMap((table) => known.get(tableKey(table)) ?? []), ...others];
}

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
