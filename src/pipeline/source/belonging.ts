// Proves that the server that answers is the log's, as far as that can be, and decides where the stream goes on.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { GapDeclaration } from '../../core/gaps.ts';
import type { Look } from '../../core/look.ts';
import { formatLsn, maxLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { loggedBegins } from '../../log/begins.ts';
import type { Comparing } from './joint.ts';
import { BeginComparison } from './history/begins.ts';
import { certainUpTo, commonFlushed, isInDoubt, judgeIdentity, widenXid } from './history/identity.ts';
import { historyParted, planStart, type LogEnd, type StartPlan } from './history/plan.ts';
import type { SourceLog } from './log.ts';
import type { LookKeeper } from './looks.ts';
import type { Prepared, ServerHistory } from './start.ts';

export type BelongingFacts = {
  readonly opened: SourceLog;
  readonly prepared: Prepared;
  readonly server: ServerHistory;
  readonly client: Client;
  /** At this server, now. */
  readonly look: Look;
  /** The last look at a server that was proved to be the log's. */
  readonly proved: Look | undefined;
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
};

/** Throws HISTORY_PARTED, and what `pg` throws. */
export async function judgeBelonging(facts: BelongingFacts): Promise<Belonging> {
  const { opened, prepared, server, look, proved } = facts;
  assertSameCluster(facts);
  const log = endOf(opened);
  const identity = judgeIdentity(
    {
      timeline: log.timeline,
      switches: switchesBefore(log.timeline, proved),
      endLsn: log.lastEndLsn,
      flushed: log.flushed,
    },
    server,
  );
  if (identity.verdict === 'parted') throw historyParted(log, server, identity);
  const inDoubt = !log.created && isInDoubt(proved, look);
  if (inDoubt) await assertCommitted(facts, log);
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
  const { lastCommitLsn } = opened.log.context;
  const comparing = plan.compares
    ? new BeginComparison(
        loggedBegins(opened.directory, plan.confirmed, opened.log.writtenEnd),
        lastCommitLsn,
        { mayMiss: proved === undefined ? renumbered : proved.publication !== look.publication },
      )
    : undefined;
  const isUntold = log.created || plan.gap !== undefined;
  return {
    plan,
    told: commonFlushed(identity, log.flushed),
    certain: isUntold ? certain : undefined,
    comparing,
    mayBeAnother: certain !== undefined,
  };
}

/** Of a log whose server nobody has looked at nothing is certain, unless it is new: so is everything then. */
function certainOf({ look, proved }: BelongingFacts, { created, timeline }: LogEnd): Lsn | undefined {
  if (proved === undefined) return created ? undefined : ZERO_LSN;
  // The log came to a timeline on which nobody was proved: another server may have taken the same number.
  if (!created && timeline > proved.server.timeline) return ZERO_LSN;
  return certainUpTo(proved.server, look.server);
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
export const comparingOf = (
  { comparing, mayBeAnother: isDoubtful, plan }: Belonging,
  { opened, server }: Pick<BelongingFacts, 'opened' | 'server'>,
  ports: { readonly looks: Pick<LookKeeper, 'prove' | 'forget'>; declare(gap: GapDeclaration): void },
): Comparing | undefined =>
  comparing && {
    begins: comparing,
    done: (partedAt) => {
      const { looks } = ports;
      if (partedAt === undefined) {
        const after = isDoubtful ? comparing.unprovedAfter : undefined;
        if (after !== undefined) ports.declare(unprovedGap(maxLsn(after, plan.confirmed), opened));
        return looks.prove();
      }
      looks.forget();
      throw historyParted(endOf(opened), server, {
        lsn: partedAt,
        why: 'it sent other transactions again than the log holds',
      });
    },
  };

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
  throw new TailraceError(
    `another database cluster (system identifier ${server.systemIdentifier}) answers where ${opened.systemIdentifier} was`,
    {
      code: 'HISTORY_PARTED',
      kind: 'fatal',
      mend: 'restart',
      hint: 'connect to the cluster that the log belongs to, or use another data directory for the new one',
    },
  );
}

/** The last logged transaction is one of this server, and has not failed there. */
async function assertCommitted({ opened, client, server, look }: BelongingFacts, log: LogEnd): Promise<void> {
  const { lastCommitLsn } = opened.log.context;
  if (lastCommitLsn === ZERO_LSN) return;
  const last = loggedBegins(opened.directory, lastCommitLsn, opened.log.writtenEnd).next().value;
  if (last === undefined || last.commitLsn !== lastCommitLsn) return;
  const xid = widenXid(last.xid, look.begun);
  const state = xid === undefined ? 'future' : await transactionState(client, xid);
  if (state !== 'future' && state !== 'aborted') return;
  throw historyParted(log, server, {
    lsn: undefined,
    why:
      state === 'future'
        ? 'it has not had the last transaction of the log yet'
        : 'the last transaction of the log did not commit there',
  });
}

/** https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT (pg_xact_status) */
async function transactionState(client: Client, xid: bigint): Promise<string | null> {
  const { rows } = await client.query<{ state: string | null }>('select pg_xact_status($1::xid8) as state', [
    xid.toString(),
  ]);
  return rows[0]?.state ?? null;
}
