// The segments of a log being written: where the next block goes, when a new segment begins, which files are unsynced.
import { closeSync, constants, fsyncSync, ftruncateSync, openSync } from 'node:fs';
import { openFile } from '../data-directory/files.ts';
import { writeFully, type LogDevice } from './device.ts';
import {
  BLOCK_HEADER_BYTES,
  encodeBlockHeader,
  storeBirth,
  type BlockContext,
  type LogBirth,
  type LogIdentity,
} from './format.ts';
import { createSegment, endOf, type SegmentFile } from './segments.ts';

export type SegmentChainOptions = {
  readonly directory: string;
  readonly identity: LogIdentity;
  readonly birth: LogBirth;
  readonly version: string;
  readonly segmentBytes: number;
  readonly device: LogDevice;
  /** Frames of the relations in force: how a segment opens. */
  readonly prologue: () => Buffer;
};

/** The segment that blocks are appended to. */
type CurrentSegment = {
  readonly path: string;
  readonly startOffset: number;
  readonly fd: number;
  /** Where its size begins to count: a large prologue does not make a segment full. */
  readonly firstBlock: number;
};

export class SegmentChain {
  readonly #options: SegmentChainOptions;
  readonly #blockHeader = Buffer.alloc(BLOCK_HEADER_BYTES);
  /** Segments before the current one, oldest first. */
  readonly #earlier: SegmentFile[];
  #current: CurrentSegment;
  #end: number;
  /** Files of earlier segments that are not synced yet. */
  #unsynced: number[] = [];
  /** Open all the time: a new segment's name must not wait for a descriptor once its file is there. */
  readonly #directory: number;
  #directoryChanged = false;

  /**
   * Goes on in the last of `found.segments`, or in a new one at `found.nextOffset`, which opens without relations:
   * no stream is connected yet, and one that connects describes every relation again.
   */
  constructor(
    options: SegmentChainOptions,
    found: {
      readonly segments: readonly SegmentFile[];
      readonly needsSegment: boolean;
      readonly nextOffset: number;
      readonly context: BlockContext;
    },
  ) {
    this.#options = options;
    this.#earlier = [...found.segments];
    this.#end = found.nextOffset;
    const last = found.needsSegment ? undefined : this.#earlier.pop();
    this.#directory = openSync(options.directory, 'r');
    try {
      this.#current =
        last === undefined
          ? this.#begin(found.context, Buffer.alloc(0), found.segments.at(-1))
          : { ...last, fd: openFile(last.path, constants.O_RDWR), firstBlock: last.startOffset };
    } catch (error) {
      closeSync(this.#directory);
      throw error;
    }
  }

  /** Logical offset of the next block. */
  get end(): number {
    return this.#end;
  }

  /** Path of the file being written. */
  get path(): string {
    return this.#current.path;
  }

  get firstOffset(): number {
    return (this.#earlier[0] ?? this.#current).startOffset;
  }

  /** All but the segment being written, oldest first. */
  get earlier(): readonly SegmentFile[] {
    return this.#earlier;
  }

  /** Bytes on disk. */
  get bytes(): number {
    const earlier = this.#earlier.reduce((sum, segment) => sum + segment.bytes, 0);
    return earlier + this.#end - this.#current.startOffset;
  }

  /** Appends one block, in a new segment where the current one is full. Errors of the file system come as they are. */
  append(payload: Buffer, context: BlockContext): void {
    const blockBytes = BLOCK_HEADER_BYTES + payload.length;
    const filled = this.#end - this.#current.firstBlock;
    if (filled > 0 && filled + blockBytes > this.#options.segmentBytes) this.#roll(context);
    const { fd, startOffset } = this.#current;
    encodeBlockHeader(this.#blockHeader, { offset: this.#end, payload, prologue: false, context });
    try {
      writeFully(this.#options.device, fd, [this.#blockHeader, payload], this.#end - startOffset);
    } catch (error) {
      // A full segment ends where its file does.
      ftruncateSync(fd, this.#end - startOffset);
      throw error;
    }
    this.#end += blockBytes;
  }

  #roll(context: BlockContext): void {
    const { path, startOffset, fd } = this.#current;
    const full: SegmentFile = { path, startOffset, bytes: this.#end - startOffset };
    this.#current = this.#begin(context, this.#options.prologue(), full);
    this.#earlier.push(full);
    this.#unsynced.push(fd);
  }

  #begin(context: BlockContext, prologue: Buffer, previous: SegmentFile | undefined): CurrentSegment {
    const { directory, identity, birth, version, device } = this.#options;
    const startOffset = this.#end;
    const previousEnd = previous === undefined ? startOffset : endOf(previous);
    const header = { identity, birth: storeBirth(birth), startOffset, previousEnd, createdBy: version };
    const { fd, path, bytes } = createSegment({ directory, device, header, context, prologue });
    this.#end += bytes;
    this.#directoryChanged = true;
    return { path, startOffset, fd, firstBlock: this.#end };
  }

  /** Makes durable what was appended before the call. */
  async sync(): Promise<void> {
    const { device } = this.#options;
    const earlier = this.#unsynced.splice(0);
    try {
      for (const fd of [...earlier, this.#current.fd]) await device.sync(fd);
      if (!this.#directoryChanged) return;
      this.#directoryChanged = false;
      fsyncSync(this.#directory);
    } finally {
      for (const fd of earlier) closeSync(fd);
    }
  }

  /** Takes the oldest segment off the chain, after its file is deleted. */
  dropFirst(): void {
    this.#earlier.shift();
  }

  close(): void {
    for (const fd of [...this.#unsynced.splice(0), this.#current.fd, this.#directory]) closeSync(fd);
  }
}
