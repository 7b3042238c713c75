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
  /** The server never had what we hold above `lsn`: its timelines say so. */
  | { readonly verdict: 'parted'; readonly lsn: Lsn; readonly why: string }
  /** It went back to an earlier state: what it sends again tells where the two part. */
  | { readonly verdict: 'went back'; readonly why: string }
  /** Nothing tells where they part, if they were ever one. */
  | { readonly verdict: 'another'; readonly why: string };

export function judgeIdentity(known: KnownHistory, server: ServerFacts): Identity {
  if (known.timeline === 0) return { verdict: 'same' };
  if (server.current < known.timeline) {
    return { verdict: 'another', why: 'its timeline is an older one: it was left at a failover' };
  }
  const split = known.switches && firstDifference({ ...known, switches: known.switches }, server);
  if (split !== undefined) {
    const why = 'their timelines were switched at different places';
    return split === ZERO_LSN ? { verdict: 'another', why } : { verdict: 'parted', lsn: split, why };
  }
  const judged = judgeHistory({ timeline: known.timeline, endLsn: known.endLsn }, server);
  switch (judged.verdict) {
    case 'parted':
      if (server.current === known.timeline) {
        return { verdict: 'went back', why: 'its WAL ends below the end of the log' };
      }
      return judged.lsn === undefined
        ? { verdict: 'another', why: 'its timelines are not those of the log' }
        : { verdict: 'parted', lsn: judged.lsn, why: 'the log goes on above the place where they part' };
    case 'promoted': {
      const { switchLsn } = server.switches.find(({ timeline }) => timeline === known.timeline)!;
      return { verdict: 'promoted', switchLsn };
    }
    case 'same':
      return server.walEnd < known.flushed
        ? {
            verdict: 'went back',
            why: 'its WAL ends below what it was told to forget: it was restored to an earlier state',
          }
        : { verdict: 'same' };
    default:
      return judged satisfies never;
  }
}

/**
 * Up to where two histories are one, by the timelines that they came through; zero: not even the first is the same; undefined:
 * the server's goes on from ours.
 */
function firstDifference(
  ours: { readonly timeline: number; readonly switches: readonly TimelineSwitch[] },
  server: TimelineHistory,
): Lsn | undefined {
  let common = ZERO_LSN;
  for (const [i, { timeline, switchLsn }] of ours.switches.entries()) {
    const theirs = server.switches[i];
    // They came on different timelines from the last switch that both had.
    if ((theirs?.timeline ?? server.current) !== timeline) return common;
    if (theirs?.switchLsn !== switchLsn) return minLsn(theirs?.switchLsn ?? switchLsn, switchLsn);
    common = switchLsn;
  }
  const next = server.switches[ours.switches.length]?.timeline ?? server.current;
  return next === ours.timeline ? undefined : common;
}

/**
 * What the server may have in common with us at most: everything up to here that is flushed counts as had (after a promotion
 * nothing that only the timeline before has).
 */
export function commonFlushed(identity: Identity, flushed: Lsn): Lsn {
  switch (identity.verdict) {
    case 'promoted':
      return minLsn(flushed, identity.switchLsn);
    case 'parted':
      return minLsn(flushed, identity.lsn);
    case 'same':
    case 'went back':
    case 'another':
      return flushed;
    default:
      return identity satisfies never;
  }
}

/** Everything up to here is ours, in the log or settled. */
export const ownEnd = (
  identity: Identity,
  { endLsn, flushed }: Pick<KnownHistory, 'endLsn' | 'flushed'>,
): Lsn => {
  const end = identity.verdict === 'parted' ? minLsn(endLsn, identity.lsn) : endLsn;
  return maxLsn(end, commonFlushed(identity, flushed));
};

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

/**
 * Has the process of the server gone on to another timeline since the look before? Only a standby can: it was promoted, or follows a
 * primary that was. What one process sends is one history, whatever it had sent by the time that we noticed.
 */
export const isSameLife = (
  before: { readonly server: LookedAt } | undefined,
  now: { readonly server: LookedAt },
): boolean =>
  before !== undefined &&
  before.server.systemIdentifier === now.server.systemIdentifier &&
  before.server.address === now.server.address &&
  before.server.startedAtUs === now.server.startedAtUs &&
  before.server.timeline < now.server.timeline;

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
