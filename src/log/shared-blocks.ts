// What several readers of one log share: blocks read and checked once, and what is made of them alike. One for a thread.
// Hot: asked for every block (bench/scenarios/growth.ts).
//
// Only readers that are at about the same place share. So while the thread has no time to spare, one that is ahead lets those behind it
// come first: that is no loss, the time is theirs instead of its own. One that is behind for another reason is not waited for, and one
// that is far from the others reads alone: nothing is kept for it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ByteWriter } from '../core/byte-writer.ts';
import { spareMs, steadyMs } from '../core/clock.ts';
import { SpareWriters } from '../core/spare-writers.ts';
import type { BlockCursor, RawBlock } from './block-cursor.ts';
import type { Kept, LogBlock } from './block.ts';
import { FrontCursor } from './front-cursor.ts';

/** Bytes kept in all, of blocks and of what was made of them (invariant 8). */
export const MAX_KEPT_BYTES = 16 * 1024 * 1024;
/** A reader that is further behind comes when a block is gone again: it is not kept for that one. */
const NEAR_BYTES = 2 * 1024 * 1024;
/** So far a reader may be ahead of the others; if they are further behind than that, they are no company. */
const LEAD_BYTES = 256 * 1024;
const COMPANY_BYTES = 8 * 1024 * 1024;
/** One that has not moved for so long is not held up by the others. */
const STALLED_MS = 100;
/** Whoever is ahead looks so often whether it still is. A fifth of the time is its own, whatever the others do. */
const SLICE_MS = 2;
const MAX_WAIT_MS = 40;
const REST_SHARE = 1 / 4;
/** With more of the time to spare, the thread is not what those behind wait for: then nobody waits for them for a while. */
const MAX_SPARE_SHARE = 0.5;
const IDLE_REST_MS = 1000;
/** A buffer for what is made of a block, at first; and what is kept in all of those that nobody uses. */
const WRITER_BYTES = 16 * 1024;
const MAX_FREE_BYTES = 8 * 1024 * 1024;

export type SharedReader = {
  /** Where it stands. */
  offset: number;
  /** The kept block that it works on. */
  inHand: KeptBlock | undefined;
  movedMs: number;
  /** Until then it waits for nobody. */
  restsUntilMs: number;
};

export type SharingPorts = {
  /** Never set back. */
  readonly nowMs: () => number;
  /** How long the thread has had nothing to do, in all. */
  readonly spareMs: () => number;
  readonly sleep: (ms: number) => Promise<void>;
};

const PORTS: SharingPorts = {
  nowMs: steadyMs,
  spareMs,
  sleep: (ms) => sleep(ms),
};

export class SharedBlocks {
  readonly #maxBytes: number;
  readonly #ports: SharingPorts;
  readonly #readers = new Set<SharedReader>();
  /** By the offset of their headers, the one that came first at the front. */
  readonly #kept = new Map<number, KeptBlock>();
  readonly #front = new FrontCursor();
  readonly #writers = new SpareWriters({ initial: WRITER_BYTES, all: MAX_FREE_BYTES });
  #bytes = 0;
  /** All who wait look at the same moments. */
  #slice: Promise<void> | undefined;

  constructor(maxBytes = MAX_KEPT_BYTES, ports = PORTS) {
    this.#maxBytes = maxBytes;
    this.#ports = ports;
  }

  /** Of all that is kept. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Who reads now. */
  get readers(): number {
    return this.#readers.size;
  }
  /** Blocks that are kept. */
  get count(): number {
    return this.#kept.size;
  }

  /** Somebody begins to read at this offset. */
  join(offset: number): SharedReader {
    const reader = { offset, inHand: undefined, movedMs: -Infinity, restsUntilMs: -Infinity };
    this.#readers.add(reader);
    return reader;
  }

  /** Whatever it has in hand is not used again by others. */
  leave(reader: SharedReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 1) return;
    for (const kept of this.#kept.values()) this.#drop(kept);
    this.#writers.clear();
    this.#front.close();
  }

  /**
   * Whose turn is it? A promise, where others come first: the reader goes on when it resolves, or when `signal` aborts. Near the log's
   * end nobody waits: what is new is sent at once.
   */
  turn(reader: SharedReader, logEnd: number, signal: AbortSignal): Promise<void> | undefined {
    if (logEnd - reader.offset < LEAD_BYTES) return undefined;
    const now = this.#ports.nowMs();
    if (now < reader.restsUntilMs || !this.#isAhead(reader, now)) return undefined;
    return this.#letPass(reader, signal);
  }

  async #letPass(reader: SharedReader, signal: AbortSignal): Promise<void> {
    const { nowMs, spareMs, sleep } = this.#ports;
    const beganMs = nowMs();
    let now = beganMs;
    let isBusy = true;
    while (this.#isAhead(reader, now) && now - beganMs < MAX_WAIT_MS && isBusy && !signal.aborted) {
      const spare = spareMs();
      const sinceMs = now;
      await (this.#slice ??= sleep(SLICE_MS).finally(() => (this.#slice = undefined)));
      now = nowMs();
      // Who joins others that wait may have waited for next to nothing: that tells nothing.
      if (now - sinceMs >= SLICE_MS / 2) isBusy = spareMs() - spare <= (now - sinceMs) * MAX_SPARE_SHARE;
    }
    reader.restsUntilMs = now + (isBusy ? (now - beganMs) * REST_SHARE : IDLE_REST_MS);
  }

  /** Is somebody behind who only lacks the time? */
  #isAhead({ offset }: SharedReader, nowMs: number): boolean {
    for (const other of this.#readers) {
      const lead = offset - other.offset;
      if (lead > LEAD_BYTES && lead < COMPANY_BYTES && nowMs - other.movedMs < STALLED_MS) return true;
    }
    return false;
  }

