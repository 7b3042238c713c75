// Following the stream's context over frames: transactions, row numbers, last LSNs. Hot file: plain loops (bench/micro/log.ts).
import { TailraceError } from '../core/errors.ts';
import { toLsn, ZERO_LSN } from '../core/lsn.ts';
import { partedEnd, type Partings } from '../core/partings.ts';
import { comparePositions, type Position } from '../core/position.ts';
import type { BlockContext } from './format.ts';
import { POSTGRES_EPOCH_US } from '../pgoutput/bytes.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../pgoutput/frames.ts';
import { firstIndexOf, readsLsn } from '../pgoutput/reads.ts';
import { rowEventsIn } from '../pgoutput/row-numbers.ts';

export type Advance = {
  /** Where the stream stands after the frames. */
  readonly context: BlockContext;
  /** Where the Begin of a transaction that does not end here stands; undefined when there is none. */
  readonly unfinishedBegin: number | undefined;
};

/**
 * Walks the frames in `buffer[start, end)`, which begin in `context`. LSNs are read once a call, not once a
 * transaction: a BigInt per row is what this avoids.
 */
export function advance(context: BlockContext, buffer: Buffer, start: number, end: number): Advance {
  let inTransaction = context.inTransaction;
  let index = context.index;
  let marked = context.marked;
  let begin = -1;
  let lastCommit = -1;
  // Commit and number of the last row event in a transaction that ended here.
  let eventCommit = -1;
  let eventIndex = -1;
  let at = start;
  while (at + FRAME_HEADER_BYTES < end) {
    const body = at + FRAME_HEADER_BYTES;
    index += rowEventsIn(buffer, body);
    switch (buffer[body]!) {
      case FRAME.begin:
        inTransaction = true;
        begin = at;
        index = 0;
        marked = false;
        break;
      case FRAME.commit:
        if (index > 0) {
          eventCommit = body;
          eventIndex = index - 1;
        }
        inTransaction = false;
        begin = -1;
        lastCommit = body;
        index = 0;
        marked = false;
        break;
      case FRAME.logicalMessage:
        marked = inTransaction;
        break;
      case FRAME.reads:
        // Numbers that were given out and lost to a power cut are not given out again.
        index = firstIndexOf(buffer, body);
        break;
      default:
    }
    at = body + buffer.readUInt32BE(at);
  }
  if (at !== end) {
    throw new TailraceError('the log was given bytes that are not whole frames', {
      code: 'LOG_MALFORMED_FRAMES',
      kind: 'fatal',
      mend: 'restart',
    });
  }
  const transaction = transactionAt(buffer, begin, inTransaction ? context : undefined);
  const lastCommitLsn = lastCommit < 0 ? context.lastCommitLsn : commitLsnAt(buffer, lastCommit);
  return {
    context: {
      inTransaction,
      epoch: context.epoch,
      timeline: context.timeline,
      ...transaction,
      marked,
      index,
      lastCommitLsn,
      lastEndLsn: lastCommit < 0 ? context.lastEndLsn : toLsn(buffer.readBigUInt64BE(lastCommit + 10)),
      before:
        index > 0
          ? {
              epoch: context.epoch,
              commitLsn: inTransaction ? transaction.commitLsn : readsLsn(lastCommitLsn),
              index: index - 1,
            }
          : eventCommit >= 0
            ? { epoch: context.epoch, commitLsn: commitLsnAt(buffer, eventCommit), index: eventIndex }
            : context.before,
    },
    unfinishedBegin: begin < 0 ? undefined : begin,
  };
}

type TransactionStart = Pick<BlockContext, 'commitLsn' | 'commitTimeUs' | 'xid'>;

/** The transaction whose Begin frame is at `begin`; `-1`: the one that `context` has in progress, if any. */
function transactionAt(buffer: Buffer, begin: number, context: BlockContext | undefined): TransactionStart {
  if (begin >= 0) return readBegin(buffer, begin);
  if (context === undefined) return { commitLsn: ZERO_LSN, commitTimeUs: 0n, xid: 0 };
  return { commitLsn: context.commitLsn, commitTimeUs: context.commitTimeUs, xid: context.xid };
}

/** Reads the Begin frame at `at`. */
export function readBegin(buffer: Buffer, at: number): TransactionStart {
  const body = at + FRAME_HEADER_BYTES;
  return {
    commitLsn: toLsn(buffer.readBigUInt64BE(body + 1)),
    commitTimeUs: buffer.readBigInt64BE(body + 9) + POSTGRES_EPOCH_US,
    xid: buffer.readUInt32BE(body + 17),
  };
}

const commitLsnAt = (buffer: Buffer, body: number) => toLsn(buffer.readBigUInt64BE(body + 2));

/** The context outside of the transaction in progress, in the history given: how a parting abandons one. */
export function abandonTransaction(
  context: BlockContext,
  history: { readonly epoch: number; readonly timeline: number },
): BlockContext {
  return {
    ...context,
    ...history,
    inTransaction: false,
    commitLsn: ZERO_LSN,
    commitTimeUs: 0n,
    xid: 0,
    marked: false,
    index: 0,
  };
}

/** The end of a log that has nothing yet of what comes behind its last partings. */
export const partedEndOf = (context: BlockContext, partings: Partings): BlockContext =>
  partings.reduce((end, parting) => (parting.epoch > context.epoch ? partedEnd(end, parting) : end), context);

/** Is everything after `position` at or after the place that `context` describes? A transaction's commit is after its last row event. */
export function startsWithin(context: BlockContext, position: Position): boolean {
  const order = comparePositions(position, context.before);
  return order > 0 || (order === 0 && !isCommitted(context));
}

/** The same without commits: no row event is missing. */
export const rowsStartWithin = (context: BlockContext, position: Position): boolean =>
  comparePositions(position, context.before) >= 0;

/** Has the last row event before this place been committed before it, too? */
function isCommitted({ before, inTransaction, commitLsn, lastCommitLsn }: BlockContext): boolean {
  const isOpen = inTransaction && commitLsn === before.commitLsn;
  const isOfTransaction = before.index >= 0 && before.commitLsn !== readsLsn(lastCommitLsn);
  return isOfTransaction && !isOpen;
}
