// How far Postgres may free its WAL: the acknowledgement policy as one pure decision (architecture §5).
import { maxLsn, minLsn, type Lsn } from './lsn.ts';

export type AckPolicy = 'auto' | 'delivered' | 'durable';

/** What a flush rests on now: every sink has settled it, or our disk holds it. */
export type Acknowledging = 'delivered' | 'durable';

export type FlushInput = {
  readonly policy: AckPolicy;
  /** What the decision before this one said. */
  readonly acknowledging: Acknowledging;
  /** Does the log's directory outlive the process? */
  readonly durableDirectory: boolean;
  /** Is our walsender a synchronous standby? Then the application's commits wait for the flush. */
  readonly synchronous: boolean;
  /**
   * Up to where every sink that holds the log has settled, keepalives included, and has it on the disk; undefined: there is
   * no such sink.
   */
  readonly settledLsn: Lsn | undefined;
  /** End LSN of the last whole transaction that is fsynced here. */
  readonly durableLsn: Lsn;
  /** End LSN of the last whole transaction in the log. */
  readonly loggedLsn: Lsn;
  /** Has a transaction begun whose end has not come? */
  readonly openTransaction: boolean;
  /** WAL end of the last keepalive. */
  readonly walEnd: Lsn;
  readonly previousFlush: Lsn;
  /** Up to where this connection has received everything: a server must not be told more than it has sent. */
  readonly received: Lsn;
  readonly maxRetainedBytes: number;
};

export type FlushDecision = {
  readonly flush: Lsn;
  readonly acknowledging: Acknowledging;
  /**
   * `synchronous`: commits wait for us. `retained`: Postgres keeps more than `max_retained` for us, and this
   * directory may not take over.
   */
  readonly alarm: 'synchronous' | 'retained' | undefined;
};

/** Invariants 1 and 5; the flush never moves back. */
export function nextFlush(input: FlushInput): FlushDecision {
  const settled = input.settledLsn ?? input.durableLsn;
  // What Postgres was told to forget it does not keep, also where a rewind has moved a sink back below that.
  const told = maxLsn(input.previousFlush, reached(input, settled));
  const retained = Number(maxLsn(input.walEnd, input.loggedLsn) - told);
  const tooMuch = retained > input.maxRetainedBytes;
  const acknowledging = nextAcknowledging(input, settled, tooMuch);
  const safe = acknowledging === 'durable' ? maxLsn(settled, input.durableLsn) : settled;
  // What rests on the sinks is what their ledgers say, and no keepalive beyond that: should the log be lost, it is theirs to
  // say that nothing is missing.
  const restsOnSinks = acknowledging === 'delivered' && input.settledLsn !== undefined;
  const flush = restsOnSinks ? safe : reached(input, safe);
  return {
    flush: maxLsn(input.previousFlush, minLsn(flush, input.received)),
    acknowledging,
    alarm: input.synchronous
      ? 'synchronous'
      : tooMuch && acknowledging === 'delivered' && input.policy === 'auto'
        ? 'retained'
        : undefined,
  };
}

/**
 * Invariant 5: a keepalive's WAL end counts only when nothing received is outstanding. Flushed earlier, a restart
 * would skip what lies before it. https://www.postgresql.org/docs/current/protocol-replication.html
 */
const reached = (input: FlushInput, safe: Lsn): Lsn =>
  !input.openTransaction && safe >= input.loggedLsn ? maxLsn(safe, input.walEnd) : safe;

function nextAcknowledging(input: FlushInput, settled: Lsn, tooMuch: boolean): Acknowledging {
  if (input.synchronous) return 'durable';
  switch (input.policy) {
    case 'delivered':
    case 'durable':
      return input.policy;
    case 'auto': {
      if (!input.durableDirectory) return 'delivered';
      if (tooMuch) return 'durable';
      // Back to `delivered` only once the sinks have settled all that was flushed on our disk's word.
      const caughtUp = reached(input, settled) >= input.previousFlush;
      return caughtUp ? 'delivered' : input.acknowledging;
    }
    default:
      return input.policy satisfies never;
  }
}
