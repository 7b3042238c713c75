// How far one sink has settled: published, so that Postgres may forget it, when the disk has it.
import type { Lsn } from '../../core/lsn.ts';
import { presentCursor, type Partings } from '../../core/partings.ts';
import { shortageOf } from '../../core/shortages.ts';
import type { LogSignals } from '../../log/signals.ts';
import type { Cursor, Ledger } from '../../store/ledger.ts';
import type { Unsettled } from '../delivery/unsettled.ts';
import type { LogWalker } from '../intake/log-walker.ts';
import type { Restored } from './restored.ts';

/** A ledger is synced, and the flush may move, at most this often (architecture §5). */
const SYNC_INTERVAL_MS = 1000;
/** Where the sink stands is noted in the store, should its ledger be lost, at most this often. */
const NOTE_INTERVAL_MS = 60_000;

/** Everything below this is settled: a log offset, and the cursor there. */
export type Settled = { readonly cursor: Cursor; readonly offset: number };

export type SettlementPorts = {
  readonly ledger: Pick<Ledger, 'advance' | 'sync' | 'isUnsynced' | 'wantsCompaction' | 'compact'>;
  readonly signals: LogSignals;
  /** The sink's place in `signals`. */
  readonly slot: number;
  readonly unsettled: Pick<Unsettled, 'oldest' | 'all'>;
  /** Its head is where the reading stands. */
  readonly walker: Pick<LogWalker, 'head' | 'isInHand'>;
  readonly restored: Pick<Restored, 'isOver'>;
  /** Where the ledger stood when the sink took its place, and where the histories had parted by then. */
  readonly start: Reached;
  readonly partings?: Partings;
  /** Makes durable whatever must be on record before the cursor moves there. */
  readonly beforeMove: (to: Settled) => void;
  /** The disk has it that the sink stands here: worth a note elsewhere. */
  readonly note: (cursor: Cursor) => void;
  readonly fail: (error: unknown) => void;
  /** Never set back. */
  readonly nowMs: () => number;
};

/** Up to where everything is settled. */
type Reached = Pick<Cursor, 'endLsn' | 'timeline'>;

/** A later timeline counts from lower LSNs than the one before it may have come to. */
function furthest(a: Reached, b: Reached): Reached {
  const isLater =
    a.timeline === undefined || b.timeline === undefined || a.timeline === b.timeline
      ? b.endLsn > a.endLsn
      : b.timeline > a.timeline;
  const { endLsn, timeline } = isLater ? b : a;
  return { endLsn, timeline };
}

export class Settlement {
  readonly #ports: SettlementPorts;
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;
  #lastSyncMs = -Infinity;
  #lastNoteMs: number;
  #published: { readonly offset: number; readonly lsn: Lsn } | undefined;
  /** Where the ledger stands, and the store does not know yet. */
  #unnoted: Cursor | undefined;
  /** By keepalives, or when the sink took its place: that stays so while later changes wait (invariant 2). */
  #reached: Reached;
  #stopped = false;

  constructor(ports: SettlementPorts) {
    this.#ports = ports;
    this.#reached = ports.start;
    this.#lastNoteMs = ports.nowMs();
  }

