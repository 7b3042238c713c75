// Joins a log with the server that a connection has found: proved to belong together, what is missing on record, and where to start.
import { randomUUID } from 'node:crypto';
import { wallTime } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Gap, GapDeclaration } from '../../core/gaps.ts';
import { shortHash } from '../../core/idempotency.ts';
import type { Look } from '../../core/look.ts';
import { formatLsn, maxLsn, minLsn, parseLsn, readLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import type { Primary } from '../../postgres/connection/hosts.ts';
import { readUpTo } from './backfill/reconciling.ts';
import { comparingOf, endPartsOf, isRenumbered, judgeBelonging } from './belonging.ts';
import type { SaltedRange } from '../../store/renumbered.ts';
import type { GapKeeper } from './gaps.ts';
import { certainUpTo } from './history/identity.ts';
import type { StartPlan } from './history/plan.ts';
import type { DifferingTransaction } from './joint.ts';
import type { FoundParting, SourceLog } from './log.ts';
import type { LookKeeper, Looking } from './looks.ts';
import type { SourceOptions } from './options.ts';
import type { Prepared, ServerHistory } from './start.ts';

/** The server could not decode what follows the log's end: the publication was missing when that was written. */
export type StoppedDecoding = {
  /** Of the gap that was declared for it. */
  gapId?: number;
};

export type JoinPorts = {
  readonly options: SourceOptions;
  readonly gaps: GapKeeper;
  readonly looks: LookKeeper;
  readonly stopped: StoppedDecoding | undefined;
  /** Do sinks follow the log since before any server was connected to? */
  readonly isFollowedAlone: boolean;
};

export type Joining = {
  readonly opened: SourceLog;
  readonly prepared: Prepared;
  readonly server: ServerHistory;
  readonly primary: Primary;
  readonly looking: Looking;
  readonly ports: JoinPorts;
};

/** The log and this server belong together, or this rejects; what is missing between the two is on record when it resolves. */
export async function join(joining: Joining): Promise<StartPlan> {
  const { opened, prepared, server, primary, looking, ports } = joining;
  const { looks, gaps } = ports;
  opened.proved = false;
  await partWhereFound(opened, ports.options);
  if (!opened.joined) looks.recall({ wasRead: wasRead(opened, ports.options) });
  const look = await looks.first(looking);
  const skipped = skippedGap(joining, look);
  const skipTo = skipped && gaps.isDecided(skipped) ? parseLsn(skipped.to ?? '') : undefined;
  const { client, target } = primary;
  const belonging = await judgeBelonging({
    opened,
    prepared,
    preflight: prepared.preflight,
    server,
    client,
    target,
    name: ports.options.settings.name,
    readsStandbys: ports.options.settings.primary !== undefined,
    look,
    proved: looks.proved,
    last: looks.last,
    skipTo,
    isFirstStart: gaps.isFirstStart,
    readUpTo: readUpTo(ports.options, opened),
  });
  const { plan, told, certain } = belonging;
  const isAnother = isRenumbered(opened) || looks.isOfAnother(look);
  await looks.keep(look, looking, {
    unread: isAnother ? endOfRead(opened, plan) : undefined,
    certain,
    again: !opened.joined && opened.log.recovered.created ? plan.confirmed : undefined,
  });
  if (plan.gap !== undefined) {
    gaps.declare({ ...plan.gap, halts: plan.gap.halts && !isNothingBefore(joining) });
  }
  if (skipped !== undefined && skipTo === undefined) throw gapWaits(ports.options.settings.name);
  if (plan.parting !== undefined) {
    const { epoch, parting: lsn } = plan;
    const { current: timeline } = server;
    await goOnAt(opened, { epoch, lsn, timeline, flushed: told, why: belonging.parts ?? '' }, ports.options);
  }
  const unread = endOfRead(opened, plan);
  if (mayBeRenumbered(joining, { look, unread })) {
    // Sinks learn of salts when they begin.
    if (ports.isFollowedAlone) throw renumbered(ports.options.settings.name);
    const to = maxLsn(server.walEnd, look.walAfter);
    saltUnread(joining, { epoch: plan.epoch, from: unread, to });
  }
  opened.epoch = plan.epoch;
  opened.skippedTo = skipTo;
  opened.damaged = false;
  const comparing = comparingOf(
    belonging,
    { opened, server },
    { looks, declare: (gap) => void gaps.declare(gap) },
  );
  const endParts = endPartsOf({ opened, server });
  const held = {
    rows: await opened.log.held(),
    differs: (transaction: DifferingTransaction) => {
      gaps.declare(gapOf(transaction, opened.log.context.lastEndLsn));
    },
  };
  opened.feed.join({ epoch: plan.epoch, history: server, comparing, held, endParts });
  await opened.keeper.begin(plan.confirmed, { epoch: plan.epoch, timeline: server.current }, told);
  // Once the epoch is remembered: at a server that is proved it is not asked for again.
  if (comparing === undefined) looks.prove();
  opened.proved = comparing === undefined;
  opened.joined = true;
  return plan;
}

/**
 * Did somebody read with this slot before? A log that is new is not the first where a ledger is there. What was written before logs
 * had lives had no looks either.
 */
const wasRead = ({ log }: SourceLog, { knownEpoch }: SourceOptions): boolean =>
  log.recovered.created ? knownEpoch >= 0 : log.birth.adoptedEpoch === undefined;

/** What was committed before it is not read any more. */
const endOfRead = ({ log }: SourceLog, { confirmed, parting }: StartPlan): Lsn => {
  const { lastEndLsn } = log.context;
  return maxLsn(parting === undefined ? lastEndLsn : minLsn(lastEndLsn, parting), confirmed);
};

/**
 * Its commit record stands behind all of its rows. The first of them may have been written before the transaction in front of it in the log
 * was committed.
 */
function gapOf({ xid, commitLsn, writtenFrom }: DifferingTransaction, lastEndLsn: Lsn): GapDeclaration {
  const at = formatLsn(commitLsn);
  return {
    cause: 'transaction_differs',
    from: formatLsn(writtenFrom === ZERO_LSN ? lastEndLsn : minLsn(writtenFrom, lastEndLsn)),
    to: at,
    reason: `transaction ${xid}, committed at ${at}, came again with other rows than before, or with none: its publication was altered while it was open, most likely. Rows of it may be missing, or delivered twice`,
    halts: true,
    skips: false,
    ends: [],
  };
}

/** What a comparison has found goes on record before any server is asked again: the next one may be another, and tell nothing. */
export async function partWhereFound(opened: SourceLog, options: SourceOptions): Promise<void> {
  const { parts, keeper } = opened;
  if (parts === undefined) return;
  const { lsn, timeline } = parts;
  const epoch = opened.epoch + 1;
  await goOnAt(opened, { ...parts, epoch, flushed: minLsn(keeper.told, lsn) }, options);
  opened.epoch = epoch;
  keeper.parted({ epoch, timeline }, lsn);
}

/**
 * The log goes on in the server's history, from where that parts from its own: on record when it resolves. What is lost of the other
 * one each sink finds out when it takes its place (pipeline/sink/lost-history.ts).
 */
async function goOnAt(
  opened: SourceLog,
  parting: FoundParting & { readonly epoch: number; readonly flushed: Lsn },
  { settings, store, logger }: SourceOptions,
): Promise<void> {
  const { epoch, lsn, flushed, why, timeline } = parting;
  const { lastEndLsn: logEnd, timeline: left } = opened.log.context;
  store.partings.add(settings.name, { epoch, lsn, logEnd, timeline, why, at: wallTime() });
  await opened.log.part({ lsn, flushed, history: { epoch, timeline } });
  opened.parts = undefined;
  const at = formatLsn(lsn);
  const lost =
    lsn < logEnd
      ? 'What the log holds from there on is lost, and not sent any more; what was delivered of it: tailrace status --orphans'
      : 'The log holds no transaction from there on; rows that backfills have read since are read again';
  logger.error(
    { database: settings.name, epoch, parting: at, logEnd: formatLsn(logEnd), left, timeline },
    `database "${settings.name}": the server's history parts from the one in the change log at ${at} (${why}): the stream goes on there. ${lost}`,
  );
}

/** At a first start nothing was delivered before a gap: nobody has to decide about it. */
const isNothingBefore = ({ opened, ports }: Pick<Joining, 'opened' | 'ports'>): boolean =>
  ports.gaps.isFirstStart && opened.log.context.lastEndLsn === ZERO_LSN;

/**
 * Was anything of what is still to be read delivered before, with its changes numbered by other options? A log that is new, or behind
 * what others know, does not remember with which ones it was read; the looks do.
 */
function mayBeRenumbered(
  { opened, ports }: Joining,
  { look, unread }: { readonly look: Look; readonly unread: Lsn },
): boolean {
  const { created, behind } = opened.log.recovered;
  return (
    isRenumbered(opened) || (!opened.joined && (created || behind) && ports.looks.hasOtherSince(look, unread))
  );
}

/**
 * What follows the log's end may have been delivered, in part or before the power went, with its changes numbered by other
 * options: no ledger may skip anything of it (it is in an epoch or a life of its own), and its keys differ from those. Which of the
 * transactions that are there by now it was, nobody can tell: one publication leaves out what another one sends. Repeats, never losses.
 */
function saltUnread({ ports }: Joining, range: Omit<SaltedRange, 'salt'>): void {
  const { store, settings } = ports.options;
  store.renumbered.add(settings.name, { ...range, salt: shortHash(formatLsn(range.from), randomUUID()) });
}

/**
 * The gap behind which the stream goes on once that is decided. Of what was written while the publication was missing nothing
 * can be decoded, up to Postgres 17: from the transaction that failed to the first look that saw the publication.
 */
function skippedGap({ opened, prepared, ports }: Joining, look: Look): Gap | undefined {
  const { gaps, stopped } = ports;
  const from = maxLsn(opened.log.context.lastEndLsn, prepared.slot.confirmedFlush);
  // One that ends above the server's WAL was declared in another history: behind it every new change would be skipped.
  const ofServer = (gap: Gap | undefined): Gap | undefined =>
    gap !== undefined && readLsn(gap.to ?? '') <= look.walAfter ? gap : undefined;
  if (stopped === undefined) return ofServer(gaps.skipped(from));
  // Looked at again while somebody has still to decide, it does not grow.
  const known = stopped.gapId === undefined ? undefined : gaps.find(stopped.gapId);
  // A server that was set back may have written others where the log ends: nothing of it comes, so nothing shows it.
  const { proved } = ports.looks;
  const mayBeAnother = proved === undefined || certainUpTo(proved.server, look.server) !== undefined;
  const since = mayBeAnother ? prepared.slot.confirmedFlush : from;
  const gap =
    known ??
    gaps.declare({
      cause: 'publication_missing',
      from: formatLsn(since),
      to: formatLsn(look.walAfter),
      reason: `the publication "${ports.options.settings.publication.name}" was missing when these changes were written: they cannot be decoded`,
      halts: !isNothingBefore({ opened, ports }),
      skips: true,
      ends: [],
    });
  stopped.gapId = gap.id;
  return ofServer(gap);
}

const renumbered = (name: string): TailraceError =>
  new TailraceError(
    `database "${name}": the options of the stream have changed while sinks delivered what the log holds without the server`,
    {
      code: 'STREAM_OPTIONS_CHANGED',
      kind: 'fatal',
      mend: 'restart',
      hint: 'start Tailrace again: nothing is lost, and what was delivered of the transaction in progress may come again',
    },
  );

const gapWaits = (name: string): TailraceError =>
  new TailraceError(
    `database "${name}": the stream cannot go on before the gap is accepted; Postgres keeps its WAL meanwhile`,
    {
      code: 'GAP_WAITS',
      kind: 'fatal',
      hint: 'the status names the gap: compare the consumers with the tables, then accept it; the stream goes on behind it',
    },
  );
