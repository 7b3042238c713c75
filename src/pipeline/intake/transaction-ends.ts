// The messages that begin and end a transaction, for a sink whose format has them: around what the sink takes of it, in its one group.
// One that it takes nothing of has none.
//
// What begins it shares the place of its first row event, whether or not the sink takes that one; until it is let in the walker's head
// stays there, so a cursor behind that place says that it is settled. What ends it has the number behind its last row event.
import type { MessageAction } from '../../core/change.ts';
import { decodeCommit } from '../../pgoutput/messages.ts';
import type { TransactionForm } from '../../formats/format.ts';
import { Pending, SplitChange, type MessagePlan, type PendingTransaction } from '../delivery/pending.ts';
import type { RouteQueue } from '../delivery/route-queue.ts';
import type { EntryPorts } from './entry-ports.ts';
import type { LoggedRow } from './log-walker.ts';
import type { MessageRendering } from './message-rendering.ts';

/** How a sink sends them. */
export type TransactionPlan = {
  readonly form: TransactionForm;
  /** Of no table. */
  readonly plan: MessagePlan;
  readonly routeQueue: RouteQueue<Pending>;
  /** All messages of the sink are in it. */
  readonly group: string;
};

/** What is known of them where they are told of. */
export type TransactionPorts = {
  /** Was a change settled before the restart, or is it of a lost history? Here what is given up is not. */
  wasSettled(transaction: PendingTransaction, index: number): boolean;
  /** Is what lies before it in the log given up? Counts nothing. */
  isGivenUp(offset: number): boolean;
  /** What was due to begin a transaction is given up: that counts. */
  givenUp(): void;
};

/**
 * due: the sink has taken nothing of it yet · begun: what begins it is let in, or settled, or was not read · given-up: as due, and the
 * log is not kept for what begins it
 */
type Standing = 'due' | 'begun' | 'given-up';
type Asked = { readonly transaction: PendingTransaction; standing: Standing };

type Ports = EntryPorts & {
  readonly rendering: MessageRendering;
};

/** A Commit message, kept until the rows before it are let in. */
export type PlacedCommit = Pick<LoggedRow, 'transaction' | 'index' | 'bytes' | 'start' | 'end' | 'offset'> & {
  /** So many rows of the block in hand are before it. */
  readonly behind: number;
};

const NO_RELATION = 0;

export class TransactionEnds {
  readonly #plan: TransactionPlan & TransactionPorts;
  readonly #ports: Ports;
  /** The last one that was asked about. */
  #last: Asked | undefined;

  constructor(plan: TransactionPlan & TransactionPorts, ports: Ports) {
    this.#plan = plan;
    this.#ports = ports;
  }

  /** Does what begins it need the log from there on, though the sink has taken nothing of it? */
  holdsBegin(transaction: PendingTransaction): boolean {
    return this.#of(transaction).standing === 'due';
  }

  #of(transaction: PendingTransaction): Asked {
    if (this.#last === undefined || !isSame(this.#last.transaction, transaction))
      this.#last = { transaction, standing: this.#isBegun(transaction) ? 'begun' : 'due' };
    const { standing } = this.#last;
    if (standing === 'due' && this.#plan.isGivenUp(transaction.beganAt!)) this.#last.standing = 'given-up';
    return this.#last;
  }

  /** Is what begins it settled before? So it is where reading began inside it. */
  #isBegun(transaction: PendingTransaction): boolean {
    return (
      transaction.beganAt === undefined ||
      this.#plan.wasSettled(transaction, 0) ||
      this.#ports.isPartDone(transaction, 0, 'begin')
    );
  }

  /** A change follows that the sink takes. Answers what it is a part of, where it shares its place with what begins its transaction. */
  before(row: LoggedRow): SplitChange | undefined {
    const { transaction, index } = row;
    const last = this.#of(transaction);
    const { standing } = last;
    last.standing = 'begun';
    if (standing === 'begun') {
      const isTold = index === 0 && this.#ports.isPartDone(transaction, 0, 'begin');
      return isTold ? new SplitChange(0, ['begin']) : undefined;
    }
    if (standing === 'given-up') {
      this.#plan.givenUp();
      return undefined;
    }
    const split = index === 0 ? new SplitChange(1, this.isRowDone(row) ? ['row'] : []) : undefined;
    const offset = transaction.beganAt!;
    const message = this.#message({ transaction, index: 0, offset, frameLength: 0 }, 'begin', split);
    this.#letIn(message, () => this.render(message));
    return split;
  }

  /** Was the row settled before the restart, and what begins its transaction was not? */
  isRowDone({ transaction, index }: LoggedRow): boolean {
    return index === 0 && this.#ports.isPartDone(transaction, 0, 'row');
  }

  /** All that the sink takes of it is let in. Where that is nothing, nothing ends either. */
  commit({ transaction, index, offset, bytes, start, end }: PlacedCommit): void {
    if (this.#of(transaction).standing !== 'begun') return;
    if (this.#ports.isDone(transaction, index, offset, NO_RELATION)) return;
    const message = this.#message({ transaction, index, offset, frameLength: end - start }, 'commit');
    this.#letIn(message, () => this.#renderCommit(message, bytes, start, end));
  }

  /** Renders one again that was parked. */
  render(message: Pending): void {
    const { offset, frameLength } = message;
    if (message.action === 'commit') {
      this.#renderCommit(message, this.#ports.readFrames(offset, frameLength), 0, frameLength);
    } else {
      const { form } = this.#plan;
      this.#ports.rendering.other(message, (writer) => form.begin(message.transaction, writer));
    }
  }

  #renderCommit(message: Pending, bytes: Buffer, start: number, end: number): void {
    const { form } = this.#plan;
    const { endLsn } = decodeCommit(bytes, start, end);
    this.#ports.rendering.other(message, (writer) => form.commit(message.transaction, endLsn, writer));
  }

  #message(
    what: Pick<Pending, 'transaction' | 'index' | 'offset' | 'frameLength'>,
    action: MessageAction,
    split?: SplitChange,
  ): Pending {
    const { plan, routeQueue, group } = this.#plan;
    const part = action === 'begin' ? ({ part: 'begin', split } as const) : {};
    return new Pending({ ...what, ...part, action, plan, routeQueue, group, rawBytes: 0 });
  }

  #letIn(message: Pending, render: () => void): void {
    const { unsettled } = this.#ports;
    const { plan, routeQueue, group } = this.#plan;
    if (!unsettled.shouldPark(plan.barriers, group, routeQueue)) render();
    unsettled.enter(message, group);
  }
}

/** Another object from each marker in it on. */
const isSame = (a: PendingTransaction, b: PendingTransaction): boolean =>
  a.commitLsn === b.commitLsn && a.epoch === b.epoch;
