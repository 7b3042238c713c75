// What `doctor` and `check --database` find of the filters of sinks: each is compared with the tables as they are now, and with what the
// server makes of it.
import { escapeIdentifier, type Client } from 'pg';
import { TailraceError } from '../../../core/errors.ts';
import { nameFor } from '../../../core/partitions.ts';
import { formatTableName, type TableName } from '../../../core/selection.ts';
import { askOver } from '../../../postgres/connection/asking.ts';
import { findPrimary } from '../../../postgres/connection/hosts.ts';
import { failed, isNote, passed, warned, type Finding } from '../../../postgres/preflight/finding.ts';
import { listTables } from '../../../postgres/preflight/tables.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { PlacedFilter, SinkSettings } from '../../settings.ts';
import { rowFilterAdvice } from './advice.ts';
import { compareWithServer } from './comparison.ts';
import { DISAGREEMENT_CODES, wordsOf } from './disagreement.ts';
import { readPresentTable, type PresentTable } from './present-table.ts';
import { compileTableFilter, filtersFor, hasFilter } from '../table-filter.ts';
import { wantedActions } from '../taken-actions.ts';
import { blindnessFindings, outsideIdentity, type Blindness } from '../where-identity.ts';

/** A filter for one table that it is used for, which the sink reads under this name. */
type Use = {
  readonly sink: SinkSettings;
  readonly filter: PlacedFilter;
  readonly table: Table;
  readonly name: TableName;
};

/** Nothing where no sink of the database has a filter. Rejects where the database cannot be asked. */
export async function inspectFilters(
  settings: DatabaseSettings,
  sinks: readonly SinkSettings[],
): Promise<readonly Finding[]> {
  const own = sinks.filter((sink) => sink.database === settings.name && hasFilter(sink));
  if (own.length === 0) return [];
  return await askOver(await findPrimary(settings), settings, (client) =>
    inspectOwn(client, own, sinks, settings),
  );
}

async function inspectOwn(
  client: Client,
  own: readonly SinkSettings[],
  sinks: readonly SinkSettings[],
  settings: DatabaseSettings,
): Promise<readonly Finding[]> {
  const tables = await listTables(client);
  const uses = usesOf(own, tables);
  const { name: publication } = settings.publication;
  const known = new Map<Table, Promise<PresentTable | undefined>>();
  const presentOf: PresentTables = (table) => {
    const found = known.get(table) ?? readPresentTable(client, table, publication);
    known.set(table, found);
    return found;
  };
  const findings: Finding[] = [];
  const blind: Blindness[] = [];
  for (const use of uses) {
    const present = await presentOf(use.table);
    if (present === undefined) continue;
    const found = await inspectUse(client, use, { relation: present.relation, settings });
    findings.push(...found);
    if (found.every(isNote)) blind.push(...blindnessOf(use, present));
  }
  if (findings.length === 0) findings.push(passed('filters', `${uses.length} mean the same here and there`));
  findings.push(...blindnessFindings(blind));
  if (findings.every((finding) => finding.ok || isNote(finding))) {
    const readers = sinks.filter((sink) => sink.database === settings.name);
    for (const table of tables)
      findings.push(...(await adviceFor(client, table, { publication, readers, presentOf })));
  }
  return findings;
}

type Table = Awaited<ReturnType<typeof listTables>>[number];
/** As it is now, asked for once. Undefined: there is no such table any more. */
type PresentTables = (table: Table) => Promise<PresentTable | undefined>;

const usesOf = (sinks: readonly SinkSettings[], tables: readonly Table[]): Use[] =>
  tables.flatMap((table) =>
    sinks.flatMap((sink) => {
      const name = nameFor(sink.selection, table);
      if (name === undefined) return [];
      return filtersFor(name, sink).map((filter) => ({ sink, filter, table, name }));
    }),
  );

async function adviceFor(
  client: Client,
  table: Table,
  of: {
    readonly publication: string;
    readonly readers: readonly SinkSettings[];
    readonly presentOf: PresentTables;
  },
): Promise<readonly Finding[]> {
  const { publication } = of;
  const sinks = of.readers.flatMap((sink) => {
    const name = nameFor(sink.selection, table);
    return name === undefined ? [] : [filtersFor(name, sink)];
  });
  if (sinks.length === 0 || sinks.some((filters) => filters.length === 0)) return [];
  const present = await of.presentOf(table);
  const advice = present && (await rowFilterAdvice(client, present.relation, { publication, sinks }));
  return advice === undefined ? [] : [advice];
}

async function inspectUse(
  client: Client,
  { filter, table }: Use,
  { relation, settings }: Pick<PresentTable, 'relation'> & { readonly settings: DatabaseSettings },
): Promise<readonly Finding[]> {
  const title = `filter for ${formatTableName(table)}`;
  try {
    compileTableFilter(relation, [filter]);
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    return [failed({ code: error.code, title, detail: error.message, cure: 'change the filter' })];
  }
  const compared = await compareWithServer(client, filter, relation);
  switch (compared.kind) {
    case 'agrees':
    case 'unknown':
      return [];
    case 'refused':
    case 'differs':
      return [failed({ code: DISAGREEMENT_CODES[compared.kind], title, ...wordsOf(filter, compared) })];
    case 'hidden':
      return compared.schemas.map((schema) => hiddenTypes(title, schema, settings.username));
    default:
      return compared satisfies never;
  }
}

/** What the table does not send. A partitioned one sends nothing by itself. */
function blindnessOf(
  { sink, filter, table, name }: Use,
  { relation, outOfLine, isPartitioned }: PresentTable,
): readonly Blindness[] {
  if (isPartitioned) return [];
  const outside = outsideIdentity(relation, filter);
  const actions = wantedActions(name, sink);
  const of = { sink, name, table };
  const unchanged = outside.filter((column) => outOfLine.has(column));
  return [
    ...(actions.includes('delete') && outside.length > 0
      ? [{ ...of, of: 'deleted' as const, columns: outside }]
      : []),
    ...(actions.includes('update') && unchanged.length > 0
      ? [{ ...of, of: 'unchanged' as const, columns: unchanged }]
      : []),
  ];
}

/** What was resolved here stands, so it is a note. */
const hiddenTypes = (title: string, schema: string, role: string): Finding =>
  warned({
    code: 'WHERE_TYPES_HIDDEN',
    title,
    detail: `the server cannot be asked what it means there: types in the schema ${schema} may not be used by the role. It is taken as it is understood here`,
    cure: `GRANT USAGE ON SCHEMA ${schema} TO ${escapeIdentifier(role)};`,
  });
