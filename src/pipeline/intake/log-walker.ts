// Walks the frames of log blocks and calls out each row event with its place. Hot file (bench/micro).
import type { Relation, TransactionContext } from '../../core/change.ts';
import { backfillKey, transactionKey } from '../../core/idempotency.ts';
import { ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import type { Position } from '../../core/position.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';
import type { Kept, LogBlock } from '../../log/block.ts';
import { buildRelation, decodeEnrichment } from '../../pgoutput/enrichment.ts';
import {
  decodeBegin,
  decodeCommit,
  decodeLogicalMessage,
  decodeRelation,
  decodeTruncate,
  isGoneRow,
  relationIdOfRow,
  type LogicalMessage,
  type RawRelation,
} from '../../pgoutput/messages.ts';
import { decodeReads, readRelationId, readsLsn } from '../../pgoutput/reads.ts';
import { rowEventsIn } from '../../pgoutput/row-numbers.ts';
import { saltOf, type Salts } from '../../store/renumbered.ts';
import type { PendingTransaction } from '../delivery/pending.ts';

export type WalkPorts = {
  /** A message that is part of the transaction: answers the transaction as it is for the changes after it. */
  marker(transaction: PendingTransaction, message: LogicalMessage): PendingTransaction;
  /** Reading began inside a transaction, after its first marker. */
  markersLost(transaction: PendingTransaction): void;
  /** The transaction in hand ends. `commit`: its Commit message, whose number is the one behind its last row event. */
  committed(commit: LoggedRow): void;
  /** Is nothing of this transaction let in yet, where what is let in first needs its beginning? Then the head stays there. */
  holdsBegin?(transaction: PendingTransaction): boolean;
  /** A relation is new or has another shape. */
  relation(relation: Relation): void;
  /** Rows of this relation follow that a backfill has read, for these sinks (undefined: for all). */
  reads(relation: Relation, sinks: readonly string[] | undefined): void;
  /** An insert, update or delete, or a row that a backfill has read. */
  row(row: LoggedRow): RowsPassed | void;
  /** One table of a TRUNCATE. */
  truncate(row: LoggedRow): void;
  /** A row too large to be kept whole. */
  oversize(row: LoggedRow): void;
  /**
   * The block is walked to its end. Has all that it called out been let in, or passed over? While that is not so, or
   * where `signal` ends it, what was called out is not done: the head stays before the block.
   */
  letIn(signal: AbortSignal): boolean | Promise<boolean>;
};

/** Inserts, updates or deletes directly behind a row that need not be called out, and where in the block the frame behind them begins. */
export type RowsPassed = { readonly rows: number; readonly next: number };

/** A row event as it lies in the log. One value a walker, filled again for every row: valid until the next one. */
export type LoggedRow = {
  readonly relationId: number;
  /** First byte of its message. Of an oversize row: of the message that it was. */
  readonly kind: number;
  /** What the log has of it is `bytes[start, end)`. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Where that lies in the log. */
  readonly offset: number;
  readonly transaction: PendingTransaction;
  readonly index: number;
  /** Of a row too large to be kept whole: its size. Else 0. */
  readonly rawBytes: number;
  /** What other sinks make of its block is kept there; undefined: they have not the same one. */
  readonly kept: Kept | undefined;
};

type Scratch = { -readonly [Field in keyof LoggedRow]: LoggedRow[Field] };

/** With what they become they fill a tenth of a processor's second cache. */
const SOME_FRAMES = 64;

/** No transaction has its changes numbered otherwise than before. */
const NO_SALTS: Salts = [];

/** Where the walk stands: everything before has been called out. `offset`: from there on the log is still needed. */
export type WalkHead = {
  readonly position: Position;
  readonly offset: number;
  readonly endLsn: Lsn;
  /** Undefined: nothing has been read yet. */
  readonly timeline?: number | undefined;
};

export class LogWalker {
  readonly #ports: WalkPorts;
  readonly #streamKey: string;
  readonly #salts: Salts;
  /** The Relation message whose enrichment is awaited: it comes in the next frame. */
  #raw: RawRelation | undefined;
  #transaction: PendingTransaction | undefined;
  #index = 0;
  /** Invariant: its `bytes` and `transaction` are those of the block and the transaction in hand. */
  readonly #row: Scratch = {
    relationId: 0,
    kind: 0,
    bytes: Buffer.alloc(0),
    start: 0,
    end: 0,
    offset: 0,
    transaction: undefined as never,
    index: 0,
    rawBytes: 0,
    kept: undefined,
  };
  #epoch: number;
  #timeline = 0;
  #lastCommitLsn: Lsn;
  #lastEndLsn: Lsn;
  /** Where the log has no transaction before it yet, this is what is known to be done. */
  readonly #startEndLsn: Lsn;
  /** Row events of the last whole transaction, and its commit. */
  #lastCount: number;
  #offset: number;
  #head: WalkHead;
  /** Log offset of the block in hand. */
  #blockStart = 0;
  #isInHand = false;

  /** `start`: everything before it is done already. */
  constructor(streamKey: string, start: WalkHead, ports: WalkPorts, salts: Salts = NO_SALTS) {
    this.#streamKey = streamKey;
    this.#salts = salts;
    this.#ports = ports;
    this.#epoch = start.position.epoch;
    this.#lastCommitLsn = start.position.commitLsn;
    this.#lastCount = start.position.index;
    this.#lastEndLsn = start.endLsn;
    this.#startEndLsn = start.endLsn;
    this.#offset = start.offset;
    this.#head = start;
  }

  /** Between blocks, what comes next is at this position; while one is in hand, its first row is (invariant 2). */
  get head(): WalkHead {
    return this.#head;
  }

  /** Is a block in hand? Then what has been let in, or is settled already, may lie beyond the head. */
  get isInHand(): boolean {
    return this.#isInHand;
  }

  /**
   * Calls out what is in the block. Where a promise comes back the block's bytes are in use until it settles, and no
   * other block may be given; when `signal` aborts it settles soon, and what is not let in then comes again. `between`: called now and then,
   * when some more frames have been called out.
   */
  block(block: LogBlock, signal: AbortSignal, between?: () => void): void | Promise<void> {
    this.#isInHand = true;
    if (!block.relationsOnly) this.#enter(block);
    const { buffer, end } = block;
    this.#blockStart = block.offset;
    this.#row.bytes = buffer;
    this.#row.kept = block.kept;
    let at = block.start;
    for (let frames = 1; at < end; frames++) {
      const start = at + FRAME_HEADER_BYTES;
      const behind = start + buffer.readUInt32BE(at);
      at = this.#frame(buffer, start, behind, block.offset + (start - block.start));
      if (frames % SOME_FRAMES === 0) between?.();
    }
    const isLetIn = this.#ports.letIn(signal);
    if (isLetIn === true) this.#pass(block);
    else if (isLetIn !== false) return isLetIn.then((isDone) => (isDone ? this.#pass(block) : undefined));
  }

  #pass(block: LogBlock): void {
    if (!block.relationsOnly) this.#offset = block.blockEnd;
    this.#moveHead();
    this.#isInHand = false;
  }

  /** What held the head may hold it no longer (`holdsBegin`), and no block comes that would tell. */
  lookAgain(): void {
    if (!this.#isInHand && this.#transaction !== undefined) this.#moveHead();
  }

  #moveHead(): void {
    const transaction = this.#transaction;
    const isHeld = transaction?.beganAt !== undefined && this.#ports.holdsBegin?.(transaction) === true;
    const position: Position =
      transaction !== undefined
        ? { epoch: transaction.epoch, commitLsn: transaction.commitLsn, index: isHeld ? 0 : this.#index }
        : this.#index === 0
          ? { epoch: this.#epoch, commitLsn: this.#lastCommitLsn, index: this.#lastCount }
          : { epoch: this.#epoch, commitLsn: readsLsn(this.#lastCommitLsn), index: this.#index };
    const offset = (isHeld ? transaction.beganAt : transaction?.markedFrom) ?? this.#offset;
    const timeline = this.#timeline === 0 ? undefined : this.#timeline;
    const endLsn = this.#lastEndLsn === ZERO_LSN ? this.#startEndLsn : this.#lastEndLsn;
    this.#head = { position, offset, endLsn, timeline };
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
      // Where none of its rows is before the block, it is as if it began here.
      const transaction = this.#begin(context, context.index === 0 ? block.offset : undefined);
      this.#goOn(transaction);
      if (context.marked) this.#ports.markersLost(transaction);
    }
    this.#index = context.index;
  }

  #begin(
    begin: { commitLsn: Lsn; commitTimeUs: bigint; xid: number },
    beganAt: number | undefined,
  ): PendingTransaction {
    const transaction: TransactionContext = {
      epoch: this.#epoch,
      commitLsn: begin.commitLsn,
      previousEndLsn: this.#lastEndLsn,
      commitTimeUs: begin.commitTimeUs,
      xid: begin.xid,
      timeline: this.#timeline,
    };
    const salt = saltOf(this.#salts, transaction);
    return { ...transaction, key: transactionKey(this.#streamKey, transaction, salt), beganAt };
  }

  /** Answers where the next one begins that is to be called out. */
  #frame(buffer: Buffer, start: number, end: number, offset: number): number {
    const type = buffer[start];
    if (type === FRAME.insert || type === FRAME.update || type === FRAME.delete) {
      const row = this.#rowAt(start, end, offset);
      row.relationId = relationIdOfRow(buffer, start);
      row.kind = type;
      const passed = this.#ports.row(row);
      this.#index++;
      if (passed !== undefined) {
        this.#index += passed.rows;
        return passed.next;
      }
    } else if (type === FRAME.begin) {
      this.#goOn(this.#begin(decodeBegin(buffer, start, end), offset));
      this.#index = 0;
    } else if (type === FRAME.commit) {
      const commit = decodeCommit(buffer, start, end);
      const row = this.#rowAt(start, end, offset);
      row.kind = type;
      this.#ports.committed(row);
      this.#lastCommitLsn = commit.commitLsn;
      this.#lastEndLsn = commit.endLsn;
      // The commit has a number, too.
      this.#lastCount = this.#index + 1;
      this.#transaction = undefined;
      this.#index = 0;
    } else if (type === FRAME.relation) {
      this.#raw = decodeRelation(buffer, start, end);
    } else if (type === FRAME.enrichment) {
      this.#ports.relation(buildRelation(this.#raw!, decodeEnrichment(buffer, start, end)));
    } else if (type === FRAME.truncate) {
      const row = this.#rowAt(start, end, offset);
      row.kind = type;
      for (const relationId of decodeTruncate(buffer, start, end).relationIds) {
        row.relationId = relationId;
        this.#ports.truncate(row);
        row.index++;
      }
      this.#index += rowEventsIn(buffer, start);
    } else if (type === FRAME.oversize) {
      const row = this.#rowAt(start, end, offset);
      const relationId = buffer.readUInt32BE(start + 2);
      row.kind = buffer[start + 1]!;
      row.relationId = row.kind === FRAME.read ? readRelationId(relationId) : relationId;
      row.rawBytes = Number(buffer.readBigUInt64BE(start + 6));
      this.#ports.oversize(row);
      row.rawBytes = 0;
      this.#index += rowEventsIn(buffer, start);
    } else if (type === FRAME.read) {
      const row = this.#rowAt(start, end, offset);
      row.relationId = readRelationId(relationIdOfRow(buffer, start));
      row.kind = isGoneRow(buffer, start) ? FRAME.delete : type;
      this.#ports.row(row);
      this.#index++;
    } else if (type === FRAME.reads) {
      this.#reads(decodeReads(buffer, start, end));
    } else if (type === FRAME.logicalMessage && this.#transaction !== undefined) {
      // One outside of a transaction is nobody's: it says nothing of any change.
      const message = decodeLogicalMessage(buffer, start, end);
      const { markedFrom = this.#blockStart } = this.#transaction;
      this.#goOn(this.#ports.marker({ ...this.#transaction, markedFrom }, message));
    }
    // Types, origins and pieces of oversize rows make no message.
    return end;
  }

  /** Rows follow that stand between two transactions: each with a place and a number of its own, as if they were one. */
  #reads({
    backfill,
    sinks,
    watermark,
    readAtUs,
    firstIndex,
    relation,
  }: ReturnType<typeof decodeReads>): void {
    this.#index = firstIndex;
    this.#row.transaction = {
      epoch: this.#epoch,
      commitLsn: readsLsn(this.#lastCommitLsn),
      previousEndLsn: this.#lastEndLsn,
      commitTimeUs: readAtUs,
      xid: 0,
      timeline: this.#timeline,
      key: backfillKey(this.#streamKey, backfill),
      readUpTo: watermark,
    };
    this.#ports.reads(relation, sinks);
  }

  /** The rows that follow are of this transaction. */
  #goOn(transaction: PendingTransaction): void {
    this.#transaction = transaction;
    this.#row.transaction = transaction;
  }

  /** The next row, at this place; who calls says what it is. */
  #rowAt(start: number, end: number, offset: number): Scratch {
    const row = this.#row;
    row.start = start;
    row.end = end;
    row.offset = offset;
    row.index = this.#index;
    return row;
  }
}

/** An index after every row event of a transaction whose rows were not counted here. */
const LAST_INDEX = 0xffff_ffff;
