// Is the server that answers the one whose changes the log holds? It is unless something refutes it (architecture §4). Pure.
import type { LookedAt } from '../../../core/look.ts';
import { maxLsn, minLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import { judgeHistory, type TimelineHistory, type TimelineSwitch } from '../../../core/timeline.ts';

/** What we know of the history that the log belongs to. */
export type KnownHistory = {
  /** 0: nothing was logged or flushed yet. */
  readonly timeline: number;
  /** Of the timelines before it, as the last look had them; undefined: nobody has looked. */
  readonly switches: readonly TimelineSwitch[] | undefined;
  readonly endLsn: Lsn;
  /** The highest LSN that a server was told to forget. */
  readonly flushed: Lsn;
};

export type ServerFacts = TimelineHistory & { readonly walEnd: Lsn };

export type Identity =
  | { readonly verdict: 'same' }
  /** The server was promoted behind everything that we hold: its history up to `switchLsn` is ours. */
  | { readonly verdict: 'promoted'; readonly switchLsn: Lsn }
  /** The server never had what we hold above `lsn` (undefined: unknown). */
  | { readonly verdict: 'parted'; readonly lsn: Lsn | undefined; readonly why: string };

export function judgeIdentity(known: KnownHistory, server: ServerFacts): Identity {
  if (known.timeline === 0) return { verdict: 'same' };
  const split = known.switches && firstDifference(known.switches, server, known.timeline);
  if (split !== undefined) {
    return { verdict: 'parted', lsn: split, why: 'their timelines were switched at different places' };
  }
  const judged = judgeHistory({ timeline: known.timeline, endLsn: known.endLsn }, server);
  switch (judged.verdict) {
    case 'parted':
      return { ...judged, why: 'the log goes on above the place where they part' };
    case 'promoted': {
      const { switchLsn } = server.switches.find(({ timeline }) => timeline === known.timeline)!;
      return { verdict: 'promoted', switchLsn };
    }
    case 'same':
      return server.walEnd < known.flushed
        ? {
            verdict: 'parted',
            lsn: server.walEnd,
            why: 'its WAL ends below what it was told to forget: it was restored to an earlier state',
          }
        : { verdict: 'same' };
    default:
      return judged satisfies never;
  }
}

/** Where two lists of switches first differ; undefined: ours is a prefix of the server's. */
function firstDifference(
  ours: readonly TimelineSwitch[],
  server: TimelineHistory,
  timeline: number,
): Lsn | undefined {
  // A server on a lower timeline is judged by that.
  if (server.current < timeline) return undefined;
  for (const [i, { timeline: left, switchLsn }] of ours.entries()) {
    const theirs = server.switches[i];
    if (theirs === undefined) return switchLsn;
    if (theirs.timeline !== left || theirs.switchLsn !== switchLsn)
      return minLsn(theirs.switchLsn, switchLsn);
  }
  return undefined;
}

/**
 * What the server may have in common with us at most: everything up to here that is flushed counts as had (after a promotion
 * nothing that only the timeline before has).
 */
export const commonFlushed = (identity: Identity, flushed: Lsn): Lsn =>
  identity.verdict === 'promoted' ? minLsn(flushed, identity.switchLsn) : flushed;

/** Everything up to here is ours, in the log or settled. */
export const ownEnd = (
  identity: Identity,
  { endLsn, flushed }: Pick<KnownHistory, 'endLsn' | 'flushed'>,
): Lsn => maxLsn(endLsn, commonFlushed(identity, flushed));

/**
 * May this be another server, or another state of it, than the one that the look before saw? Then what it sends again is
 * compared with the log.
 */
export const isInDoubt = (
  before: { readonly server: LookedAt; readonly fold: string } | undefined,
  now: { readonly server: LookedAt; readonly fold: string },
): boolean =>
  before === undefined ||
  before.fold !== now.fold ||
  before.server.address !== now.server.address ||
  before.server.startedAtUs !== now.server.startedAtUs ||
  before.server.timeline !== now.server.timeline;

/**
 * A server that was started anew, or stands elsewhere, may have been restored to an earlier state, and its WAL have grown past ours
 * since: nothing but transactions that come again tells. Answers up to where its history is ours for certain; undefined: it is the
 * server of the look before, or has another timeline, which says where the two part.
 */
export function certainUpTo(before: LookedAt, now: LookedAt): Lsn | undefined {
  if (before.address === now.address && before.startedAtUs === now.startedAtUs) return undefined;
  if (now.timeline > before.timeline) return undefined;
  return now.switches.at(-1)?.switchLsn ?? ZERO_LSN;
}

const HALF_XIDS = 2n ** 31n;

/**
 * The 64 bits of a transaction id that the stream gives with 32; undefined: the server has not given it out yet, so it cannot be
 * this server's. https://www.postgresql.org/docs/current/transaction-id.html
 */
export function widenXid(xid: number, next: bigint): bigint | undefined {
  const low = BigInt(xid);
  const behind = (next - low) & 0xffff_ffffn;
  // As Postgres compares: half of the ids are past, half are still to come.
  if (behind === 0n || behind > HALF_XIDS) return undefined;
  return next - behind;
}
