// Walks the frames of log blocks and calls out each row event with its place. Hot file (bench/micro).
import type { Relation, TransactionContext } from '../../core/change.ts';
import { transactionKey } from '../../core/idempotency.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Position } from '../../core/position.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';
import type { LogBlock } from '../../log/reader.ts';
import { buildRelation, decodeEnrichment } from '../../pgoutput/enrichment.ts';
import {
  decodeBegin,
  decodeCommit,
  decodeLogicalMessage,
  decodeRelation,
  decodeTruncate,
  relationIdOfRow,
  type LogicalMessage,
  type RawRelation,
} from '../../pgoutput/messages.ts';
import { rowEventsIn } from '../../pgoutput/row-numbers.ts';
import type { PendingTransaction } from '../delivery/pending.ts';

export type WalkPorts = {
  /** A message that is part of the transaction: answers the transaction as it is for the changes after it. */
  marker(transaction: PendingTransaction, message: LogicalMessage): PendingTransaction;
  /** Reading began inside a transaction, after its first marker. */
  markersLost(transaction: PendingTransaction): void;
  committed(transaction: PendingTransaction): void;
  /** A relation is new or has another shape. */
  relation(relation: Relation): void;
  /** An insert, update or delete: the message is `bytes[start, end)`, at log offset `offset`. */
  row(
    relationId: number,
    bytes: Buffer,
    start: number,
    end: number,
    offset: number,
    transaction: PendingTransaction,
    index: number,
  ): void;
  /** One table of a TRUNCATE. */
  truncate(
    relationId: number,
    offset: number,
    frameLength: number,
    transaction: PendingTransaction,
    index: number,
  ): void;
  /** A row too large to be kept whole. `kind` is the first byte of its message. */
  oversize(
    relationId: number,
    kind: number,
    rawBytes: number,
    offset: number,
    transaction: PendingTransaction,
    index: number,
  ): void;
};

/** Where the walk stands: everything before has been called out. `offset`: from there on the log is still needed. */
export type WalkHead = { readonly position: Position; readonly offset: number; readonly endLsn: Lsn };

export class LogWalker {
  readonly #ports: WalkPorts;
  readonly #streamKey: string;
  /** The Relation message whose enrichment is awaited: it comes in the next frame. */
  #raw: RawRelation | undefined;
  #transaction: PendingTransaction | undefined;
  #index = 0;
  #epoch: number;
  #timeline = 0;
  #lastCommitLsn: Lsn;
  #lastEndLsn: Lsn;
  /** Row events of the last whole transaction. */
  #lastCount: number;
  #offset: number;
  /** Log offset of the block in hand. */
  #blockStart = 0;

  /** `start`: everything before it is done already. */
  constructor(streamKey: string, start: WalkHead, ports: WalkPorts) {
    this.#streamKey = streamKey;
    this.#ports = ports;
    this.#epoch = start.position.epoch;
    this.#lastCommitLsn = start.position.commitLsn;
    this.#lastCount = start.position.index;
    this.#lastEndLsn = start.endLsn;
    this.#offset = start.offset;
  }

  /** After whole blocks: what comes next is at this position. */
  get head(): WalkHead {
    const transaction = this.#transaction;
    const position: Position =
      transaction === undefined
        ? { epoch: this.#epoch, commitLsn: this.#lastCommitLsn, index: this.#lastCount }
        : { epoch: transaction.epoch, commitLsn: transaction.commitLsn, index: this.#index };
    return { position, offset: transaction?.markedFrom ?? this.#offset, endLsn: this.#lastEndLsn };
  }

  block(block: LogBlock): void {
    if (!block.relationsOnly) this.#enter(block);
    const { buffer, end } = block;
    this.#blockStart = block.offset;
    let at = block.start;
    while (at < end) {
      const start = at + FRAME_HEADER_BYTES;
      const next = start + buffer.readUInt32BE(at);
      this.#frame(buffer, start, next, block.offset + (start - block.start));
      at = next;
    }
    if (!block.relationsOnly) this.#offset = block.blockEnd;
  }

  /** A block's header says where the stream stands; it is taken over at every block. */
  #enter(block: LogBlock): void {
    const { context } = block;
    this.#epoch = context.epoch;
    this.#timeline = context.timeline;
    this.#lastEndLsn = context.lastEndLsn;
    if (context.lastCommitLsn !== this.#lastCommitLsn) {
      this.#lastCommitLsn = context.lastCommitLsn;
      this.#lastCount = LAST_INDEX;
    }
    if (!context.inTransaction) {
      this.#transaction = undefined;
    } else if (
      this.#transaction?.commitLsn !== context.commitLsn ||
      this.#transaction.epoch !== context.epoch
    ) {
      this.#transaction = this.#begin(context);
      if (context.marked) this.#ports.markersLost(this.#transaction);
    }
    this.#index = context.index;
  }

  #begin(begin: { commitLsn: Lsn; commitTimeUs: bigint; xid: number }): PendingTransaction {
    const transaction: TransactionContext = {
      epoch: this.#epoch,
      commitLsn: begin.commitLsn,
      previousEndLsn: this.#lastEndLsn,
      commitTimeUs: begin.commitTimeUs,
      xid: begin.xid,
      timeline: this.#timeline,
    };
    return { ...transaction, key: transactionKey(this.#streamKey, transaction) };
  }

  #frame(buffer: Buffer, start: number, end: number, offset: number): void {
    const type = buffer[start];
    if (type === FRAME.insert || type === FRAME.update || type === FRAME.delete) {
      const relationId = relationIdOfRow(buffer, start);
      this.#ports.row(relationId, buffer, start, end, offset, this.#transaction!, this.#index);
      this.#index += rowEventsIn(buffer, start);
    } else if (type === FRAME.begin) {
      this.#transaction = this.#begin(decodeBegin(buffer, start, end));
      this.#index = 0;
    } else if (type === FRAME.commit) {
      const commit = decodeCommit(buffer, start, end);
      this.#ports.committed(this.#transaction!);
      this.#lastCommitLsn = commit.commitLsn;
      this.#lastEndLsn = commit.endLsn;
      this.#lastCount = this.#index;
      this.#transaction = undefined;
      this.#index = 0;
    } else if (type === FRAME.relation) {
      this.#raw = decodeRelation(buffer, start, end);
    } else if (type === FRAME.enrichment) {
      this.#ports.relation(buildRelation(this.#raw!, decodeEnrichment(buffer, start, end)));
    } else if (type === FRAME.truncate) {
      let index = this.#index;
      for (const relationId of decodeTruncate(buffer, start, end).relationIds) {
        this.#ports.truncate(relationId, offset, end - start, this.#transaction!, index++);
      }
      this.#index += rowEventsIn(buffer, start);
    } else if (type === FRAME.oversize) {
      const relationId = buffer.readUInt32BE(start + 2);
      const rawBytes = Number(buffer.readBigUInt64BE(start + 6));
      const kind = buffer[start + 1]!;
      this.#ports.oversize(relationId, kind, rawBytes, offset, this.#transaction!, this.#index);
      this.#index += rowEventsIn(buffer, start);
    } else if (type === FRAME.logicalMessage && this.#transaction !== undefined) {
      // One outside of a transaction is nobody's: it says nothing of any change.
      const message = decodeLogicalMessage(buffer, start, end);
      const { markedFrom = this.#blockStart } = this.#transaction;
      this.#transaction = this.#ports.marker({ ...this.#transaction, markedFrom }, message);
    }
    // Types, origins and pieces of oversize rows make no message.
  }
}

/** An index after every row event of a transaction whose rows were not counted here. */
const LAST_INDEX = 0xffff_ffff;
