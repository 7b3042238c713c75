// The publications that tails make: one each, guarded by an advisory lock that dies with its tail. A table whose writes fail
// because of it is taken out.
import { setTimeout as sleep } from 'node:timers/promises';
import { escapeIdentifier, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { cureOf, describeFaults } from '../../postgres/preflight/identity-cures.ts';
import { nearestTable } from '../../postgres/preflight/names.ts';
import { carried, readPublication } from '../../postgres/preflight/publication.ts';
import {
  addTableSql,
  createPublicationSql,
  dropTables,
  SEND_STORED,
} from '../../postgres/preflight/publication-changes.ts';
import {
  faultsIn,
  isFit,
  listTables,
  needsStored,
  readTables,
  tableKey,
  type TableState,
  type WantedTable,
} from '../../postgres/preflight/tables.ts';
import { quoteTable } from '../../postgres/quoting.ts';

export type TailPublication = {
  readonly name: string;
  readonly tables: readonly TableState[];
  /** Tables that were left out, each with the reason. */
  readonly left: readonly { readonly table: TableName; readonly reason: string }[];
  drop(): Promise<void>;
};

/** Works in a session that is the role's own: event triggers run in it. The locks are the other session's. */
export type PlainWork = (work: (client: Client) => Promise<unknown>) => Promise<unknown>;

/** First key of our advisory locks ("TAIL"); the second is the publication's number. */
const LOCK_CLASS = 0x54_41_49_4c;
/** Of the publications that there are, this many are named. */
const MAX_NAMED = 10;
const NAME = /^tailrace_tail_(\d{1,9})$/;

/**
 * Makes `tailrace_tail_<n>` for the named tables, or for every table that the role may publish. pgoutput reads the
 * publication in the catalog as of each change, so it must be committed before the slot is made.
 * https://www.postgresql.org/docs/current/logical-replication-publication.html
 */
export async function createTailPublication(
  client: Client,
  wanted: readonly TableName[],
  inPlainSession: PlainWork,
): Promise<TailPublication> {
  await dropLeftovers(client, inPlainSession);
  const all =
    wanted.length > 0 ? wanted : (await listTables(client)).filter(({ ancestors }) => ancestors.length === 0);
  const found = await readTables(client, all);
  await assertThere(client, wanted, found);
  const states = found.map((state) => ({ ...state, assured: false }));
  const left = states.flatMap((table) => {
    const reason = reasonToLeave(table);
    return reason === undefined ? [] : [{ table, reason }];
  });
  const tables = states.filter((table) => reasonToLeave(table) === undefined);
  if (tables.length === 0) {
    throw new TailraceError('no table can be published', {
      code: 'NOTHING_TO_PUBLISH',
      kind: 'fatal',
      hint: left[0]?.reason ?? 'create a table first',
    });
  }
  const number = await lockFreeNumber(client);
  const name = `tailrace_tail_${number}`;
  try {
    const sql = createPublicationSql(name, tables, needsStored(tables) ? [SEND_STORED] : []);
    await inPlainSession((plain) => plain.query(sql));
  } catch (cause) {
    throw new TailraceError(
      `cannot make publication ${name}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        code: 'PUBLICATION_NOT_CREATED',
        kind: 'fatal',
        hint: 'grant the role CREATE on the database, or name an existing publication with --publication',
        cause,
      },
    );
  }
  return { name, tables, left, drop: () => drop(client, number, inPlainSession) };
}

async function assertThere(
  client: Client,
  wanted: readonly TableName[],
  found: readonly TableName[],
): Promise<void> {
  const there = new Set(found.map(tableKey));
  const missing = wanted.find((name) => !there.has(tableKey(name)));
  if (missing === undefined) return;
  const nearest = nearestTable(missing, await listTables(client));
  throw new TailraceError(`there is no table ${formatTableName(missing)}${didYouMean(nearest)}`, {
    code: 'TABLE_MISSING',
    kind: 'fatal',
    hint: 'name it as schema.table; views, temporary and unlogged tables have no changes to follow',
  });
}

/** A publication of somebody's: it is there, and carries the tables that are asked for. Without it Postgres fails at the first change only. */
export async function assertPublication(
  client: Client,
  name: string,
  { database, tables }: { readonly database: string; readonly tables: readonly TableName[] },
): Promise<void> {
  const publication = await readPublication(client, name);
  if (publication === undefined) throw noPublication(name, database, await publicationNames(client));
  const found = await readTables(client, tables);
  await assertThere(client, tables, found);
  const lacking = found.find((table) => !['whole', 'part'].includes(carried(publication, table)));
  if (lacking === undefined) return;
  const table = formatTableName(lacking);
  const root = carried(publication, lacking) === 'root' ? formatTableName(lacking.ancestors[0]!) : undefined;
  throw new TailraceError(
    root === undefined
      ? `publication "${name}" does not carry table ${table}`
      : `publication "${name}" sends the rows of ${table} under the name of ${root}`,
    {
      code: 'TABLE_NOT_PUBLISHED',
      kind: 'fatal',
      hint: root === undefined ? addTableSql(name, lacking) : `--table ${root}`,
    },
  );
}

function noPublication(name: string, database: string, others: readonly string[]): TailraceError {
  const nearest = nearestName(name, others);
  const known = others.length === 0 ? 'there is none' : `there are ${others.slice(0, MAX_NAMED).join(', ')}`;
  return new TailraceError(
    `there is no publication "${name}" in database "${database}"${didYouMean(nearest)}`,
    {
      code: 'PUBLICATION_MISSING',
      kind: 'fatal',
      hint:
        nearest === undefined
          ? `name another one (${known}), or leave --publication out`
          : `--publication ${nearest}`,
    },
  );
}

/** In a publication, a table that is not fit would make UPDATE and DELETE fail in the application. */
function reasonToLeave(table: WantedTable): string | undefined {
  const name = quoteTable(table);
  if (!table.schemaUsable) return `${name} is in a schema that the role may not use`;
  if (!table.owned)
    return `${name} belongs to another role: make a publication as its owner, name it with --publication`;
  if (isFit(table)) return undefined;
  const faults = faultsIn(table, true);
  // Nobody can tell `tail` that later partitions will have an identity.
  const key = table.foreign ? 'name its partitions with --table' : `ALTER TABLE ${name} ADD PRIMARY KEY (…);`;
  const cure = faults.length > 0 ? cureOf(table, faults) : key;
  return `${name}: ${describeFaults(table, faults)}: ${cure}`;
}

/** So long at most, and as long as VACUUM, ANALYZE or DDL locks the table, writes fail by what was done to it meanwhile. */
const WRITES_INTERVAL_MS = 1_000;

/** Takes out what breaks writes by now. Until `signal` aborts. */
export async function keepWritesGoing(
  client: Client,
  name: string,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(WRITES_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    const publication = signal.aborted ? undefined : await readPublication(client, name);
    if (publication === undefined) return;
    const members = await readTables(client, publication.entries);
    const faulty = members.filter((table) => faultsIn(table, publication.sendsStored).length > 0);
    if (faulty.length === 0) continue;
    const { done, refused } = await dropTables(client, name, faulty);
    for (const table of faulty.filter((it) => done.includes(it))) {
      const faults = faultsIn(table, publication.sendsStored);
      say(
        `taken out, because UPDATE and DELETE failed on it: ${quoteTable(table)}: ${describeFaults({ ...table, assured: false }, faults)}`,
      );
    }
    for (const { table, reason } of refused) say(`UPDATE and DELETE fail on ${quoteTable(table)}: ${reason}`);
  }
}

/** Publications of tails whose lock nobody holds: they were killed. */
async function dropLeftovers(client: Client, inPlainSession: PlainWork): Promise<void> {
  for (const number of await publicationNumbers(client)) {
    if (!(await tryLock(client, number))) continue;
    try {
      await drop(client, number, inPlainSession);
    } catch {
      // Another role's leftover: that role's next tail removes it.
      await unlock(client, number);
    }
  }
}

async function lockFreeNumber(client: Client): Promise<number> {
  for (let number = 1; ; number++) {
    if (!(await tryLock(client, number))) continue;
    // Asked with the lock held: nobody else makes or drops this one.
    if (!(await publicationNumbers(client)).includes(number)) return number;
    await unlock(client, number);
  }
}

async function publicationNumbers(client: Client): Promise<readonly number[]> {
  return (await publicationNames(client)).flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

async function publicationNames(client: Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ pubname: string }>('select pubname from pg_publication order by 1');
  return rows.map(({ pubname }) => pubname);
}

async function drop(client: Client, number: number, inPlainSession: PlainWork): Promise<void> {
  const sql = `drop publication if exists ${escapeIdentifier(`tailrace_tail_${number}`)}`;
  await inPlainSession((plain) => plain.query(sql));
  await unlock(client, number);
}

/** https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS */
async function tryLock(client: Client, number: number): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1, $2) as locked', [
    LOCK_CLASS,
    number,
  ]);
  return rows[0]?.locked === true;
}

const unlock = (client: Client, number: number): Promise<unknown> =>
  client.query('select pg_advisory_unlock($1, $2)', [LOCK_CLASS, number]);
