// Whether what is known of a sink's place holds in the log that is there, and what is missing where it does not. Pure.
import type { FollowedLog } from '../../core/log-life.ts';
import { ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { comparePositions, ORIGIN, type Position } from '../../core/position.ts';
import { judgeHistory } from '../../core/timeline.ts';
import type { Cursor } from '../../store/ledger.ts';
import { settledLsn, type KnownPlace } from '../../store/places.ts';

/** The log as it is when a sink takes its place. */
export type PresentLog = FollowedLog & {
  /** Of its end. */
  readonly epoch: number;
  /** Everything after it is retained. */
  readonly first: Position;
};

/** What is remembered of a sink. */
export type KnownSink = {
  /** Undefined: it has no ledger. */
  readonly ledger: KnownPlace | undefined;
  /** Undefined: it has never begun, or its place was given up by order. */
  readonly record: { readonly place: KnownPlace | undefined } | undefined;
};

/**
 * Changes committed between the two, in the server's present history, may be missing. `elsewhere`: the sink had settled up to
 * there in another history, whose later changes may be missing too.
 */
export type Missing = { readonly from: Lsn; readonly to: Lsn; readonly elsewhere?: Lsn };

export type Beginning =
  /** It is new: its settings say where. */
  | { readonly at: 'settings' }
  /** Where it was. */
  | { readonly at: 'cursor'; readonly cursor: Cursor }
  /** At the first change that the log has: nothing that is known of the sink may be used to skip any. */
  | {
      readonly at: 'first';
      readonly why: 'let go' | 'another log' | 'no ledger';
      /** Undefined: nothing is missing; what was delivered since the log's first change comes again. */
      readonly missing: Missing | undefined;
    };

/**
 * Invariants 2 and 10. A place of another life of the log is never used to skip: not what the log holds, nor what is to
 * come. What lies between it and the log's first change is missing, where it cannot be proved that nothing does.
 */
export function beginningOf({ ledger, record }: KnownSink, log: PresentLog): Beginning {
  if (ledger !== undefined) {
    if (!isOf(ledger, log)) {
      return { at: 'first', why: 'another log', missing: missingBefore(ledger, log) };
    }
    if (isRetained(ledger.cursor, log)) return { at: 'cursor', cursor: ledger.cursor };
    return { at: 'first', why: 'let go', missing: missingBefore(ledger, log) };
  }
  if (record === undefined) return { at: 'settings' };
  const missing =
    record.place === undefined ? { from: ZERO_LSN, to: firstLsn(log) } : missingBefore(record.place, log);
  return { at: 'first', why: 'no ledger', missing };
}

/**
 * What lies between a place that was given up at `left` and where the sink begins now; undefined: nothing. `place`: what is
 * known of it; undefined: before logs had lives.
 */
export function missingSince(
  place: KnownPlace | undefined,
  { left, start }: { readonly left: Lsn; readonly start: Lsn },
  log: PresentLog,
): Missing | undefined {
  const isComparable = place === undefined || isOf(place, log) || isOfHistory(place, log);
  if (!isComparable) return { from: ZERO_LSN, to: start, elsewhere: left };
  return start <= left ? undefined : { from: left, to: start };
}

/** Is this a place of this life of the log, in an epoch that it has come to? */
function isOf({ cursor, log: of }: KnownPlace, log: PresentLog): boolean {
  const { epoch } = cursor.position;
  // Before logs had lives, places named none.
  if (of === undefined) return log.adoptedEpoch !== undefined && epoch <= log.adoptedEpoch;
  return of.life === log.life && epoch <= log.epoch;
}

/** Everything from a cursor on is retained. */
const isRetained = ({ position }: Cursor, { first }: PresentLog): boolean =>
  comparePositions({ ...position, index: position.index - 1 }, first) >= 0;

function missingBefore(place: KnownPlace, log: PresentLog): Missing | undefined {
  const from = settledLsn(place.cursor);
  const to = firstLsn(log);
  if (isOf(place, log)) return isRetained(place.cursor, log) ? undefined : { from, to };
  if (!isOfHistory(place, log)) return { from: ZERO_LSN, to, elsewhere: from };
  return reachesBackTo(from, log) ? undefined : { from, to };
}

/** Does the log hold everything committed at or above this LSN, of the server's present history? */
function reachesBackTo(settled: Lsn, { first, beganAt }: PresentLog): boolean {
  const isWhole = comparePositions(first, ORIGIN) === 0;
  return isWhole ? beganAt !== undefined && settled >= beganAt : settled > first.commitLsn;
}

/** Where the log's content begins. */
const firstLsn = ({ first, beganAt }: PresentLog): Lsn =>
  comparePositions(first, ORIGIN) === 0 ? (beganAt ?? ZERO_LSN) : first.commitLsn;

/** Do the place's LSN and those of the log count the same history? */
function isOfHistory(place: KnownPlace, log: PresentLog): boolean {
  const { history } = log;
  const { log: of } = place;
  if (of?.systemIdentifier !== log.systemIdentifier || of.databaseOid !== log.databaseOid) return false;
  const endLsn = settledLsn(place.cursor);
  const { timeline } = place.cursor;
  if (timeline !== undefined) return judgeHistory({ timeline, endLsn }, history).verdict !== 'parted';
  // On whichever timeline it was: all agree up to the first switch.
  const firstSwitch = history.switches[0]?.switchLsn;
  return endLsn <= history.walEnd && (firstSwitch === undefined || endLsn <= firstSwitch);
}
