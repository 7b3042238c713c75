// What refutes that the server that answers is the log's, whatever it would send: known before there is a slot to read from.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { Look } from '../../core/look.ts';
import { maxLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { loggedBegins } from '../../log/begins.ts';
import { standbyBehind } from '../../postgres/connection/standbys.ts';
import type { Target } from '../../postgres/connection/target.ts';
import type { Preflight } from '../../postgres/preflight/preflight.ts';
import { isInDoubt, isSameLife, judgeIdentity, widenXid, type Identity } from './history/identity.ts';
import { anotherCluster, historyParted, PARTED_HINT, type LogEnd } from './history/plan.ts';
import type { SourceLog } from './log.ts';
import type { ServerHistory } from './start.ts';

export type RefutingFacts = {
  readonly opened: SourceLog;
  readonly preflight: Pick<Preflight, 'inRecovery' | 'databaseOid'>;
  readonly server: ServerHistory;
  readonly client: Client;
  readonly target: Target;
  /** Of the database, in the configuration. */
  readonly name: string;
  /** Are standbys read from? No other server changes its timeline while it runs. */
  readonly readsStandbys: boolean;
  /** At this server, now. */
  readonly look: Look;
  /** The last look at a server that was proved to be the log's. */
  readonly proved: Look | undefined;
  /** Backfills have read what was committed before this, in the log's epoch: of that nothing need be in the log. */
  readonly readUpTo: Lsn;
};

export type Unrefuted = {
  readonly log: LogEnd;
  readonly identity: Identity;
  readonly inDoubt: boolean;
  /** Why it is not all of the log's: what it sends again would tell where they part. */
  readonly differs: string | undefined;
};

/** Throws HISTORY_PARTED, STANDBY_BEHIND, and what `pg` throws. */
export async function refute(facts: RefutingFacts): Promise<Unrefuted> {
  const { opened, server, look, proved, readUpTo } = facts;
  assertSameCluster(facts);
  const log = endOf(opened);
  assertReplayed(facts, log);
  const identity: Identity =
    facts.readsStandbys && isSameLife(proved, look)
      ? { verdict: 'same' }
      : judgeIdentity(
          {
            timeline: log.timeline,
            switches: switchesBefore(log.timeline, proved),
            // A standby on the same timeline may have it still to replay; of a log that was cut, what was behind its end comes again.
            endLsn:
              server.current === log.timeline || log.damaged
                ? log.lastEndLsn
                : maxLsn(log.lastEndLsn, readUpTo),
            flushed: log.flushed,
          },
          server,
        );
  if (identity.verdict === 'another') throw historyParted(log, server, identity.why);
  const inDoubt = !log.created && isInDoubt(proved, look);
  const uncommitted = inDoubt && identity.verdict !== 'parted' ? await lastUncommitted(facts) : undefined;
  return { log, identity, inDoubt, differs: identity.verdict === 'went back' ? identity.why : uncommitted };
}

/** Asked before a slot is made: nothing comes again from that one, so a server that would have to show where it parts is refused. Throws as `refute`. */
export async function assertUnrefuted(facts: RefutingFacts): Promise<void> {
  const { log, differs } = await refute(facts);
  if (differs !== undefined) throw historyParted(log, facts.server, differs);
}

/** A standby that was started anew, or that comes after another one, has its history still to replay: that it has less says nothing. */
function assertReplayed({ preflight, server, name, target }: RefutingFacts, log: LogEnd): void {
  if (!preflight.inRecovery || server.current !== log.timeline) return;
  const needed = maxLsn(log.lastEndLsn, log.flushed);
  if (server.walEnd < needed) throw standbyBehind(name, target, needed);
}

function assertSameCluster({ opened, preflight, server }: RefutingFacts): void {
  if (server.systemIdentifier === opened.systemIdentifier && preflight.databaseOid === opened.databaseOid) {
    return;
  }
  if (server.systemIdentifier !== opened.systemIdentifier)
    throw anotherCluster(server.systemIdentifier, opened.systemIdentifier);
  throw new TailraceError(
    `another database (OID ${preflight.databaseOid}) of the cluster answers where ${opened.databaseOid} was`,
    { code: 'HISTORY_PARTED', kind: 'fatal', hint: PARTED_HINT },
  );
}

/** What the log says of its end: at the first connection what it had when it was opened, then what was told since. */
export function endOf(opened: SourceLog): LogEnd {
  const { log, keeper, damaged, epoch, joined, streamed } = opened;
  const { recovered } = log;
  const { settled } = recovered;
  const { lastEndLsn } = log.context;
  const end = joined
    ? { created: recovered.created && !streamed, flushed: keeper.told, timeline: keeper.history.timeline }
    : { created: recovered.created, flushed: recovered.flushed, timeline: recovered.timeline };
  return { ...end, beganAt: log.birth.beganAt, settled, damaged, lastEndLsn, epoch };
}

/** The switches up to the log's timeline, as the last look at its server had them. */
const switchesBefore = (timeline: number, proved: Look | undefined) =>
  proved?.server.timeline === timeline ? proved.server.switches : undefined;

/** Why the last logged transaction is none that the server has committed; undefined: nothing says so. */
async function lastUncommitted({ opened, client, look }: RefutingFacts): Promise<string | undefined> {
  const { directory, log } = opened;
  const { lastCommitLsn } = log.context;
  if (lastCommitLsn === ZERO_LSN) return undefined;
  const { writtenEnd: limit, partings } = log;
  const last = loggedBegins(directory, { from: lastCommitLsn, limit, partings }).next().value;
  if (last === undefined || last.commitLsn !== lastCommitLsn) return undefined;
  const xid = widenXid(last.xid, look.begun);
  const state = xid === undefined ? 'future' : await transactionState(client, xid);
  if (state === 'future') return 'it has not had the last transaction of the log yet';
  return state === 'aborted' ? 'the last transaction of the log did not commit there' : undefined;
}

/** https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT (pg_xact_status) */
async function transactionState(client: Client, xid: bigint): Promise<string | null> {
  const { rows } = await client.query<{ state: string | null }>('select pg_xact_status($1::xid8) as state', [
    xid.toString(),
  ]);
  return rows[0]?.state ?? null;
}
