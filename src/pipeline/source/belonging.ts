// Proves that the server that answers is the log's, as far as that can be, and decides where the stream goes on.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { GapDeclaration } from '../../core/gaps.ts';
import type { Look } from '../../core/look.ts';
import { formatLsn, maxLsn, minLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { inPresent, partedEnd, withParting, type Partings } from '../../core/partings.ts';
import { standbyBehind } from '../../postgres/connection/standbys.ts';
import type { Target } from '../../postgres/connection/target.ts';
import { loggedBegins } from '../../log/begins.ts';
import { listSegments, readSegmentContext } from '../../log/segments.ts';
import type { Comparing } from './joint.ts';
import { BeginComparison } from './history/begins.ts';
import {
  certainUpTo,
  commonFlushed,
  isInDoubt,
  isSameLife,
  judgeIdentity,
  widenXid,
  type Identity,
} from './history/identity.ts';
import {
  anotherCluster,
  historyParted,
  PARTED_HINT,
  planStart,
  type LogEnd,
  type StartPlan,
} from './history/plan.ts';
import type { FoundParting, SourceLog } from './log.ts';
import type { LookKeeper } from './looks.ts';
import type { Prepared, ServerHistory } from './start.ts';

export type BelongingFacts = {
  readonly opened: SourceLog;
  readonly prepared: Prepared;
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
  /** The last look of all: at that server, or at one that nothing was proved of. */
  readonly last: Look | undefined;
  /** Behind a gap that the slot cannot decode, once that is decided. */
  readonly skipTo: Lsn | undefined;
  /** Has no sink of this database ever begun? */
  readonly isFirstStart: boolean;
};

export type Belonging = {
  readonly plan: StartPlan;
  /** The highest that servers of this history were told. */
  readonly told: Lsn;
  /** Nothing that comes again tells whether the server went back to an earlier state: up to here its history is ours. */
  readonly certain: Lsn | undefined;
  /** Undefined: nothing is left to be proved. */
  readonly comparing: BeginComparison | undefined;
  /** May the server be another than the log's, or have been set back? */
  readonly mayBeAnother: boolean;
  /** Why it is not all of the log's, where what comes again has to tell where they part. */
  readonly differs: string | undefined;
  /** Why it parts from the log, where it is known where. */
  readonly parts: string | undefined;
};

/** Throws HISTORY_PARTED, and what `pg` throws. */
export async function judgeBelonging(facts: BelongingFacts): Promise<Belonging> {
  const { opened, prepared, server, look, proved } = facts;
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
            endLsn: log.lastEndLsn,
            flushed: log.flushed,
          },
          server,
        );
  if (identity.verdict === 'another') throw historyParted(log, server, identity.why);
  const inDoubt = !log.created && isInDoubt(proved, look);
  const uncommitted = inDoubt && identity.verdict !== 'parted' ? await lastUncommitted(facts) : undefined;
  const renumbered = isRenumbered(opened);
  const certain = certainOf(facts, log);
  const plan = planStart({
    log,
    identity,
    slot: { confirmedFlush: prepared.slot.confirmedFlush, created: prepared.slotCreated },
    inDoubt,
    certain,
    skipTo: facts.skipTo,
    isFirstStart: facts.isFirstStart,
    isSkipNew: facts.skipTo !== opened.skippedTo,
    renumbered,
    // Later ones begin with all that the sinks were shown.
    mayBeAhead: !opened.joined,
  });
  const isUntold = log.created || plan.gap !== undefined;
  const comparing = plan.compares
    ? comparisonOf(opened, plan, {
        mayMiss: proved === undefined ? renumbered : proved.publication !== look.publication,
      })
    : undefined;
  // Nothing is compared behind a gap, and of a log that is new; nothing comes again from a slot that was made this moment.
  const differs = identity.verdict === 'went back' ? identity.why : uncommitted;
  const isSilent = comparing === undefined || prepared.slotCreated;
  if (differs !== undefined && isSilent) throw historyParted(log, server, differs);
  return {
    differs,
    parts: identity.verdict === 'parted' ? identity.why : undefined,
    plan,
    told: commonFlushed(identity, log.flushed),
    certain: isUntold ? certain : undefined,
    comparing,
    mayBeAnother: certain !== undefined,
  };
}

/** A standby that was started anew, or that comes after another one, has its history still to replay: that it has less says nothing. */
function assertReplayed({ prepared, server, name, target }: BelongingFacts, log: LogEnd): void {
  if (!prepared.preflight.inRecovery || server.current !== log.timeline) return;
  const needed = maxLsn(log.lastEndLsn, log.flushed);
  if (server.walEnd < needed) throw standbyBehind(name, target, needed);
}

/** Of what the log holds of the server's history, as far as that is known by now. */
function comparisonOf(
  { directory, log }: SourceLog,
  { confirmed, epoch, parting }: StartPlan,
  how: { readonly mayMiss: boolean },
): BeginComparison {
  const partings = parting === undefined ? log.partings : withParting(log.partings, { epoch, lsn: parting });
  const { lastCommitLsn } =
    parting === undefined ? log.context : partedEnd(log.context, { epoch, lsn: parting });
  return new BeginComparison(
    loggedBegins(directory, { from: confirmed, limit: log.writtenEnd, partings }),
    lastCommitLsn,
    { ...how, wholeAfter: wholeAfter(directory, { beganAt: log.birth.beganAt, partings }) },
  );
}

