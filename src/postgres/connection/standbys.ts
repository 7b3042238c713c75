// What is read from: the primary, or one of the standbys that the configuration lists beside it; and where SQL goes that only a primary takes.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { formatLsn, readLsn, type Lsn } from '../../core/lsn.ts';
import { primarySettings, type DatabaseSettings } from '../settings.ts';
import {
  closeConnection,
  connectAsking,
  connectReplication,
  inPlainSession,
  type ReplicationConnection,
} from './connection.ts';
import { connectionFault } from './fault.ts';
import {
  findPrimary,
  isBehind,
  isStandby,
  lookUpAll,
  withoutName,
  type Followed,
  type LookedUp,
  type Standing,
} from './hosts.ts';
import { identifySystem } from './identify-system.ts';
import { formatTarget, type Target } from './target.ts';

/** The server to read from, with an ordinary connection to it. Rejects with what each host said. */
export async function findServer(settings: DatabaseSettings, known: Standing = {}): Promise<Followed> {
  if (settings.primary !== undefined) return findReadable(settings, known);
  return { ...(await findPrimary(settings, known)), inRecovery: false };
}

type Readable = {
  readonly target: Target;
  readonly client: Client;
  readonly inRecovery: boolean;
  readonly hasSlot: boolean;
} & Standing;

type Unreadable = { readonly fault: TailraceError };

/**
 * Where several may be read from: one that has the slot first, then a standby, then the first of the list. One that is on an older
 * timeline than what was read last has not followed a promotion yet, or never will.
 */
async function findReadable(settings: DatabaseSettings, known: Standing): Promise<Followed> {
  const lookedUp = await lookUpAll(settings);
  const answers = await Promise.all(lookedUp.map((of) => askReadable(settings, of, lookedUp.length > 1)));
  const open = answers.filter((answer): answer is Readable => 'client' in answer);
  const isOld = (answer: Readable): boolean => lookedUp.length > 1 && isBehind(answer, known);
  const [chosen] = open
    .filter((answer) => !isOld(answer))
    .toSorted((a, b) => Number(b.hasSlot) - Number(a.hasSlot) || Number(b.inRecovery) - Number(a.inRecovery));
  await Promise.all(open.filter((answer) => answer !== chosen).map(({ client }) => closeConnection(client)));
  if (chosen !== undefined) {
    const { client, target, inRecovery } = chosen;
    return { client, target, inRecovery, refused: [] };
  }
  const faults = [
    ...open.map((answer) => notFollowed(settings.name, answer, known)),
    ...answers.flatMap((answer) => ('fault' in answer ? [answer.fault] : [])),
  ];
  const [only, ...more] = faults;
  if (only !== undefined && more.length === 0) throw only;
  const first = faults.find(({ mend }) => mend === 'retry') ?? only;
  const said = new Set(faults.map(({ message }) => withoutName(settings.name, message)));
  throw new TailraceError(`database "${settings.name}": ${[...said].join('; ')}`, {
    code: 'NO_STANDBY',
    kind: first?.kind ?? 'fatal',
    hint: first?.hint ?? 'name at least one host in databases[].hostname',
    cause: new AggregateError(faults),
  });
}

/** Never rejects; a connection is its caller's to close. */
async function askReadable(
  settings: DatabaseSettings,
  { target, fault }: LookedUp,
  compares: boolean,
): Promise<Readable | Unreadable> {
  if (fault !== undefined) return { fault };
  let client: Client | undefined;
  try {
    client = await connectAsking(settings, target);
    const inRecovery = await isStandby(client);
    const { rows } = await client.query(
      'select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn is not null',
      [settings.slot.name],
    );
    const standing = compares ? await standingOf(settings, target) : {};
    return { target, client, inRecovery, hasSlot: rows.length > 0, ...standing };
  } catch (error) {
    if (client !== undefined) await closeConnection(client);
    return { fault: connectionFault(error, settings, target) };
  }
}

