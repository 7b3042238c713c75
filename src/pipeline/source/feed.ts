// Turns batches of the replication stream into log blocks: what is logged already is skipped, a relation that changes midway
// is in force for what follows it, in the segments' prologues too. Hot (bench/micro/source.ts).
import { ByteWriter } from '../../core/byte-writer.ts';
import { TailraceError } from '../../core/errors.ts';
import { formatLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { timelineOf } from '../../core/timeline.ts';
import type { BlockContext } from '../../log/format.ts';
import type { HeldRows } from '../../log/held-rows.ts';
import { appendFrame } from '../../pgoutput/frames.ts';
import type { LogWriter } from '../../log/writer.ts';
import { STREAMED } from '../../pgoutput/bytes.ts';
import { encodeEnrichment, type Enrichment } from '../../pgoutput/enrichment.ts';
import {
  decodeBegin,
  decodeRelation,
  decodeTruncate,
  MESSAGE,
  type RawRelation,
  relationIdOfRow,
} from '../../pgoutput/messages.ts';
import { longMarker } from '../../pgoutput/long-markers.ts';
import { isRow, rowEventsIn } from '../../pgoutput/row-numbers.ts';
import { RANGE, type StreamBatch } from '../../postgres/replication/stream.ts';
import type { ShapeProofs } from '../../postgres/shapes/proofs.ts';
import { FirstUses } from './first-uses.ts';
import { isSameTransaction, type Begin } from './history/begins.ts';
import type { Comparing, Joint } from './joint.ts';
import { corruptStream } from './corrupt-stream.ts';
import { oversizeFrame, OversizeRows, type OversizeRow } from './oversize-rows.ts';
import type { RelationsInForce } from './relations-in-force.ts';
import { resentRows, type ResentRows } from './resent-rows.ts';
import { readMarker } from './watch/marker.ts';

/** Of the socket's own size, so that a block seldom grows it. */
const INITIAL_BLOCK_BYTES = 512 * 1024;
const NOT_HERE = -1;
/** Type, flags and the commit's LSN. */
const COMMIT_HEAD_BYTES = 10;
const UNDESCRIBED = 'it has a row of a table that it did not describe';

/** What the feed needs of the log. */
export type FedLog = Pick<LogWriter, 'append' | 'context'>;

/** Invariant: what `#writer` holds is whole frames that follow the log's end. */
export class LogFeed {
  readonly #log: FedLog;
  readonly #relations: RelationsInForce;
  readonly #writer = new ByteWriter(INITIAL_BLOCK_BYTES);
  readonly #oversize = new OversizeRows(this.#writer);
  #joint: Joint;
  #timeline: number;
  /** Transactions up to this commit LSN are logged. Compared with commit LSNs only. */
  #loggedCommitLsn: Lsn = ZERO_LSN;
  /** The transaction that the log holds in part, and that the server sends again. */
  #partial: Pick<BlockContext, 'commitLsn' | 'commitTimeUs' | 'xid' | 'index'> | undefined;
  #inTransaction = false;
  /** Where the Begin of the transaction in progress stands in the block being made. */
  #beginAt = NOT_HERE;
  /** Relations that this connection has described, and the last one that a row was of. */
  readonly #described = new Set<number>();
  #lastDescribed = -1;
  /** All of this transaction is logged. */
  #skipping = false;
  /** Row events of this transaction below this number are logged. */
  #skipBelow = 0;
  /** What was logged of transactions that have still to come again. */
  #held: readonly HeldRows[] = [];
  /** Rows of this transaction were logged before: those that come are compared with them. */
  #resent: ResentRows | undefined;
  #index = 0;
  /** Of the transaction that began last. */
  #xid = 0;
  #commitLsn = ZERO_LSN;
  #committedUs = 0n;
  #comparing: Comparing | undefined;
  /** Has this connection brought the transaction that the log ends with? */
  brought = false;
  /** Told of a marker that proves the loop: it is not logged. */
  onProof: (content: string) => void = () => undefined;
  /** Told when the log ends with a whole transaction; undefined: nobody asks. */
  onBoundary: ((timeline: number, endLsn: Lsn) => void) | undefined;
  /** Told once behind the next transaction, when the log ends with it: in the middle of a batch, most likely. */
  onCommitted: (() => void) | undefined;
  readonly firstUses = new FirstUses();
  transactions = 0;
  changes = 0;

  constructor(log: FedLog, relations: RelationsInForce, joint: Joint) {
    this.#log = log;
    this.#relations = relations;
    this.#joint = joint;
    this.#timeline = joint.history.current;
    this.join(joint);
  }

  /** Has a transaction begun whose end has not come? */
  get openTransaction(): boolean {
    return this.#inTransaction;
  }

  /** Of the transaction that came last. */
  get xid(): number {
    return this.#xid;
  }

  /** Of the same one. */
  get commitLsn(): Lsn {
    return this.#commitLsn;
  }

  /** When it was committed, by the server's clock: microseconds since 1970. */
  get committedUs(): bigint {
    return this.#committedUs;
  }

  /** A connection begins: what the log holds will come again, or go on. */
  join(joint: Joint): void {
    const { context } = this.#log;
    this.#joint = joint;
    this.#timeline = joint.history.current;
    this.#loggedCommitLsn = context.lastCommitLsn;
    // Another epoch abandons what an older history left unfinished.
    this.#partial = context.inTransaction && context.epoch === joint.epoch ? context : undefined;
    this.#inTransaction = false;
    this.#skipping = false;
    this.#skipBelow = 0;
    this.#resent = undefined;
    this.#held = joint.held?.rows.filter(({ epoch }) => epoch === joint.epoch) ?? [];
    this.#beginAt = NOT_HERE;
    // What could not be appended comes again.
    this.#writer.reset();
    this.#relations.forgetPending();
    this.firstUses.forget();
    this.#comparing?.begins.close();
    this.#comparing = joint.comparing;
    this.brought = false;
    this.#described.clear();
    this.#lastDescribed = -1;
  }

  /** Everything before `walEnd` has been taken. Throws when that shows that the histories part. */
  reached(walEnd: Lsn): void {
    if (this.#comparing === undefined || this.#inTransaction) return;
    if (walEnd >= this.#comparing.until) this.#endComparison();
  }

  #endComparison(): void {
    const comparing = this.#comparing!;
    this.#comparing = undefined;
    comparing.done(comparing.begins.end());
  }

  /**
   * Takes messages from number `from` on; stops at a Relation message, which needs its enrichment first, or at a row that awaits a
   * look of `proofs`, and answers its number, or the batch's count. Go on with `relation`, or after the look.
   */
  take(batch: StreamBatch, from: number, proofs?: ShapeProofs): number {
    const { bytes, starts, ends, kinds, count } = batch;
    const judging = proofs?.isNeeded === true ? proofs : undefined;
    for (let i = from; i < count; i++) {
      const start = starts[i]!;
      const end = ends[i]!;
      if (kinds[i] !== RANGE.whole) {
        this.#takePiece(bytes, start, end, kinds[i]!, batch.oversizeBytes);
        continue;
      }
      switch (bytes[start]!) {
        case MESSAGE.insert:
        case MESSAGE.update:
        case MESSAGE.delete:
        case MESSAGE.truncate: {
          this.#checkRow(bytes, start, end);
          const rows = rowEventsIn(bytes, start);
          if (this.#index >= this.#skipBelow) {
            if (judging !== undefined && !this.#isJudged(bytes, start, judging)) return i;
            if (this.firstUses.isAwaited) this.#useRelations(bytes, start, end);
            this.changes += rows;
            appendFrame(this.#writer, bytes, start, end);
          } else {
            if (judging !== undefined) this.#passOver(bytes, start, judging);
            if (this.firstUses.isAwaited) this.#useRelations(bytes, start, end);
          }
          if (this.#resent !== undefined) this.#compareRow(this.#resent, bytes, start, end, rows);
          this.#index += rows;
          break;
        }
        case MESSAGE.begin:
          this.#begin(bytes, start, end);
          break;
        case MESSAGE.commit:
          this.#checkCommit(bytes, start, end);
          if (this.#resent !== undefined) this.#differs(this, this.#resent.writtenFrom);
          if (!this.#skipping) {
            this.transactions++;
            this.brought = true;
            appendFrame(this.#writer, bytes, start, end);
          }
          this.#inTransaction = false;
          this.#skipping = false;
          this.#skipBelow = 0;
          if (this.onCommitted !== undefined) this.#tellCommitted();
          break;
        case MESSAGE.relation:
          return i;
        case MESSAGE.origin:
        case MESSAGE.logicalMessage:
          if (this.#isProof(bytes, start, end)) break;
          if (!this.#inTransaction || this.#index >= this.#skipBelow) {
            appendFrame(this.#writer, bytes, start, end);
          }
          break;
        case MESSAGE.type:
          appendFrame(this.#writer, bytes, start, end);
          break;
        case STREAMED.abort:
          // Nobody asked for it: Postgres 18 tells of savepoints of a large transaction that was rolled back, also where none is streamed (measured).
          break;
        default:
          throw this.#corrupt('it has a message of a kind that there is not', bytes, start, end);
      }
    }
    return count;
  }

  /** A row stands in a transaction, and is of a table that was described. Hot. */
  #checkRow(bytes: Buffer, start: number, end: number): void {
    if (!this.#inTransaction) throw this.#corrupt('a row stands outside of a transaction', bytes, start, end);
    if (bytes[start] === MESSAGE.truncate) {
      for (const id of decodeTruncate(bytes, start, end).relationIds)
        if (!this.#described.has(id)) throw this.#corrupt(UNDESCRIBED, bytes, start, end);
      return;
    }
    const id = relationIdOfRow(bytes, start);
    if (id === this.#lastDescribed) return;
    if (!this.#described.has(id)) throw this.#corrupt(UNDESCRIBED, bytes, start, end);
    this.#lastDescribed = id;
  }

  /** Before the row behind those that were logged is, it is known whether they came again. */
  #compareRow(resent: ResentRows, bytes: Buffer, start: number, end: number, rows: number): void {
    resent.add(bytes, start, end, this.#index);
    const judged = resent.judge(this.#index + rows);
    if (judged === 'differs') this.#differs(this, resent.writtenFrom);
    else if (judged === 'same') this.#resent = undefined;
  }

  /** What it holds is not compared: that it is one of this table and length. */
  #compareOversize(resent: ResentRows, row: OversizeRow): void {
    const frame = oversizeFrame(row);
    this.#compareRow(resent, frame, 0, frame.length, 1);
  }

  /** A transaction begins: is it one that was logged in part? One that has not come before it has no row any more (15 and newer). */
  #expectHeld(begin: Begin): void {
    for (const rows of this.#held)
      if (rows.commitLsn <= begin.commitLsn && !isSameTransaction(rows, begin)) this.#differs(rows, ZERO_LSN);
    this.#resent = resentRows(this.#held, begin);
    this.#held = this.#held.filter(({ commitLsn }) => commitLsn > begin.commitLsn);
  }

  /** Throws while that cannot be recorded. */
  #differs({ xid, commitLsn }: { readonly xid: number; readonly commitLsn: Lsn }, writtenFrom: Lsn): void {
    this.#joint.held?.differs({ xid, commitLsn, writtenFrom });
    this.#resent = undefined;
  }

  #checkCommit(bytes: Buffer, start: number, end: number): void {
    if (!this.#inTransaction) throw this.#corrupt('a transaction ends that did not begin', bytes, start, end);
    // Its flags stand in front of it.
    if (end - start < COMMIT_HEAD_BYTES || bytes.readBigUInt64BE(start + 2) !== this.#commitLsn)
      throw this.#corrupt('a transaction ends that is not the one that began', bytes, start, end);
  }

  #corrupt(what: string, bytes: Buffer, start: number, end: number, cause?: unknown): TailraceError {
    const within = this.#log.context.lastEndLsn;
    return corruptStream(what, { bytes, start, end, within }, cause);
  }

  readRelation(bytes: Buffer, start: number, end: number): RawRelation {
    try {
      return decodeRelation(bytes, start, end);
    } catch (error) {
      throw this.#corrupt(messageOf(error), bytes, start, end, error);
    }
  }

  /**
   * The Relation message `bytes[start, end)` with what the catalog says of it. Logged even inside a transaction that
   * is skipped: the server sends it once a connection.
   */
  relation(bytes: Buffer, start: number, end: number, enrichment: Enrichment): void {
    this.#described.add(enrichment.relationId);
    const writer = this.#writer;
    const encoded = encodeEnrichment(enrichment);
    const from = writer.length;
    appendFrame(writer, bytes, start, end);
    appendFrame(writer, encoded, 0, encoded.length);
    this.#relations.add(
      enrichment.relationId,
      Buffer.from(writer.buffer.subarray(from, writer.length)),
      from,
    );
  }

  /** The row message at `start` comes: where rows looked otherwise before, that is logged with its relation in front of it. */
  #useRelations(bytes: Buffer, start: number, end: number): void {
    const place = { epoch: this.#joint.epoch, commitLsn: this.#commitLsn, index: this.#index };
    for (const { id, before } of this.firstUses.by(bytes, start, end, place)) {
      // What is logged already has it.
      if (this.#index < this.#skipBelow) continue;
      const { message, enrichment } = this.#relations.latest(id)!;
      this.relation(message, 0, message.length, { ...enrichment, ...before });
    }
  }

  /** The Relation message that is in force for this relation; undefined: none is. */
  messageOf(id: number): Buffer | undefined {
    return this.#relations.messageOf(id);
  }

  /** Is it known how the row reads? Where it is otherwise than for the one before, its relation is logged anew in front of it. */
  #isJudged(bytes: Buffer, start: number, proofs: ShapeProofs): boolean {
    if (!isRow(bytes[start]!)) return true;
    const judged = proofs.judge(relationIdOfRow(bytes, start), { bytes, start, xid: this.#xid });
    if (judged === 'look') return false;
    if (judged !== undefined) this.relation(judged.message, 0, judged.message.length, judged.enrichment);
    return true;
  }

  /** What is logged already is not judged again. */
  #passOver(bytes: Buffer, start: number, proofs: ShapeProofs): void {
    if (!isRow(bytes[start]!)) return;
    proofs.passed(relationIdOfRow(bytes, start), { bytes, start, xid: this.#xid });
  }

  #isProof(bytes: Buffer, start: number, end: number): boolean {
    const proof = bytes[start] === MESSAGE.logicalMessage ? readMarker(bytes, start, end) : undefined;
    if (proof !== undefined) this.onProof(proof);
    return proof !== undefined;
  }

  /** Appends what was taken. Call it at the end of every batch, whatever happened. */
  flush(): void {
    const { buffer, length } = this.#writer;
    // A transaction that does not end here gets a block of its own, and the segment that may begin with it must
    // open with the relations from before it.
    if (this.#inTransaction && this.#beginAt > 0) this.#append(buffer, 0, this.#beginAt);
    this.#append(buffer, Math.max(0, this.#inTransaction ? this.#beginAt : 0), length);
    this.#writer.reset();
    this.#beginAt = NOT_HERE;
    this.#oversize.appended();
  }

  #append(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    const history = { epoch: this.#joint.epoch, timeline: this.#timeline };
    this.#log.append(buffer.subarray(start), end - start, history);
    const { inTransaction, lastEndLsn } = this.#log.context;
    if (this.onBoundary !== undefined && !inTransaction) this.onBoundary(this.#timeline, lastEndLsn);
    this.#relations.appended(end);
  }

  #tellCommitted(): void {
    this.flush();
    const told = this.onCommitted;
    this.onCommitted = undefined;
    told?.();
  }

  /** May rows of backfills be appended now? Not into a transaction, of which a part may be in the log, or on its way there. */
  get isBetween(): boolean {
    const { inTransaction, epoch } = this.#log.context;
    return (
      !this.#inTransaction && this.#writer.length === 0 && !(inTransaction && epoch === this.#joint.epoch)
    );
  }

  /** Rows that a backfill has read: whole frames. `endLsn`: all that they show was committed before. */
  appendReads(frames: Buffer, length: number, endLsn: Lsn): void {
    const { epoch, history } = this.#joint;
    this.#log.append(frames, length, { epoch, timeline: history.current });
    this.onBoundary?.(history.current, endLsn);
  }

  #begin(bytes: Buffer, start: number, end: number): void {
    const begin = this.#readBegin(bytes, start, end);
    const { commitLsn, commitTimeUs, xid } = begin;
    const partial = this.#partial;
    if (this.#comparing !== undefined) this.#compare(begin);
    if (partial !== undefined && commitLsn > this.#loggedCommitLsn && !isSameTransaction(partial, begin)) {
      throw (
        this.#joint.endParts?.(partial.commitLsn, commitLsn) ??
        transactionParted(partial.commitLsn, commitLsn)
      );
    }
    this.#partial = undefined;
    this.#inTransaction = true;
    this.#xid = xid;
    this.#commitLsn = commitLsn;
    this.#committedUs = commitTimeUs;
    this.#index = 0;
    this.#skipBelow = 0;
    // A commit LSN against a commit LSN: the commit record of the next transaction may begin exactly at the end LSN
    // of the last one (architecture §3).
    this.#skipping = commitLsn <= this.#loggedCommitLsn;
    if (this.#skipping) {
      this.#partial = partial;
      this.#skipBelow = Number.POSITIVE_INFINITY;
      return;
    }
    if (this.#held.length > 0) this.#expectHeld(begin);
    if (partial !== undefined) {
      this.#skipBelow = partial.index;
      return;
    }
    this.#enterTimeline(commitLsn);
    this.#beginAt = this.#writer.length;
    appendFrame(this.#writer, bytes, start, end);
  }

  #readBegin(bytes: Buffer, start: number, end: number): Begin {
    if (this.#inTransaction)
      throw this.#corrupt('a transaction begins inside another one', bytes, start, end);
    try {
      return decodeBegin(bytes, start, end);
    } catch (error) {
      throw this.#corrupt(messageOf(error), bytes, start, end, error);
    }
  }

  #compare(begin: Begin): void {
    if (begin.commitLsn > this.#loggedCommitLsn) this.#endComparison();
    else this.#comparing!.begins.came(begin);
  }

  /** A block belongs to one timeline: the one that owns its commits. */
  #enterTimeline(commitLsn: Lsn): void {
    if (this.#joint.history.switches.length === 0) return;
    const timeline = timelineOf(this.#joint.history, commitLsn);
    if (timeline === this.#timeline) return;
    // What precedes is whole transactions.
    this.#append(this.#writer.buffer, 0, this.#writer.length);
    this.#writer.reset();
    this.#timeline = timeline;
  }

  /**
   * A message beyond the limit: of a row its pieces are kept; a marker stays, and says nothing that can be read; anything else that
   * large (somebody's logical message) is of no use to a reader and is left out.
   */
  #takePiece(bytes: Buffer, start: number, end: number, kind: number, totalBytes: number): void {
    if (kind === RANGE.first) this.#beginOversize(bytes, start, end, totalBytes);
    this.#oversize.take(bytes, start, end);
  }

  /** What it said is not kept, but that it was said: the annotation before it is no longer in force. */
  #appendLongMarker(bytes: Buffer, start: number, totalBytes: number): void {
    const isNew = this.#inTransaction && this.#index >= this.#skipBelow;
    const marker = isNew ? longMarker(bytes.subarray(start, start + totalBytes)) : undefined;
    if (marker !== undefined) appendFrame(this.#writer, marker, 0, marker.length);
  }

  #beginOversize(bytes: Buffer, start: number, end: number, totalBytes: number): void {
    const type = bytes[start]!;
    this.#oversize.leaveOut();
    if (type === MESSAGE.logicalMessage) return this.#appendLongMarker(bytes, start, totalBytes);
    if (!isRow(type)) return;
    this.#checkRow(bytes, start, end);
    const index = this.#index;
    const row = { type, relationId: relationIdOfRow(bytes, start), totalBytes };
    if (this.firstUses.isAwaited) this.#useRelations(bytes, start, start + totalBytes);
    if (this.#resent !== undefined) this.#compareOversize(this.#resent, row);
    this.#index += rowEventsIn(bytes, start);
    if (index >= this.#skipBelow) {
      this.#oversize.begin(index, row);
      this.changes++;
    } else if (index === this.#skipBelow - 1) this.#oversize.goOn(index);
  }
}

const transactionParted = (held: Lsn, got: Lsn): TailraceError =>
  new TailraceError(
    `the server went on with the transaction committed at ${formatLsn(got)} where the log holds the beginning of ${formatLsn(held)}`,
    {
      code: 'HISTORY_PARTED',
      kind: 'fatal',
      mend: 'restart',
      hint: 'start Tailrace again: what is unfinished in the log is then cut off, and read anew from the server',
    },
  );

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
