// A stream with transactions in progress, as if it had none: their parts go to spools, and come back as whole transactions at their
// commits, in the place where the server says that they were committed. All others pass as they are. Hot (bench: `huge`).
import { setImmediate } from 'node:timers/promises';
import { ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import { STREAMED } from '../../../pgoutput/bytes.ts';
import { malformed } from '../../../pgoutput/message-reader.ts';
import { MESSAGE } from '../../../pgoutput/messages.ts';
import { decodeStreamAbort, decodeStreamCommit, decodeStreamStart } from '../../../pgoutput/streamed.ts';
import { copyDataStart, RANGE, type StreamBatch } from '../../../postgres/replication/input.ts';
import { batchOf, partOf } from './batches.ts';
import { RelationOrder, type Described } from './relation-order.ts';
import { Replay } from './replay.ts';
import { spoolGivenUp, Spools, type Spool, type SpoolPorts } from './spools.ts';

/** What the reader of a stream needs of it. */
export type StreamSource = {
  readonly walEnd: Lsn;
  read(): Promise<StreamBatch | undefined>;
  /** What is read comes from the disk now: the socket is left alone meanwhile. */
  readonly readsBack?: boolean;
  /** The disk has no room, and reading waits. Throws where that would be for ever. */
  waits?(): void;
};

export type SpooledStreamPorts = SpoolPorts & {
  readonly stream: StreamSource;
  readonly maxMessageBytes: number;
  /** Told of each transaction that came while it was in progress, once it is committed. */
  readonly onCommitted: (commitLsn: Lsn) => void;
  /** Told what the spools hold. */
  readonly onBytes: (bytes: number) => void;
};

const NOTHING = batchOf([]);

/**
 * Invariant 5: `walEnd` is passed on once everything that came before it is handed out. What is spooled is not committed there: it does
 * not count, and comes again after a restart.
 */
export class SpooledStream implements StreamSource {
  readonly #ports: SpooledStreamPorts;
  readonly #spools: Spools;
  readonly #order = new RelationOrder();
  #live: StreamBatch = NOTHING;
  /** Messages of `#live` below this are taken. */
  #at = 0;
  /** The transaction whose part is coming. */
  #open: Spool | undefined;
  #replay: Replay | undefined;
  /** The last Relation messages of what is read back. */
  #described = new Map<number, Described>();
  walEnd: Lsn = ZERO_LSN;

  constructor(ports: SpooledStreamPorts) {
    this.#ports = ports;
    this.#spools = new Spools(ports);
  }

  get readsBack(): boolean {
    return this.#replay !== undefined;
  }

  /** Ends with the stream it is made of; a batch is valid until the next call. */
  async read(): Promise<StreamBatch | undefined> {
    // A file is read without waiting: replies to the server, syncs and the rest go on in between all the same.
    if (this.#replay !== undefined) await setImmediate();
    else if (this.#at === this.#live.count) {
      const came = await this.#ports.stream.read();
      if (came === undefined) return undefined;
      this.#live = came;
      this.#at = 0;
    }
    for (;;) {
      const batch = this.#replay === undefined ? this.#take() : this.#readBack(this.#replay);
      if (batch !== undefined) return batch;
    }
  }

  /** A commit that is waited for may never come while nothing is read: what takes the room goes. */
  waits(): void {
    if (this.#spools.bytes > 0)
      throw spoolGivenUp(this.#ports.database, 'the disk of the data directory has no room left');
  }

  close(): void {
    this.#replay?.close();
    this.#replay = undefined;
    this.#spools.clear();
    this.#ports.onBytes(0);
  }

  /** Takes from `#live` up to something that is handed out; undefined: a transaction is to be read back first. */
  #take(): StreamBatch | undefined {
    const { count } = this.#live;
    while (this.#at < count) {
      if (this.#open !== undefined) {
        this.#spool(this.#open);
        continue;
      }
      const from = this.#at;
      const to = this.#ordinaryEnd();
      if (to > from) return this.#handOut(from, to);
      this.#takeStreamed();
      if (this.#replay !== undefined) return undefined;
    }
    return this.#handOut(count, count);
  }

  #handOut(from: number, to: number): StreamBatch {
    this.#at = to;
    if (to === this.#live.count) this.walEnd = this.#ports.stream.walEnd;
    return from === to ? NOTHING : partOf(this.#live, from, to);
  }

  /** Where the messages end that are of no transaction in progress. */
  #ordinaryEnd(): number {
    const { bytes, starts, ends, kinds, count } = this.#live;
    for (let i = this.#at; i < count; i++) {
      if (kinds[i] !== RANGE.whole) continue;
      const start = starts[i]!;
      switch (bytes[start]!) {
        case MESSAGE.relation:
          this.#order.came(bytes.readUInt32BE(start + 1), Buffer.from(bytes.subarray(start, ends[i])));
          break;
        case STREAMED.start:
        case STREAMED.stop:
        case STREAMED.commit:
        case STREAMED.abort:
          return i;
        default:
      }
    }
    return count;
  }

  /** Takes one message that is about a transaction in progress. */
  #takeStreamed(): void {
    const { bytes, starts, ends } = this.#live;
    const start = starts[this.#at]!;
    const end = ends[this.#at]!;
    this.#at++;
    switch (bytes[start]!) {
      case STREAMED.start: {
        const { xid, isFirst } = decodeStreamStart(bytes, start, end);
        this.#open = this.#spools.open(xid, isFirst);
        if (this.#open === undefined) throw malformed(bytes, start, 'goes on with an unknown transaction');
        return;
      }
      case STREAMED.abort: {
        const { xid, subxid } = decodeStreamAbort(bytes, start, end);
        this.#spools.undo(xid, subxid);
        return this.#tell();
      }
      case STREAMED.commit:
        return this.#beginReplay(start, end);
      default:
        throw malformed(bytes, start, 'ends a part that has not begun');
    }
  }

  #tell(): void {
    this.#ports.onBytes(this.#spools.bytes);
  }

  /** Writes what `#live` has of the part that is open. */
  #spool(spool: Spool): void {
    const { bytes, starts, ends, kinds, count } = this.#live;
    const from = this.#at;
    let to = from;
    for (; to < count; to++) {
      const kind = kinds[to]!;
      if (kind !== RANGE.whole && kind !== RANGE.first) continue;
      const start = starts[to]!;
      const type = bytes[start]!;
      if (type === STREAMED.stop && kind === RANGE.whole) break;
      if (type === MESSAGE.logicalMessage) spool.hasLogicalMessages = true;
      else if (type === MESSAGE.relation) this.#spools.describes(this.#order.next());
    }
    if (to > from) {
      const first = starts[from]!;
      const isBegun = kinds[from] === RANGE.next || kinds[from] === RANGE.last;
      this.#spools.write(bytes, isBegun ? first : copyDataStart(first), ends[to - 1]!);
    }
    this.#at = to;
    this.#tell();
    if (to === count) return;
    this.#at++;
    this.#spools.close();
    this.#open = undefined;
  }

  #beginReplay(start: number, end: number): void {
    const { bytes } = this.#live;
    const commit = decodeStreamCommit(bytes, start, end);
    const spool = this.#spools.get(commit.xid);
    if (spool === undefined) throw malformed(bytes, start, 'commits an unknown transaction');
    this.#described = new Map();
    this.#replay = this.#onDisk(
      () =>
        new Replay(spool, {
          commit,
          maxMessageBytes: this.#ports.maxMessageBytes,
          onRelation: (id, described) => this.#described.set(id, described),
        }),
    );
    if (!this.#replay.isEmpty) this.#ports.onCommitted(commit.commitLsn);
  }

  #readBack(replay: Replay): StreamBatch | undefined {
    const batch = this.#onDisk(() => replay.next());
    if (batch !== undefined) return batch;
    this.#replay = undefined;
    replay.close();
    const again = this.#order.readBack(this.#described);
    this.#described.clear();
    this.#spools.drop(replay.spool.xid);
    this.#tell();
    return again.length > 0 ? batchOf(again) : undefined;
  }

  #onDisk<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw spoolGivenUp(
        this.#ports.database,
        `what came cannot be read back: ${(error as Error).message}`,
        error,
      );
    }
  }
}