  /** The block with its header at the reader's place, if it is kept. */
  find(reader: SharedReader): LogBlock | undefined {
    const kept = this.#kept.get(reader.offset);
    if (kept === undefined) return undefined;
    kept.inHand++;
    reader.inHand = kept;
    return kept.block;
  }

  /**
   * The next block behind a reader's cursor, which stands at its place and passes it: for it and for others that come to it soon. Undefined: nobody
   * does, or it is not to be had this way; then it is read with that cursor alone. It has to be kept before another one is read.
   */
  read(reader: SharedReader, own: BlockCursor, limit: number): RawBlock | 'end' | undefined {
    if (this.#awaited(reader) < 2) return undefined;
    const block = this.#front.next(own, limit);
    if (block === undefined || block === 'end') return block;
    if (!this.#isKept(block)) return undefined;
    own.pass(block.blockEnd);
    return block;
  }
  /** Has all that was read of the file been given out? */
  get isDrained(): boolean {
    return this.#front.isDrained;
  }

  /** The block at a reader's place, which it has read: kept where others come to it soon, else as it was. */
  keep(reader: SharedReader, block: LogBlock): LogBlock {
    const at = reader.offset;
    const awaited = this.#awaited(reader);
    if (awaited < 2 || !this.#isKept(block)) return block;
    const kept = new KeptBlock(block, at, awaited, {
      takeWriter: () => this.#writers.take(),
      grow: (by) => this.#grow(kept, by),
    });
    reader.inHand = kept;
    this.#kept.set(at, kept);
    this.#grow(kept, kept.block.buffer.length);
    return kept.block;
  }

  #isKept({ start, end }: Pick<LogBlock, 'start' | 'end'>): boolean {
    return end - start <= this.#maxBytes;
  }

  /** How many come to the reader's place soon, with it. */
  #awaited({ offset: at }: SharedReader): number {
    let awaited = 0;
    for (const { offset } of this.#readers) if (offset <= at && at - offset < NEAR_BYTES) awaited++;
    return awaited;
  }

  /** The reader is done with the block at its place, and goes on at `next`. */
  pass(reader: SharedReader, next: number): void {
    const kept = this.#kept.get(reader.offset);
    if (reader.inHand !== undefined) reader.inHand.inHand--;
    reader.inHand = undefined;
    reader.offset = next;
    reader.movedMs = this.#ports.nowMs();
    if (kept === undefined || --kept.awaited > 0 || kept.inHand > 0) return;
    for (const writer of kept.writers) this.#writers.giveBack(writer);
    this.#drop(kept);
  }

  /** Makes room where it is needed. Who has such a block in hand goes on with it: it is not used again. */
  #grow(kept: KeptBlock, by: number): void {
    if (this.#kept.get(kept.at) !== kept) return;
    kept.bytes += by;
    this.#bytes += by;
    for (const oldest of this.#kept.values()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(kept: KeptBlock): void {
    this.#kept.delete(kept.at);
    this.#bytes -= kept.bytes;
    kept.drop();
  }
}

let blocks = 0;

class KeptBlock implements Kept {
  readonly number = ++blocks;
  /** With bytes of its own. */
  readonly block: LogBlock;
  /** Offset of its header. */
  readonly at: number;
  readonly writers: ByteWriter[] = [];
  isGone = false;
  bytes = 0;
  /** Readers that have not passed it. */
  awaited: number;
  /** Of them, those that work on it. */
  inHand = 1;
  readonly #made = new Map<string, unknown>();
  readonly #ports: Pick<Kept, 'takeWriter' | 'grow'>;

  constructor(block: LogBlock, at: number, awaited: number, ports: Pick<Kept, 'takeWriter' | 'grow'>) {
    this.at = at;
    this.awaited = awaited;
    this.#ports = ports;
    const buffer = Buffer.from(block.buffer.subarray(block.start, block.end));
    this.block = { ...block, buffer, start: 0, end: buffer.length, kept: this };
  }

  of<Made>(name: string, make: () => Made): Made {
    let made = this.#made.get(name) as Made | undefined;
    if (made === undefined) {
      made = make();
      if (!this.isGone) this.#made.set(name, made);
    }
    return made;
  }

  /** What was made of it is not kept for the sake of whoever still has the block itself in hand. */
  drop(): void {
    this.isGone = true;
    this.#made.clear();
    this.writers.length = 0;
  }

  takeWriter(): ByteWriter {
    const writer = this.#ports.takeWriter();
    this.writers.push(writer);
    this.grow(writer.buffer.length);
    return writer;
  }

  grow(bytes: number): void {
    this.#ports.grow(bytes);
  }
}
