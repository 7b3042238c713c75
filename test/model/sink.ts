// A sink of the model: the real place, ledger, walker and settlement, in front of an endpoint that only remembers.
import { idempotencyKey } from '../../src/core/idempotency.ts';
import type { Lsn } from '../../src/core/lsn.ts';
import type { LogBlock } from '../../src/log/block.ts';
import type { Pending, PendingTransaction } from '../../src/pipeline/delivery/pending.ts';
import type { Unsettled } from '../../src/pipeline/delivery/unsettled.ts';
import { LogWalker, type LoggedRow } from '../../src/pipeline/intake/log-walker.ts';
import { notePlace, openPlace, type PlaceOptions, type SinkPlace } from '../../src/pipeline/sink/place.ts';
import { RepeatedLines } from '../../src/telemetry/repeated-lines.ts';
import { Restored } from '../../src/pipeline/sink/restored.ts';
import { isLost, lastParted } from '../../src/core/partings.ts';
import { Settlement } from '../../src/pipeline/sink/settlement.ts';
import { RowReader, type NamedRow } from './logged-rows.ts';
import { isDiskFull } from './store.ts';

/** A row that was let in and is not settled: what the settlement asks of it, and what the accounting does. */
type Waiting = NamedRow & {
  readonly position: Pending['position'];
  readonly transaction: PendingTransaction;
  readonly index: number;
  readonly offset: number;
  state: 'waiting' | 'in flight';
};

export type SinkWatcher = {
  wants(table: string): boolean;
  /** A row of this key; a queue knows it again by its idempotency key. */
  delivered(id: number, key: string, idempotencyKey: string): void;
  /** The ledger has them, but for a power cut. */
  written(ids: readonly number[]): void;
  /** All that was written is on the disk, and this is published. */
  synced(published: Lsn): void;
};

export class ModelSink {
  readonly #options: PlaceOptions;
  readonly #watcher: SinkWatcher;
  readonly #place: SinkPlace;
  readonly #walker: LogWalker;
  readonly #restored: Restored;
  readonly #settlement: Settlement;
  readonly #blocks: AsyncIterator<LogBlock>;
  readonly #stopping = new AbortController();
  #waiting: Waiting[] = [];
  #seenEnd: number;
  /** Answered, and in no file yet. */
  #unwritten: number[] = [];
  /** Set when the process stops: the last place goes on record. */
  #notes = false;

  private constructor(options: PlaceOptions, watcher: SinkWatcher, place: SinkPlace) {
    this.#options = options;
    this.#watcher = watcher;
    this.#place = place;
    const { start, offset, ledger, reader } = place;
    this.#restored = new Restored(ledger);
    this.#seenEnd = offset;
    this.#walker = new LogWalker(
      'key',
      { position: start.position, endLsn: start.endLsn, offset },
      new RowReader().ports((row, named) => this.#row(row, named)),
      options.store.renumbered.salts(options.settings.database),
    );
    const oldest = (): Waiting | undefined => this.#waiting[0];
    const all = (): readonly Waiting[] => this.#waiting;
    const unsettled = {
      get oldest() {
        return oldest();
      },
      all,
    };
    this.#settlement = new Settlement({
      ledger,
      signals: options.signals,
      slot: options.slot,
      unsettled: unsettled as unknown as Pick<Unsettled, 'oldest' | 'all'>,
      walker: this.#walker,
      restored: this.#restored,
      start: place.start,
      partings: place.partings,
      beforeMove: () => undefined,
      note: (cursor) => {
        if (this.#notes) notePlace(options, cursor, new RepeatedLines(options.logger));
      },
      fail: (error) => {
        throw error;
      },
      nowMs: () => 0,
    });
    // Nothing by itself: the model says when.
    this.#settlement.stop();
    this.#blocks = reader.read(place.readFrom, this.#stopping.signal)[Symbol.asyncIterator]();
  }

  static async open(options: PlaceOptions, watcher: SinkWatcher): Promise<ModelSink> {
    return new ModelSink(options, watcher, await openPlace(options));
  }

  /** Is its place one from before a parting? Then it reads no further. */
  get isPast(): boolean {
    return this.#options.signals.parted() !== lastParted(this.#place.partings);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  #row({ transaction, index, offset }: LoggedRow, named: NamedRow): void {
    if (this.#restored.has(transaction, index) || !this.#watcher.wants(named.table)) return;
    if (isLost(this.#place.partings, transaction)) return;
    const position = { epoch: transaction.epoch, commitLsn: transaction.commitLsn, index };
    this.#waiting.push({ ...named, position, transaction, index, offset, state: 'waiting' });
  }

  /** Reads up to so many blocks that are there. */
  async read(blocks: number): Promise<void> {
    const { signals, slot } = this.#options;
    for (let left = blocks; left > 0 && !signals.isHalted(slot) && !this.isPast; left--) {
      if (signals.writtenEnd() <= this.#seenEnd) return;
      const { value, done } = (await this.#blocks.next()) as IteratorResult<LogBlock, undefined>;
      if (done === true || value === undefined || signals.isHalted(slot)) return;
      void this.#walker.block(value, this.#stopping.signal);
      this.#seenEnd = Math.max(this.#seenEnd, value.blockEnd);
      this.#restored.readTo(this.#walker.head.position);
    }
  }

  /** Hands over up to `count` messages, one of each key: `pick` says how many are passed over before each. */
  deliver(count: number, pick: () => number): void {
    if (this.isPast) return;
    const busy = new Set(this.#waiting.filter(({ state }) => state === 'in flight').map(({ key }) => key));
    let skip = pick();
    for (const message of this.#waiting) {
      if (count === 0) return;
      if (busy.has(message.key)) continue;
      busy.add(message.key);
      if (skip-- > 0) continue;
      skip = pick();
      message.state = 'in flight';
      const { id, key, transaction, index } = message;
      this.#watcher.delivered(id, key, idempotencyKey(transaction.key, index));
      count--;
    }
  }

  /** The answers have come. */
  settle(): void {
    const done = this.#waiting.filter(({ state }) => state === 'in flight');
    if (done.length === 0) return;
    this.#waiting = this.#waiting.filter(({ state }) => state === 'waiting');
    this.#unwritten.push(...done.map(({ id }) => id));
    this.#place.ledger.settle(done);
    this.#place.ledger.write();
    this.#written();
  }

  #written(): void {
    this.#watcher.written(this.#unwritten);
    this.#unwritten = [];
  }

  async sync(): Promise<void> {
    await this.#settlement.finish({ sync: true });
    const { signals, slot } = this.#options;
    this.#watcher.synced(signals.settled(slot).lsn);
  }

  /** In good order, or as one that is killed or has met a full disk. */
  async end({ killed }: { readonly killed: boolean }): Promise<void> {
    try {
      if (killed) return;
      this.settle();
      this.#notes = true;
      await this.sync();
    } finally {
      this.#stopping.abort();
      await this.#blocks.return?.();
      this.#place.reader.close();
      this.#close();
    }
  }

  /** It writes what it still has. */
  #close(): void {
    try {
      this.#place.ledger.close();
      this.#written();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }
}
