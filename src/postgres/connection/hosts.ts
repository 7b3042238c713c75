// Which of the hosts is the primary: all are asked at once, and the one that is furthest on in its history is followed (architecture §4.1).
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { DatabaseSettings } from '../settings.ts';
import { closeConnection, connectAsking } from './connection.ts';
import { connectionFault } from './fault.ts';
import { formatTarget, type Target } from './target.ts';

/** Once a primary has answered, a host that has not is taken for dead. */
const OTHERS_MS = 1_000;
/** While a host is silent, the others are asked anew: one of them may be promoted. */
const ASK_AGAIN_MS = 1_000;
/** A name server that does not answer. */
const LOOKUP_TIMEOUT_MS = 10_000;

/** No primary, and a standby that may become one: worth asking often. */
export const AWAITS_PROMOTION = 'AWAITS_PROMOTION';
/** The only host is a standby. */
export const NOT_PRIMARY = 'NOT_PRIMARY';

/** Where a primary stands; fields that the server keeps from our role are missing. */
export type Standing = { readonly systemIdentifier?: string; readonly timeline?: number };

export type Primary = {
  readonly client: Client;
  readonly target: Target;
  /** Other primaries, which are behind this one, each with its name. */
  readonly refused: readonly TailraceError[];
};

/** What is read from: the primary, or a standby where the configuration names the primary beside it. */
export type Followed = Primary & { readonly inRecovery: boolean };

/** What a host said of itself. */
export type Answer =
  | PrimaryAnswer
  | { readonly role: 'standby'; readonly target: Target }
  | { readonly role: 'fault'; readonly target: Target; readonly fault: TailraceError };

/** Its connection is open. */
type PrimaryAnswer = {
  readonly role: 'primary';
  readonly target: Target;
  readonly client: Client;
} & Standing;

/**
 * The primary among the hosts, with an ordinary connection to it. `known`: the server whose changes the log holds; of several hosts
 * one that is behind it is an old primary. Rejects with what each host said.
 */
export async function findPrimary(settings: DatabaseSettings, known: Standing = {}): Promise<Primary> {
  const answers = await askAll(settings);
  const isOfSeveral = settings.hosts.length > 1;
  const { chosen, refused } = choosePrimary(settings.name, answers, isOfSeveral ? known : {});
  await Promise.all(answers.filter((answer) => answer !== chosen).map(closeAnswer));
  if (chosen !== undefined) return { client: chosen.client, target: chosen.target, refused };
  throw noPrimary(settings.name, answers, refused);
}

async function closeAnswer(answer: Answer): Promise<void> {
  if (answer.role === 'primary') await closeConnection(answer.client);
}

/** Every address of every host: a name is looked up anew each time. */
export async function targetsOf(settings: DatabaseSettings): Promise<readonly Target[]> {
  const answers = await lookUpAll(settings);
  return answers.map(({ target }) => target);
}

export type LookedUp = { readonly target: Target; readonly fault?: TailraceError };

/** Every address of every host, or why it has none. */
export async function lookUpAll(settings: DatabaseSettings): Promise<readonly LookedUp[]> {
  const found = await Promise.all(
    settings.hosts.map(async (target): Promise<readonly LookedUp[]> => {
      try {
        return (await addressesOf(target)).map((address) => ({ target: address }));
      } catch (error) {
        return [{ target, fault: connectionFault(error, settings, target) }];
      }
    }),
  );
  return found.flat();
}

async function addressesOf(target: Target): Promise<readonly Target[]> {
  const { host, port } = target;
  if (host.startsWith('/') || isIP(host) !== 0) return [target];
  const done = new AbortController();
  try {
    const found = await Promise.race([
      lookup(host, { all: true }),
      sleep(LOOKUP_TIMEOUT_MS, undefined, { signal: done.signal, ref: false }).then(() => {
        throw new Error(`the name server did not answer within ${LOOKUP_TIMEOUT_MS / 1000} s`);
      }),
    ]);
    const addresses = [...new Set(found.map(({ address }) => address))];
    return addresses.map((address) => ({
      host,
      port,
      address,
      ...(addresses.length > 1 && { isOneOfSeveral: true }),
    }));
  } finally {
    done.abort();
  }
}

