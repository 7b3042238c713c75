// What a publication of ours needs to be as it should be, and doing it: tables whose writes fail because of it go first.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { onPrimary } from '../../postgres/connection/standbys.ts';
import { failed, warned, type Finding } from '../../postgres/preflight/finding.ts';
import { describeFaults } from '../../postgres/preflight/identity-cures.ts';
import {
  addTables,
  addTableSql,
  dropTables,
  dropTableSql,
  SEND_STORED,
  setOption,
  setOptionSql,
  UNDER_OWN_NAMES,
} from '../../postgres/preflight/publication-changes.ts';
import { carried, type Publication } from '../../postgres/preflight/publication.ts';
import type { WantedTables } from '../../postgres/preflight/table-findings.ts';
import {
  faultsIn,
  isFit,
  mayPublish,
  needsStored,
  type TableState,
  type WantedTable,
} from '../../postgres/preflight/tables.ts';
import { recordStreamed, type TablePorts } from './streamed-tables.ts';

export type Needs = {
  /** Members whose UPDATE and DELETE fail, and no option of the publication mends it. */
  readonly out: readonly TableState[];
  /** Options of the publication that are to be set. */
  readonly options: readonly string[];
  /** Tables that are wanted, fit, and not carried. */
  readonly in: readonly WantedTable[];
};

/** Undefined: nothing. `members`: what the publication lists, wanted or not: whoever writes to it must not suffer. */
export function needsOf(
  publication: Publication,
  { wanted, members }: { readonly wanted: WantedTables; readonly members: readonly TableState[] },
): Needs | undefined {
  const out = members.filter((table) => faultsIn(table, true).length > 0);
  const lacking = wanted.states.filter(
    (table) => isFit(table) && mayPublish(table) && !isCarried(publication, table),
  );
  const stays = members.filter((table) => !out.includes(table));
  const options = [
    ...(!publication.sendsStored && needsStored([...stays, ...lacking]) ? [SEND_STORED] : []),
    // As older versions made it: a partition's own identity and its TRUNCATE are not told then.
    ...(publication.viaRoot ? [UNDER_OWN_NAMES] : []),
  ];
  if (out.length + options.length + lacking.length === 0) return undefined;
  return { out, options, in: lacking };
}

const isCarried = (publication: Publication, table: WantedTable): boolean =>
  carried({ ...publication, viaRoot: false }, table) === 'whole';

/** On a connection of its own: it may wait for a lock, and the stream needs the other one. Answers what could not be done. */
export async function meetNeeds(
  publication: string,
  needs: Needs,
  ports: TablePorts,
): Promise<readonly Finding[]> {
  const { settings } = ports;
  try {
    return await onPrimary(settings, ports, async (plain) => [
      ...(await takeOut(plain, publication, needs.out, ports)),
      ...(await setOptions(plain, publication, needs.options, ports)),
      ...(await add(plain, publication, needs.in, ports)),
    ]);
  } catch (error) {
    // All of it is tried again at the next look.
    const reason = error instanceof Error ? error.message : String(error);
    ports.state.alarm(
      'WRITES_FAIL',
      needs.out.length === 0 ? undefined : writesFail(publication, needs.out, ports),
    );
    return [
      ...needs.out.map((table) => notTakenOut(publication, table, reason)),
      ...needs.in.map((table) => notAdded(publication, table, reason)),
    ];
  }
}

/** The gap that this makes is declared by the next look, which follows at once. */
async function takeOut(
  client: Client,
  publication: string,
  tables: readonly TableState[],
  ports: TablePorts,
): Promise<readonly Finding[]> {
  const { done, refused } =
    tables.length === 0 ? { done: [], refused: [] } : await dropTables(client, publication, tables);
  for (const table of tables.filter((it) => done.includes(it))) {
    ports.logger.error(
      { database: ports.settings.name, table: formatTableName(table) },
      `table ${formatTableName(table)} was taken out of the publication, because its UPDATE and DELETE failed in it: ${why(table)}`,
    );
  }
  const left = tables.filter((table) => refused.some((it) => it.table === table));
  ports.state.alarm('WRITES_FAIL', left.length === 0 ? undefined : writesFail(publication, left, ports));
  return refused.map(({ table, reason }) => notTakenOut(publication, table, reason));
}

const why = (table: TableState): string => describeFaults({ ...table, assured: true }, faultsIn(table, true));

const writesFail = (
  publication: string,
  tables: readonly TableState[],
  { settings }: TablePorts,
): TailraceError =>
  new TailraceError(
    `database "${settings.name}": UPDATE and DELETE fail on ${tables.map(formatTableName).join(', ')} while it is in publication "${publication}": ${why(tables[0]!)}`,
    {
      code: 'WRITES_FAIL',
      kind: 'retryable',
      hint: `it is taken out as soon as that can be done; by hand: ${dropTableSql(publication, tables[0]!)}`,
    },
  );

async function setOptions(
  client: Client,
  publication: string,
  options: readonly string[],
  { altered, logger, settings }: TablePorts,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const option of options) {
    try {
      altered(await setOption(client, publication, option));
      logger.info(
        { database: settings.name, option },
        option === SEND_STORED
          ? 'the publication sends stored generated columns from here on, because a table has one in its key: messages have them where a sink names them'
          : 'partitions come under their own names from here on: sinks see the rows of a root under its name as before',
      );
    } catch (error) {
      findings.push(notSet(publication, option, error instanceof Error ? error.message : String(error)));
    }
  }
  return findings;
}

async function add(
  client: Client,
  publication: string,
  tables: readonly TableName[],
  ports: TablePorts,
): Promise<readonly Finding[]> {
  if (tables.length === 0) return [];
  const { done, from, refused } = await addTables(client, publication, tables);
  recordStreamed(done, from, ports);
  return refused.map(({ table, reason }) => notAdded(publication, table, reason));
}

const notAdded = (publication: string, table: TableName, reason: string): Finding =>
  warned({
    code: 'TABLE_NOT_ADDED',
    title: `table "${formatTableName(table)}"`,
    detail: `it could not be added to publication "${publication}": ${reason}`,
    cure: `it is tried again; by hand: ${addTableSql(publication, table)}`,
  });

const notTakenOut = (publication: string, table: TableName, reason: string): Finding =>
  failed({
    code: 'WRITES_FAIL',
    title: `table "${formatTableName(table)}"`,
    detail: `its UPDATE and DELETE fail while it is in publication "${publication}", and it could not be taken out: ${reason}`,
    cure: `it is tried again; by hand: ${dropTableSql(publication, table)}`,
  });

const notSet = (publication: string, option: string, reason: string): Finding =>
  warned({
    code: 'PUBLICATION_NOT_SET',
    title: `publication "${publication}"`,
    detail: `${option} could not be set: ${reason}`,
    cure: `it is tried again; by hand: ${setOptionSql(publication, option)}`,
  });
