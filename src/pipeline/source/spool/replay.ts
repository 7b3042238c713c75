// Reads a spooled transaction back as protocol 1 would have sent it: Begin, its messages without their xids and without those of
// savepoints that were undone, Commit. Bounded: a piece of the file at a time. Hot while it lasts.
import { closeSync, constants, readSync } from 'node:fs';
import { openFile } from '../../../data-directory/files.ts';
import { MESSAGE } from '../../../pgoutput/messages.ts';
import type { StreamCommit } from '../../../pgoutput/streamed.ts';
import {
  RANGE,
  ReplicationInput,
  withoutXid,
  XID_BYTES,
  type StreamBatch,
} from '../../../postgres/replication/input.ts';
import { batchOf } from './batches.ts';
import type { Described } from './relation-order.ts';
import type { Spool } from './spools.ts';

const READ_BYTES = 256 * 1024;
const NONE = -1;

export type ReplayOptions = {
  readonly commit: StreamCommit;
  /** The longest message that is kept whole. */
  readonly maxMessageBytes: number;
  /** Told of each Relation message that takes force: its relation, its number, and the message. */
  readonly onRelation: (id: number, described: Described) => void;
};

export class Replay {
  readonly spool: Spool;
  /** Nothing is left of it, and it comes as nothing: that is how Postgres has it, too (15 and newer). */
  readonly isEmpty: boolean;
  readonly #options: ReplayOptions;
  readonly #fd: number;
  readonly #input: ReplicationInput;
  readonly #chunk = Buffer.allocUnsafeSlow(READ_BYTES);
  #next: 'begin' | 'rows' | 'end' = 'begin';
  #first: StreamBatch | undefined;
  #left: number;
  /** Relation messages so far. */
  #relations = 0;
  /** The pieces that come belong to a message that is left out. */
  #leavesOut = false;

  constructor(spool: Spool, options: ReplayOptions) {
    this.spool = spool;
    this.#options = options;
    this.#left = spool.bytes;
    this.#input = new ReplicationInput(options.maxMessageBytes + XID_BYTES);
    this.#fd = openFile(spool.path, constants.O_RDONLY);
    try {
      this.#first = this.#rows();
    } catch (error) {
      this.close();
      throw error;
    }
    this.isEmpty = this.#first === undefined;
  }

  /** Valid until the next call; undefined: that was all. Throws errors of the file system. */
  next(): StreamBatch | undefined {
    switch (this.#next) {
      case 'begin':
        this.#next = this.isEmpty ? 'end' : 'rows';
        return this.isEmpty ? undefined : batchOf([this.#options.commit.begin]);
      case 'rows': {
        const rows = this.#first ?? this.#rows();
        this.#first = undefined;
        if (rows !== undefined) return rows;
        this.#next = 'end';
        return batchOf([this.#options.commit.commit]);
      }
      case 'end':
        return undefined;
      default:
        return this.#next satisfies never;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #rows(): StreamBatch | undefined {
    while (this.#left > 0) {
      const count = readSync(this.#fd, this.#chunk, 0, Math.min(READ_BYTES, this.#left), null);
      if (count === 0) throw new Error(`${this.spool.path} ends before it should`);
      this.#left -= count;
      this.#input.push(this.#chunk.subarray(0, count));
      if (!this.#input.ready) continue;
      const batch = this.#input.take();
      // Notices and the like that came in between: the connection has had them.
      this.#input.control.length = 0;
      this.#asProtocol1(batch);
      if (batch.count > 0) return batch;
    }
    if (this.#input.buffered > 0) throw new Error(`${this.spool.path} ends in the middle of a message`);
    return undefined;
  }

  #asProtocol1(batch: StreamBatch): void {
    const { bytes, starts, ends, kinds, count } = batch;
    const { undone } = this.spool;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const start = starts[i]!;
      const kind = kinds[i]!;
      if (kind === RANGE.whole || kind === RANGE.first) {
        // An origin is the one message without an xid here, and nobody reads it.
        const type = bytes[start]!;
        const relation = type === MESSAGE.relation ? this.#relations++ : NONE;
        this.#leavesOut =
          type === MESSAGE.origin || (undone.size > 0 && undone.has(bytes.readUInt32BE(start + 1)));
        if (this.#leavesOut) continue;
        const at = withoutXid(bytes, start);
        starts[kept] = at;
        if (kind === RANGE.first) batch.oversizeBytes -= XID_BYTES;
        if (relation !== NONE) this.#describe(relation, bytes.subarray(at, ends[i]));
      } else {
        if (this.#leavesOut) continue;
        starts[kept] = start;
      }
      ends[kept] = ends[i]!;
      kinds[kept] = kind;
      kept++;
    }
    batch.count = kept;
  }

  #describe(relation: number, message: Buffer): void {
    const number = this.spool.relations[relation]!;
    this.#options.onRelation(message.readUInt32BE(1), { number, message: Buffer.from(message) });
  }
}