/**
 * Resolves once every host has said something, or one is a primary and the others have had their time. Of those that answered in
 * time; what comes later is closed.
 */
async function askAll(settings: DatabaseSettings): Promise<readonly Answer[]> {
  const lookedUp = await lookUpAll(settings);
  const answers = new Map<LookedUp, Answer>();
  const over = new AbortController();
  const enough = Promise.withResolvers<void>();
  let waiting: NodeJS.Timeout | undefined;
  const note = (of: LookedUp, answer: Answer): void => {
    answers.set(of, answer);
    if (answers.size === lookedUp.length) enough.resolve();
    else if (answer.role === 'primary') waiting ??= setTimeout(enough.resolve, OTHERS_MS);
  };
  const askUntilOver = async (of: LookedUp): Promise<void> => {
    for (;;) {
      const answer: Answer =
        of.fault === undefined
          ? await ask(settings, of.target, lookedUp.length > 1)
          : { role: 'fault', target: of.target, fault: of.fault };
      if (over.signal.aborted) return closeAnswer(answer);
      note(of, answer);
      if (answer.role === 'primary' || of.fault !== undefined) return;
      await sleep(ASK_AGAIN_MS, undefined, { signal: over.signal, ref: false }).catch(() => undefined);
      if (over.signal.aborted) return;
    }
  };
  for (const of of lookedUp) void askUntilOver(of);
  await enough.promise;
  over.abort();
  clearTimeout(waiting);
  // In the order of the list.
  return lookedUp.flatMap((of) => answers.get(of) ?? []);
}

/** Never rejects. A primary's connection is its caller's to close. `compares`: only of several there is something to compare. */
async function ask(settings: DatabaseSettings, target: Target, compares: boolean): Promise<Answer> {
  let client: Client | undefined;
  try {
    client = await connectAsking(settings, target);
    if (!(await isStandby(client))) {
      return { role: 'primary', target, client, ...(compares && (await readStanding(client))) };
    }
    await closeConnection(client);
    return { role: 'standby', target };
  } catch (error) {
    if (client !== undefined) await closeConnection(client);
    return { role: 'fault', target, fault: connectionFault(error, settings, target) };
  }
}

export async function isStandby(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  return rows[0]?.standby !== false;
}

/** Of a primary. The timeline is the one that its WAL is written on: its last checkpoint may be of the one before. */
export async function readStanding(client: Client): Promise<Standing> {
  const { rows } = await client.query<{ timeline: number }>(
    `select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline`,
  );
  const timeline = rows[0]?.timeline;
  return { ...(timeline !== undefined && { timeline }), ...(await systemOf(client)) };
}

/** Nothing where the server keeps it from our role. */
export async function systemOf(client: Client): Promise<Pick<Standing, 'systemIdentifier'>> {
  try {
    const { rows } = await client.query<{ system: string }>(
      'select system_identifier::text as system from pg_control_system()',
    );
    return rows[0] === undefined ? {} : { systemIdentifier: rows[0].system };
  } catch (error) {
    // Somebody has revoked it: then every host of the list counts as one of the same cluster.
    if (error instanceof DatabaseError) return {};
    throw error;
  }
}

/** Where the system identifier is kept from our role, every host of the list counts as one of the same cluster. */
export async function isOfSystem(client: Client, known: string | undefined): Promise<boolean> {
  const { systemIdentifier } = await systemOf(client);
  return known === undefined || systemIdentifier === undefined || known === systemIdentifier;
}

/**
 * Of several primaries: that of the known cluster, then that on the highest timeline, then the first of the list. One of the same cluster
 * that is behind it, or behind what is known, is refused by name.
 */
