// Could the initial backfills of sinks read their tables? For `doctor`, before any of them begins.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { nameFor } from '../../core/partitions.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { unknownTable } from '../../postgres/backfill/requirements.ts';
import { requireReadable } from '../../postgres/backfill/rights.ts';
import { leavesOf } from '../../postgres/backfill/table.ts';
import { askOver } from '../../postgres/connection/asking.ts';
import { findServer } from '../../postgres/connection/standbys.ts';
import { failed, passed, type Finding } from '../../postgres/preflight/finding.ts';
import { listTables } from '../../postgres/preflight/tables.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { SinkSettings } from '../settings.ts';

/** Nothing where no sink of the database has one. Rejects where the database cannot be asked. */
export async function inspectInitialBackfills(
  database: DatabaseSettings,
  sinks: readonly SinkSettings[],
): Promise<readonly Finding[]> {
  const own = sinks.filter((sink) => sink.database === database.name && sink.backfill.initial !== undefined);
  if (own.length === 0) return [];
  return await askOver(await findServer(database), database, async (client) => {
    const findings: Finding[] = [];
    for (const sink of own) findings.push(...(await inspectOne(client, sink, database.username)));
    return findings;
  });
}

async function inspectOne(client: Client, sink: SinkSettings, role: string): Promise<readonly Finding[]> {
  const title = `initial backfill of sink "${sink.name}"`;
  const tables = await tablesOf(client, sink);
  const faults: Finding[] = [];
  for (const table of tables) {
    try {
      const leaves = await leavesOf(client, table);
      if (leaves === undefined) throw await unknownTable(client, table);
      await requireReadable(client, leaves, role);
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      const { code, message: detail, hint: cure } = error;
      faults.push(failed({ code, title, detail, ...(cure === undefined ? {} : { cure }) }));
    }
  }
  const names = tables.map(formatTableName).join(', ');
  return faults.length > 0 ? faults : [passed(title, `${names} can be read`)];
}

/** Those that it names; else all that it would be given, partitions with their roots. */
async function tablesOf(
  client: Client,
  { backfill, selection }: SinkSettings,
): Promise<readonly TableName[]> {
  if (backfill.initial !== 'all') return backfill.initial ?? [];
  const names = new Map<string, TableName>();
  for (const table of await listTables(client)) {
    const name = nameFor(selection, table);
    if (name !== undefined) names.set(formatTableName(name), name);
  }
  return [...names.values()];
}