  get current(): Settled {
    const { cursor: inLog, offset } = this.#ofTheLog();
    // What was settled of a lost history says nothing of the present one, whose LSNs are other changes'.
    const cursor = presentCursor(this.#ports.partings ?? [], inLog);
    const { offset: quietOffset, lsn: endLsn, timeline } = this.#ports.signals.quiet();
    // Invariant 5: an idle database goes on by keepalives. The ledger says so before Postgres is told.
    if (offset >= quietOffset) this.#reached = furthest(this.#reached, { endLsn, timeline });
    return { cursor: { ...cursor, ...furthest(cursor, this.#reached) }, offset };
  }

  /** By the changes in the log alone. */
  #ofTheLog(): Settled {
    const { unsettled, walker } = this.#ports;
    const { oldest } = unsettled;
    if (oldest !== undefined) {
      const { position, transaction, offset } = oldest;
      // What begins a transaction lies before the markers that the first of its changes is under.
      const needed = Math.min(offset, transaction.markedFrom ?? offset);
      const { previousEndLsn: endLsn, timeline } = transaction;
      return { cursor: { position, endLsn, timeline }, offset: needed };
    }
    const { position, endLsn, timeline, offset } = walker.head;
    return { cursor: { position, endLsn, timeline }, offset };
  }

  /** Tells how far everything is settled: what a backfill may go by, and Postgres not. */
  answered(): void {
    const { signals, slot, unsettled, walker } = this.#ports;
    signals.publishAnswered(slot, unsettled.oldest?.offset ?? walker.head.offset);
  }

  /** Syncs now, or when the interval allows it. */
  soon(): void {
    if (this.#timer !== undefined || this.#syncing !== undefined || this.#stopped) return;
    const { nowMs } = this.#ports;
    const wait = Math.max(0, this.#lastSyncMs + SYNC_INTERVAL_MS - nowMs());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#lastSyncMs = nowMs();
      this.#syncing = this.#sync().then(
        () => (this.#syncing = undefined),
        (error: unknown) => this.#ports.fail(error),
      ) as Promise<void>;
    }, wait);
  }

  /** Syncs from now on also where nothing settles: what the log says of an idle database moves, too. */
  watch(): void {
    this.#watch = setInterval(() => this.soon(), SYNC_INTERVAL_MS);
  }

  /** From now on nothing is synced but by `finish`. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#watch);
  }

  /** Nothing settles any more: waits for the last sync, or syncs for the last time. */
  async finish(how: { readonly sync: boolean }): Promise<void> {
    clearTimeout(this.#timer);
    await this.#syncing;
    const isDue = how.sync || this.#published !== undefined || this.#ports.ledger.isUnsynced;
    if (isDue) await this.#sync();
    this.#note();
  }

  /**
   * Whatever the cursor does: one message may hold it back for weeks while everything else settles, and that is to be on the
   * disk, and in a file that does not grow.
   */
  async #sync(): Promise<void> {
    const { ledger, restored, walker } = this.#ports;
    const { offset } = this.current;
    const moved = await this.#move();
    if (!moved && ledger.isUnsynced) await ledger.sync();
    // While a block is in hand, more may have settled than the head says.
    if (restored.isOver && !walker.isInHand && ledger.wantsCompaction()) this.#compact();
    if (this.#ports.nowMs() - this.#lastNoteMs >= NOTE_INTERVAL_MS) this.#note();
    if (this.current.offset !== offset || ledger.isUnsynced) setImmediate(() => this.soon());
  }

  /** Invariant 1: a settled position is published (and may be flushed) only after the disk has it. Answers whether there was one. */
  async #move(): Promise<boolean> {
    const { ledger, signals, slot, beforeMove } = this.#ports;
    const settled = this.current;
    const { cursor, offset } = settled;
    if (this.#published?.offset === offset && this.#published.lsn === cursor.endLsn) return false;
    beforeMove(settled);
    ledger.advance(cursor);
    await ledger.sync();
    this.#published = { offset, lsn: cursor.endLsn };
    this.#unnoted = cursor;
    signals.publishSettled(slot, { ...this.#published, partings: this.#ports.partings ?? [] });
    return true;
  }

  #compact(): void {
    const { ledger, unsettled, walker } = this.#ports;
    const { cursor } = this.current;
    try {
      ledger.compact({ cursor, head: walker.head.position, unsettled: unsettled.all() });
    } catch (error) {
      // The file is as good as before, only longer than need be: it is made anew when there is a descriptor, or room, again.
      const kind = shortageOf(error)?.kind;
      if (kind === undefined || kind === 'device') throw error;
    }
  }

  #note(): void {
    if (this.#unnoted === undefined) return;
    this.#lastNoteMs = this.#ports.nowMs();
    this.#ports.note(this.#unnoted);
    this.#unnoted = undefined;
  }
}
