// Proves that the server that answers is the log's, as far as that can be, and decides where the stream goes on.
import { TailraceError } from '../../core/errors.ts';
import type { GapDeclaration } from '../../core/gaps.ts';
import type { Look } from '../../core/look.ts';
import { formatLsn, maxLsn, minLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { inPresent, partedEnd, withParting, type Partings } from '../../core/partings.ts';
import { loggedBegins } from '../../log/begins.ts';
import { listSegments, readSegmentContext } from '../../log/segments.ts';
import type { Comparing } from './joint.ts';
import { BeginComparison } from './history/begins.ts';
import { certainUpTo, commonFlushed } from './history/identity.ts';
import { historyParted, planStart, type LogEnd, type StartPlan } from './history/plan.ts';
import type { FoundParting, SourceLog } from './log.ts';
import type { LookKeeper } from './looks.ts';
import { endOf, refute, type RefutingFacts } from './refuting.ts';
import type { Prepared } from './start.ts';

export type BelongingFacts = RefutingFacts & {
  readonly prepared: Pick<Prepared, 'slot' | 'slotCreated'>;
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

/** Throws HISTORY_PARTED, STANDBY_BEHIND, and what `pg` throws. */
export async function judgeBelonging(facts: BelongingFacts): Promise<Belonging> {
  const { opened, prepared, server, look, proved } = facts;
  const { log, identity, inDoubt, differs } = await refute(facts);
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
 * written, whenever they are decoded; one case is known in which it is not (test/postgres/replication/numbering.pg.test.ts).
 */
export const isRenumbered = ({ joined, log }: Pick<SourceLog, 'joined' | 'log'>): boolean =>
  !joined && log.recovered.streamOptionsChanged;

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
