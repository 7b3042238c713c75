// What several readers of one log share: blocks read and checked once, and what is made of them alike. One for a thread.
// Hot: asked for every block (bench/scenarios/growth.ts).
//
// Readers never wait for each other. One that is far from the others reads alone, and nothing is kept for it.
import { ByteWriter } from '../core/byte-writer.ts';
import type { LogBlock } from './reader.ts';

/** Bytes kept in all, of blocks and of what was made of them (invariant 8). */
export const MAX_KEPT_BYTES = 32 * 1024 * 1024;
/** A reader that is further behind comes when a block is gone again: it is not kept for that one. */
const NEAR_BYTES = 4 * 1024 * 1024;
/** Of buffers that nobody uses: so many are kept, none larger than this. */
const MAX_FREE = 16;
const MAX_FREE_BYTES = 1024 * 1024;

/** A block's place among those that are kept, and what was made of it. */
export type Kept = {
  /** What was made of the block under this name, or `make`s it. It is gone with the block. */
  of<Made>(name: string, make: () => Made): Made;
  /** An empty buffer for what is made of the block; gone with it, and used again. */
  takeWriter(): ByteWriter;
  /** What is made of the block takes so many bytes more. */
  grow(bytes: number): void;
};

/** Where a reader stands, and the kept block that it works on. */
export type SharedReader = { offset: number; inHand: KeptBlock | undefined };

export class SharedBlocks {
  readonly #maxBytes: number;
  readonly #readers = new Set<SharedReader>();
  /** By the offset of their headers, the one that came first at the front. */
  readonly #kept = new Map<number, KeptBlock>();
  readonly #free: ByteWriter[] = [];
  #bytes = 0;

  constructor(maxBytes = MAX_KEPT_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Of all that is kept. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Blocks that are kept. */
  get count(): number {
    return this.#kept.size;
  }

  /** Somebody begins to read at this offset. */
  join(offset: number): SharedReader {
    const reader = { offset, inHand: undefined };
    this.#readers.add(reader);
    return reader;
  }

  /** Whatever it has in hand is not used again by others. */
  leave(reader: SharedReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 1) return;
    for (const kept of this.#kept.values()) this.#drop(kept);
    this.#free.length = 0;
  }

  /** The block with its header at the reader's place, if it is kept. */
  find(reader: SharedReader): LogBlock | undefined {
    const kept = this.#kept.get(reader.offset);
    if (kept === undefined) return undefined;
    kept.inHand++;
    reader.inHand = kept;
    return kept.block;
  }

  /** The block at a reader's place, which it has read: kept where others come to it soon, else as it was. */
  keep(reader: SharedReader, block: LogBlock): LogBlock {
    const at = reader.offset;
    if (block.end - block.start > this.#maxBytes) return block;
    let awaited = 0;
    for (const { offset } of this.#readers) if (offset <= at && at - offset < NEAR_BYTES) awaited++;
    if (awaited < 2) return block;
    const kept = new KeptBlock(block, at, awaited, {
      takeWriter: () => this.#free.pop() ?? new ByteWriter(),
      grow: (by) => this.#grow(kept, by),
    });
    reader.inHand = kept;
    this.#kept.set(at, kept);
    this.#grow(kept, kept.block.buffer.length);
    return kept.block;
  }

  /** The reader is done with the block at its place, and goes on at `next`. */
  pass(reader: SharedReader, next: number): void {
    const kept = this.#kept.get(reader.offset);
    if (reader.inHand !== undefined) reader.inHand.inHand--;
    reader.inHand = undefined;
    reader.offset = next;
    if (kept === undefined || --kept.awaited > 0 || kept.inHand > 0) return;
    this.#drop(kept);
    for (const writer of kept.writers) this.#giveBack(writer);
  }

  #giveBack(writer: ByteWriter): void {
    if (this.#free.length >= MAX_FREE || writer.buffer.length > MAX_FREE_BYTES) return;
    writer.reset();
    this.#free.push(writer);
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
  }
}

class KeptBlock implements Kept {
  /** With bytes of its own. */
  readonly block: LogBlock;
  /** Offset of its header. */
  readonly at: number;
  readonly writers: ByteWriter[] = [];
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
    const writer = this.#newWriter();
    writer.bytes(block.buffer, block.start, block.end);
    this.block = { ...block, buffer: writer.buffer, start: 0, end: writer.length, kept: this };
  }

  of<Made>(name: string, make: () => Made): Made {
    let made = this.#made.get(name) as Made | undefined;
    if (made === undefined) {
      made = make();
      this.#made.set(name, made);
    }
    return made;
  }

  takeWriter(): ByteWriter {
    const writer = this.#newWriter();
    this.grow(writer.buffer.length);
    return writer;
  }

  grow(bytes: number): void {
    this.#ports.grow(bytes);
  }

  #newWriter(): ByteWriter {
    const writer = this.#ports.takeWriter();
    this.writers.push(writer);
    return writer;
  }
}