function choosePrimary(
  name: string,
  answers: readonly Answer[],
  known: Standing,
): { readonly chosen: PrimaryAnswer | undefined; readonly refused: readonly TailraceError[] } {
  const primaries = answers.filter((answer) => answer.role === 'primary');
  const ours = primaries.filter((primary) => isSameSystem(primary, known));
  const candidates = ours.length > 0 ? ours : primaries;
  const [best] = candidates.toSorted((a, b) => (b.timeline ?? 0) - (a.timeline ?? 0));
  const chosen = best !== undefined && isBehind(best, known) ? undefined : best;
  const newest = chosen ?? known;
  const refused = primaries
    .filter((primary) => primary !== chosen && isBehind(primary, newest))
    .map((primary) => oldPrimary(name, primary, newest));
  return { chosen, refused };
}

const isSameSystem = (one: Standing, other: Standing): boolean =>
  one.systemIdentifier === undefined ||
  other.systemIdentifier === undefined ||
  one.systemIdentifier === other.systemIdentifier;

/** On an older timeline of the same cluster. */
export const isBehind = (one: Standing, other: Standing): boolean =>
  isSameSystem(one, other) && (one.timeline ?? Infinity) < (other.timeline ?? 0);

/** A code of faults and alarms. */
export const OLD_PRIMARY = 'OLD_PRIMARY';

export function oldPrimary(
  name: string,
  { target, timeline }: Standing & { readonly target: Target },
  newer: Standing & { readonly target?: Target },
): TailraceError {
  const followed =
    newer.target === undefined
      ? `what was read last came from timeline ${newer.timeline}`
      : `${formatTarget(newer.target)} on timeline ${newer.timeline} is followed`;
  return new TailraceError(
    `database "${name}": ${formatTarget(target)} is an old primary on timeline ${timeline}, and ${followed}`,
    {
      code: OLD_PRIMARY,
      kind: 'retryable',
      hint: `stop ${formatTarget(target)} before anything writes to it, and make it a standby of the new primary (pg_rewind); if it is the right one, restored from a backup, list it alone`,
    },
  );
}

const notPrimary = (name: string, target: Target): TailraceError =>
  new TailraceError(`database "${name}": ${formatTarget(target)} is a standby, not the primary`, {
    code: NOT_PRIMARY,
    kind: 'retryable',
    hint: 'list the primary in databases[].hostname, or promote this server: SELECT pg_promote(); to read from a standby, name the primary in databases[].primary',
  });

/** What a fault says of a database, where that is named already. */
export function withoutName(name: string, message: string): string {
  const prefix = `database "${name}": `;
  return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

/** Whom we asked, and what each said. */
function noPrimary(
  name: string,
  answers: readonly Answer[],
  refused: readonly TailraceError[],
): TailraceError {
  const faults = answers.flatMap((answer): TailraceError[] => {
    switch (answer.role) {
      case 'primary':
        return [];
      case 'standby':
        return [notPrimary(name, answer.target)];
      case 'fault':
        return [answer.fault];
      default:
        return answer satisfies never;
    }
  });
  const all = [...refused, ...faults];
  const [only] = all;
  if (all.length === 1 && only !== undefined) return only;
  const isAwaited = answers.some(({ role }) => role === 'standby');
  const first = all.find((fault) => fault.mend === 'retry') ?? all[0];
  const said = new Set(all.map(({ message }) => withoutName(name, message)));
  return new TailraceError(`database "${name}": ${[...said].join('; ')}`, {
    code: isAwaited ? AWAITS_PROMOTION : 'NO_PRIMARY',
    kind: first?.kind ?? 'fatal',
    hint: isAwaited
      ? 'Tailrace goes on as soon as one of them is a primary; to make a standby one: SELECT pg_promote();'
      : (first?.hint ?? 'name at least one host in databases[].hostname'),
    cause: new AggregateError(all),
  });
}
