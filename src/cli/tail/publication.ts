// The publications that tails make: one each, guarded by an advisory lock that dies with its tail.
import { escapeIdentifier, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { TableName } from '../../core/selection.ts';
import { listTables, quoteTable, readTables, type TableState } from '../../postgres/preflight/tables.ts';

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
  const states = await readTables(client, wanted.length === 0 ? await listTables(client) : wanted);
  for (const name of wanted) {
    if (!states.some((state) => state.schema === name.schema && state.table === name.table)) {
      throw new TailraceError(`there is no table ${name.schema}.${name.table}`, {
        code: 'TABLE_MISSING',
        kind: 'fatal',
        hint: 'name it as schema.table; views, temporary and unlogged tables have no changes to follow',
      });
    }
  }
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
  const list = tables.map(quoteTable).join(', ');
  try {
    const sql = `create publication ${escapeIdentifier(name)} for table ${list} with (publish_via_partition_root = true)`;
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

/** A published table without identity would make UPDATE and DELETE fail in the application. */
function reasonToLeave(table: TableState): string | undefined {
  const name = quoteTable(table);
  if (!table.owned)
    return `${name} belongs to another role: make a publication as its owner, name it with --publication`;
  if (table.hasIdentity) return undefined;
  return `${name} has no primary key: ALTER TABLE ${name} ADD PRIMARY KEY (…); or ALTER TABLE ${name} REPLICA IDENTITY FULL;`;
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
  const { rows } = await client.query<{ pubname: string }>('select pubname from pg_publication');
  return rows.flatMap(({ pubname }) => {
    const match = NAME.exec(pubname);
    return match === null ? [] : [Number(match[1])];
  });
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