/** All that was committed above it is in the log, as far as it is of the present history; undefined: not known. */
function wholeAfter(
  directory: string,
  { beganAt, partings }: { readonly beganAt: Lsn | undefined; readonly partings: Partings },
): Lsn | undefined {
  const first = listSegments(directory)[0];
  const context = first && readSegmentContext(first);
  if (context === undefined || beganAt === undefined) return undefined;
  const before = context.inTransaction ? context.commitLsn : context.lastCommitLsn;
  return maxLsn(beganAt, inPresent(partings, context.epoch, before));
}

/** Of a log whose server nobody has looked at nothing is certain, unless it is new: so is everything then. */
function certainOf({ look, proved, last }: BelongingFacts, { created, timeline }: LogEnd): Lsn | undefined {
  // Of a server that was adopted the looks at the one before say nothing.
  const isAdopted = created && proved?.server.systemIdentifier !== look.server.systemIdentifier;
  if (proved === undefined || isAdopted) return created ? undefined : ZERO_LSN;
  // The log came to a timeline on which nobody was proved: another server may have taken the same number.
  if (!created && timeline > proved.server.timeline) return ZERO_LSN;
  const certain = certainUpTo(proved.server, look.server);
  // The server in between may have gone back, and this one have come from it: then its timelines say nothing of that.
  const between = last && certainUpTo(proved.server, last.server);
  return certain === undefined || between === undefined ? (certain ?? between) : minLsn(certain, between);
}

/**
 * Do the options number the row events of a transaction otherwise than when the log was written? Known at its first connection: which
 * publication is followed changes with the process only, and what it says of partition roots is read as it was when the changes were
 * written, whenever they are decoded (test/postgres/replication/numbering.pg.test.ts).
 */
export const isRenumbered = ({ joined, log }: Pick<SourceLog, 'joined' | 'log'>): boolean =>
  !joined && log.recovered.streamOptionsChanged;

/** What the log says of its end: at the first connection what it had when it was opened, then what was told since. */
function endOf(opened: SourceLog): LogEnd {
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

/** What to do with the outcome of the comparison. */
export function comparingOf(
  { comparing, mayBeAnother: isDoubtful, differs, plan }: Belonging,
  { opened, server }: Pick<BelongingFacts, 'opened' | 'server'>,
  ports: { readonly looks: Pick<LookKeeper, 'prove' | 'forget'>; declare(gap: GapDeclaration): void },
): Comparing | undefined {
  if (comparing === undefined) return undefined;
  const { looks } = ports;
  return {
    begins: comparing,
    until: minLsn(opened.log.context.lastEndLsn, server.walEnd),
    done: (parted) => {
      if (parted === undefined && differs === undefined) {
        const after = isDoubtful ? comparing.unprovedAfter : undefined;
        if (after !== undefined) ports.declare(unprovedGap(maxLsn(after, plan.confirmed), opened));
        opened.proved = true;
        return looks.prove();
      }
      looks.forget();
      const why = differs ?? 'it sent other transactions again than the log holds';
      // It has all of the log, and then less than it was told to forget.
      const lsn = parted === undefined && comparing.hasAll ? opened.log.context.lastEndLsn : parted?.lsn;
      if (lsn === undefined) throw historyParted(endOf(opened), server, why, parted?.at);
      throw goesOnAt(opened, { lsn, why, timeline: server.current });
    },
  };
}

/** What the log holds unfinished at its end the server does not have. */
export const endPartsOf =
  ({ opened, server }: Pick<BelongingFacts, 'opened' | 'server'>) =>
  (held: Lsn, got: Lsn): TailraceError =>
    goesOnAt(opened, {
      lsn: opened.log.context.lastEndLsn,
      why: `it went on with the transaction committed at ${formatLsn(got)} where the log holds the beginning of ${formatLsn(held)}`,
      timeline: server.current,
    });

/** It goes on record as this connection ends, and the next one begins there: this one has skipped what came. */
function goesOnAt(opened: SourceLog, parts: FoundParting): TailraceError {
  opened.parts = parts;
  return new TailraceError(
    `the server's history parts from the one in the change log at ${formatLsn(parts.lsn)} (${parts.why})`,
    {
      code: 'HISTORY_PARTS',
      kind: 'retryable',
      mend: 'retry',
      hint: 'Tailrace connects again by itself, and goes on there in a new epoch',
    },
  );
}

/** Changes of a history that parted from the log's stand where the log ends, and are taken for what it holds. */
const unprovedGap = (from: Lsn, { log }: SourceLog): GapDeclaration => ({
  cause: 'publication_changed',
  from: formatLsn(from),
  to: formatLsn(log.context.lastEndLsn),
  reason:
    'another publication is read than before, and what it sends again does not show whether this server was set back meanwhile',
  halts: true,
  skips: false,
  ends: [],
});

function assertSameCluster({ opened, prepared, server }: BelongingFacts): void {
  if (
    server.systemIdentifier === opened.systemIdentifier &&
    prepared.preflight.databaseOid === opened.databaseOid
  ) {
    return;
  }
  if (server.systemIdentifier !== opened.systemIdentifier)
    throw anotherCluster(server.systemIdentifier, opened.systemIdentifier);
  throw new TailraceError(
    `another database (OID ${prepared.preflight.databaseOid}) of the cluster answers where ${opened.databaseOid} was`,
    { code: 'HISTORY_PARTED', kind: 'fatal', hint: PARTED_HINT },
  );
}

/** Why the last logged transaction is none that the server has committed; undefined: nothing says so. */
async function lastUncommitted({ opened, client, look }: BelongingFacts): Promise<string | undefined> {
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
