// Where a connection starts, and whether the stream goes on where the log ends: proved, or a gap. Pure.
import { formatLsn, minLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import { TailraceError } from '../../../core/errors.ts';
import type { GapDeclaration } from '../../../core/gaps.ts';
import { ownEnd, type Identity, type ServerFacts } from './identity.ts';

/** What the log remembers. */
export type LogEnd = {
  readonly created: boolean;
  /** Where it was made to begin; undefined: not known. */
  readonly beganAt: Lsn | undefined;
  readonly damaged: boolean;
  readonly lastEndLsn: Lsn;
  readonly flushed: Lsn;
  /** Of that, what every sink had settled. */
  readonly settled: Lsn;
  readonly epoch: number;
  readonly timeline: number;
};

export type StartPlan = {
  /** For START_REPLICATION: the server begins at what was confirmed where that is higher. */
  readonly startLsn: Lsn;
  /** What the slot says that it was told. Nothing higher is sent before this connection has received it. */
  readonly confirmed: Lsn;
  readonly epoch: number;
  /** Changes committed in between are lost to us (invariant 10). */
  readonly gap: GapDeclaration | undefined;
  /** What comes again is compared with the log. */
  readonly compares: boolean;
  /** The server's history has in common with the log what was committed below it, and nothing else. */
  readonly parting: Lsn | undefined;
};

export type StartFacts = {
  readonly log: LogEnd;
  readonly identity: Identity;
  readonly slot: { readonly confirmedFlush: Lsn; readonly created: boolean };
  /** May the server be another than before (`isInDoubt`)? */
  readonly inDoubt: boolean;
  /** May it have gone back to an earlier state (`certainUpTo`)? Up to where it is ours then; undefined: it has not. */
  readonly certain: Lsn | undefined;
  /** Behind a gap that the slot cannot decode, once that is decided. */
  readonly skipTo: Lsn | undefined;
  /** Did no connection go on there yet? */
  readonly isSkipNew: boolean;
  /** Has no sink of this database ever begun? */
  readonly isFirstStart: boolean;
  /** The row events of a transaction are numbered otherwise than in the log. */
  readonly renumbered: boolean;
  /** May sinks have settled what the log has not: a transaction in progress that was cut off, or what the power took? */
  readonly mayBeAhead: boolean;
};

/**
 * At the log's end, never at the remembered flush: on a server that went back to an earlier state, new changes stand between
 * the two. Where the histories part below the log's end, at the parting: the server skips in silence what was committed below the
 * start. The identity must not be `another`.
 */
export function planStart(facts: StartFacts): StartPlan {
  const { log, identity, slot, inDoubt, skipTo, renumbered } = facts;
  const confirmed = slot.confirmedFlush;
  if (log.created) {
    // It may have been made at a start that came no further, and the slot have moved since: sinks from before rely on where it began.
    const { beganAt } = log;
    const isMissed = beganAt !== undefined && confirmed > beganAt && !facts.isFirstStart;
    const gap = isMissed ? gapUpTo(beganAt, facts) : unprovedGap(facts);
    const startLsn = skipTo ?? ZERO_LSN;
    return { startLsn, confirmed, epoch: log.epoch, gap, compares: false, parting: undefined };
  }
  // What was flushed may lie above the log's end: keepalives of an idle database, or a lost tail that every sink had
  // settled. It counts in the history it belongs to, and not where durable bytes are gone.
  const flushed = log.damaged ? log.settled : log.flushed;
  const known = ownEnd(identity, { endLsn: log.lastEndLsn, flushed });
  const gap = confirmed > known ? gapUpTo(known, facts) : undefined;
  const parting = identity.verdict === 'parted' ? identity.lsn : undefined;
  const compares = (inDoubt || identity.verdict === 'went back') && skipTo === undefined;
  const skips = skipTo !== undefined && facts.isSkipNew;
  // What comes behind the log's end may be another history's than what sinks had there: no ledger may skip it.
  const mayDiffer = facts.mayBeAhead && facts.certain !== undefined;
  const isAnother = identity.verdict === 'promoted' || parting !== undefined;
  const isNew = isAnother || gap !== undefined || skips || renumbered || mayDiffer;
  return {
    startLsn: skipTo ?? (compares ? ZERO_LSN : minLsn(log.lastEndLsn, parting ?? log.lastEndLsn)),
    confirmed,
    epoch: isNew ? log.epoch + 1 : log.epoch,
    gap,
    compares,
    parting,
  };
}

function gapUpTo(known: Lsn, { log, identity, slot, certain }: StartFacts): GapDeclaration {
  const [cause, reason] = slot.created
    ? (['slot_remade', 'the replication slot was gone, or invalidated, and had to be made anew'] as const)
    : log.damaged
      ? (['log_damaged', 'the change log lost bytes that the slot no longer covers'] as const)
      : (['slot_moved', 'the replication slot was advanced or made anew by somebody else'] as const);
  // Nothing comes again of what would tell, once somebody else has moved the slot.
  const isMoved = slot.confirmedFlush > ownEnd(identity, { endLsn: log.lastEndLsn, flushed: log.flushed });
  const wentBack = isMoved && certain !== undefined && certain < known;
  return {
    cause,
    reason: wentBack
      ? `${reason}; the server was started anew before: had it been restored to an earlier state, changes from before ${formatLsn(known)} would be missing, too`
      : reason,
    from: formatLsn(wentBack ? certain : known),
    to: formatLsn(slot.confirmedFlush),
    halts: true,
    skips: false,
    ends: [],
  };
}

/**
 * A log that is made anew has nothing to compare. What the slot gives no more is missing to those who had not come to there, and they
 * find that out; a server that went back, and whose slot somebody moved, has changes before that nobody had. There is no sign of
 * either, so it is on record, and no delivery waits for it.
 */
function unprovedGap({ slot, certain }: StartFacts): GapDeclaration | undefined {
  if (certain === undefined || slot.confirmedFlush <= certain) return undefined;
  return {
    cause: 'slot_moved',
    reason:
      'the change log and the server were started anew: had the server been restored to an earlier state, and its slot been moved by hand, changes would be missing, and nothing else would show it',
    from: formatLsn(certain),
    to: formatLsn(slot.confirmedFlush),
    halts: false,
    skips: false,
    ends: [],
  };
}

/** Where it is not known up to where the two are one. */
export const PARTED_HINT =
  'connect to the server that the log belongs to; if this one is to take its place, stop Tailrace, run "tailrace databases adopt" with the name of the database, and compare the consumers with the tables';

export function historyParted(
  log: Pick<LogEnd, 'lastEndLsn' | 'timeline'>,
  server: Pick<ServerFacts, 'current' | 'walEnd'>,
  why: string,
  lsn?: Lsn,
): TailraceError {
  const held = `the log ends at ${formatLsn(log.lastEndLsn)} on timeline ${log.timeline}`;
  const there = `the server is on timeline ${server.current} and its WAL ends at ${formatLsn(server.walEnd)}`;
  const parted = lsn === undefined ? '' : `; they part at ${formatLsn(lsn)}`;
  return new TailraceError(
    `the server's history is not the one in the change log (${why}): ${held}, ${there}${parted}`,
    {
      code: 'HISTORY_PARTED',
      kind: 'fatal',
      hint: PARTED_HINT,
    },
  );
}

export const anotherCluster = (theirs: string, ours: string): TailraceError =>
  new TailraceError(`another database cluster (system identifier ${theirs}) answers where ${ours} was`, {
    code: 'HISTORY_PARTED',
    kind: 'fatal',
    hint: PARTED_HINT,
  });