/** A standby tells the timeline that it replays to a connection for replication only. */
async function standingOf(settings: DatabaseSettings, target: Target): Promise<Standing> {
  let replication: ReplicationConnection | undefined;
  try {
    replication = await connectReplication(settings, target);
    const { systemIdentifier, timeline } = await identifySystem(replication);
    return { systemIdentifier, timeline };
  } finally {
    if (replication !== undefined) await closeConnection(replication.client);
  }
}

const notFollowed = (name: string, { target, timeline }: Readable, known: Standing): TailraceError =>
  new TailraceError(
    `database "${name}": ${formatTarget(target)} is on timeline ${timeline}, and what was read last came from timeline ${known.timeline}`,
    {
      code: 'STANDBY_OLD',
      kind: 'retryable',
      hint: 'let it follow the new primary (recovery_target_timeline = latest), or take it out of databases[].hostname',
    },
  );

/** An ordinary connection to the primary, while a standby is read from; undefined: it does not answer, or is what is read from. */
export async function connectPrimary(
  settings: DatabaseSettings,
  { inRecovery }: Pick<Followed, 'inRecovery'>,
): Promise<Client | undefined> {
  if (!inRecovery) return undefined;
  try {
    return (await findPrimary(primarySettings(settings))).client;
  } catch {
    // Reading goes on without it; whoever needs it says that it is not there.
    return undefined;
  }
}

/** How long a standby may take to have what was done on the primary. */
const REPLAY_LIMIT_MS = 30_000;
const REPLAY_INTERVAL_MS = 50;

/**
 * Works in a plain session where writing is possible: on the server that is followed, or, while that is a standby, on its primary; resolves
 * once the standby has replayed it. Rejects as `work` does, or with TailraceError.
 */
export async function onPrimary<Result>(
  settings: DatabaseSettings,
  followed: { readonly client: Client; readonly target: Target },
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  if (settings.primary === undefined || !(await isStandby(followed.client)))
    return inPlainSession(settings, followed.target, work);
  const there = primarySettings(settings);
  const { client, target } = await findPrimary(there);
  try {
    const result = await inPlainSession(there, target, work);
    const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
    await replayed(followed, readLsn(rows[0]!.lsn), settings.name);
    return result;
  } finally {
    await closeConnection(client);
  }
}

async function replayed(
  { client, target }: { readonly client: Client; readonly target: Target },
  lsn: Lsn,
  name: string,
): Promise<void> {
  for (let tries = REPLAY_LIMIT_MS / REPLAY_INTERVAL_MS; tries > 0; tries--) {
    const { rows } = await client.query<{ done: boolean }>(
      'select not pg_is_in_recovery() or pg_last_wal_replay_lsn() >= $1::pg_lsn as done',
      [formatLsn(lsn)],
    );
    if (rows[0]?.done === true) return;
    await sleep(REPLAY_INTERVAL_MS);
  }
  throw standbyBehind(name, target, lsn);
}

/** `key`: of `databases[]`, where the host stands. */
export const standbyOfOtherCluster = (
  name: string,
  target: Target,
  { code, key }: { readonly code: string; readonly key: 'hostname' | 'barrier' },
): TailraceError =>
  new TailraceError(`database "${name}": ${formatTarget(target)} is of another cluster`, {
    code,
    kind: 'retryable',
    hint: `take it out of databases[].${key}, or make it a standby of the primary that is followed`,
  });

/** A standby that is to have come as far as this, and has not. */
export const standbyBehind = (name: string, target: Target, lsn: Lsn): TailraceError =>
  new TailraceError(
    `database "${name}": the standby ${formatTarget(target)} has not replayed the WAL up to ${formatLsn(lsn)} yet`,
    {
      code: 'STANDBY_BEHIND',
      kind: 'retryable',
      hint: 'it goes on as soon as it has; if it does not move, see whether it is connected to its primary, and whether its replay is paused: SELECT pg_wal_replay_resume();',
    },
  );
