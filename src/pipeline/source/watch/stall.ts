// Why what Postgres may forget does not move: one cause out of many, told apart by what moves and what does not. Pure.
import type { Lsn } from '../../../core/lsn.ts';

export type Stall =
  | { readonly cause: 'socket_dead' | 'replies_lost' | 'log_writer' }
  | { readonly cause: 'sink'; readonly sinks: readonly string[] }
  | { readonly cause: 'decoder'; readonly spilledBytes: number | undefined };

/** What the server says of our walsender. */
export type WalsenderFacts = {
  /** Is its process there? */
  readonly present: boolean;
  /** For WAL, or for us to read; for a standby (17+); while it waits for nothing it decodes. */
  readonly waitsFor: 'wal' | 'standby' | undefined;
  /** `pg_stat_replication_slots.spill_bytes`; undefined: not told (13). */
  readonly spilledBytes: number | undefined;
};

export type StallFacts = {
  /** So long without any movement is a stall. */
  readonly limitMs: number;
  /** Where the server's WAL ends, and what it was told that it may forget. */
  readonly walEnd: Lsn;
  readonly flushed: Lsn;
  readonly flushedStillForMs: number;
  /** Bytes read from the socket have not moved for so long; while they do, we are catching up. */
  readonly silentForMs: number;
  /** We do not read: the log takes no more. Somebody else says why. */
  readonly reading: boolean;
  /** What the slot says that it was told is below what this connection told it, for so long. */
  readonly repliesLateForMs: number;
  /** Everything up to here is in the log. */
  readonly logged: Lsn;
  /** Bytes that wait for the disk, and for how long nothing of them has got there. */
  readonly unsyncedBytes: number;
  readonly durableStillForMs: number;
  /** The flush waits for these sinks, by the policy; none: it does not wait for any. */
  readonly holdingSinks: readonly string[];
  /** Undefined: not asked, because nothing is suspected. */
  readonly walsender: WalsenderFacts | undefined;
  /** A marker of ours has been in the WAL for so long and has not come; undefined: none is out. */
  readonly markerMissingForMs: number | undefined;
};

/** Less than this behind the WAL's end is nobody's stall: what an idle server writes by itself. */
export const STALL_BYTES = 64 * 1024;

/** Is it worth asking the server about our walsender? */
export const isSuspicious = (facts: Omit<StallFacts, 'walsender'>): boolean =>
  facts.repliesLateForMs > facts.limitMs / 2 ||
  (facts.markerMissingForMs ?? 0) > facts.limitMs / 2 ||
  (isBehind(facts) && facts.flushedStillForMs > facts.limitMs / 2);

/** Undefined: all is well, or it is not known yet that it is not. */
export function stallOf(facts: StallFacts): Stall | undefined {
  const { limitMs, walsender } = facts;
  if (walsender?.present === false) return { cause: 'socket_dead' };
  const late = (ms: number | undefined): boolean => ms !== undefined && ms > limitMs;
  // A walsender that waits takes replies at once: those that it does not have do not reach it.
  if (late(facts.repliesLateForMs) && walsender?.waitsFor !== undefined) return { cause: 'replies_lost' };
  if (facts.unsyncedBytes > 0 && late(facts.durableStillForMs)) return { cause: 'log_writer' };
  const isLost = late(facts.markerMissingForMs) || (isBehind(facts) && late(facts.flushedStillForMs));
  if (!isLost) return undefined;
  if (facts.holdingSinks.length > 0 && facts.logged > facts.flushed && late(facts.flushedStillForMs)) {
    return { cause: 'sink', sinks: facts.holdingSinks };
  }
  if (!facts.reading || !late(facts.silentForMs)) return undefined;
  if (walsender === undefined || walsender.waitsFor === 'standby') return undefined;
  // It has nothing more to send, or cannot, and we have heard nothing.
  if (walsender.waitsFor === 'wal') return { cause: 'socket_dead' };
  return { cause: 'decoder', spilledBytes: walsender.spilledBytes };
}

const isBehind = ({ walEnd, flushed }: Pick<StallFacts, 'walEnd' | 'flushed'>): boolean =>
  walEnd > flushed && walEnd - flushed > BigInt(STALL_BYTES);
