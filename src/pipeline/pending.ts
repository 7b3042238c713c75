// A message on its way through one sink: what the sink sees of it, and its place among the others.
import type { Action, TransactionContext } from '../core/change.ts';
import { idempotencyKey } from '../core/idempotency.ts';
import type { Message } from '../core/message.ts';
import type { Position } from '../core/position.ts';
import type { GroupQueue } from './groups.ts';
import type { RouteQueue } from './route-queue.ts';
import type { TableOrder } from './table-order.ts';
import type { TablePlan } from './table-plan.ts';

/** What all changes of one transaction share in one sink. */
export type PendingTransaction = TransactionContext & {
  /** The part of the idempotency key that they share. */
  readonly key: string;
};

/**
 * waiting: something before it is not settled yet · ready: in its route's queue · sending: in a request ·
 * backing-off: failed, its timer runs · settled
 */
export type PendingState = 'waiting' | 'ready' | 'sending' | 'backing-off' | 'settled';

/** One of the groups that a message is in: a changed key puts it into two. */
export type GroupLink = {
  readonly message: Pending;
  readonly queue: GroupQueue;
  previous: GroupLink | undefined;
  next: GroupLink | undefined;
};

const NO_BYTES = Buffer.alloc(0);

export class Pending implements Message {
  readonly transaction: PendingTransaction;
  readonly index: number;
  readonly plan: TablePlan;
  readonly action: Action;
  readonly routeQueue: RouteQueue;
  readonly group: string;
  /** Log offset and length of the raw message: enough to render it again. */
  readonly offset: number;
  readonly frameLength: number;
  /** Of a row too large for the log to keep whole: its size. Else 0. Such a row cannot be rendered. */
  readonly rawBytes: number;

  /** The rendered message; empty while parked (only the log offset is kept). */
  buffer: Buffer = NO_BYTES;
  start = 0;
  end = 0;

  state: PendingState = 'waiting';
  attempts = 0;
  /** Of a dead letter that is sent again: its id in the store. Else 0. */
  letterId = 0;
  /** How many unsettled messages must settle before this one may go. */
  waitsOn = 0;
  links: GroupLink | undefined;
  secondLink: GroupLink | undefined;
  tableOrder: TableOrder | undefined;
  /** Neighbours among all unsettled messages of the sink, in log order. */
  before: Pending | undefined;
  after: Pending | undefined;

  constructor(what: {
    transaction: PendingTransaction;
    index: number;
    plan: TablePlan;
    action: Action;
    routeQueue: RouteQueue;
    group: string;
    offset: number;
    frameLength: number;
    rawBytes: number;
  }) {
    this.transaction = what.transaction;
    this.index = what.index;
    this.plan = what.plan;
    this.action = what.action;
    this.routeQueue = what.routeQueue;
    this.group = what.group;
    this.offset = what.offset;
    this.frameLength = what.frameLength;
    this.rawBytes = what.rawBytes;
  }

  get position(): Position {
    const { epoch, commitLsn } = this.transaction;
    return { epoch, commitLsn, index: this.index };
  }
  get route(): string {
    return this.routeQueue.id;
  }
  get schema(): string {
    return this.plan.relation.schema;
  }
  get table(): string {
    return this.plan.relation.table;
  }
  get idempotencyKey(): string {
    return idempotencyKey(this.transaction.key, this.index);
  }

  get groupId(): string | undefined {
    if (!this.plan.grouped) return this.idempotencyKey;
    return this.routeQueue.route.groupTemplate === undefined ? undefined : this.group;
  }

  get isParked(): boolean {
    return this.end === 0;
  }
  get byteLength(): number {
    return this.end - this.start;
  }

  /** Drops the payload: it is rendered again from the log when its turn comes. */
  park(): void {
    this.buffer = NO_BYTES;
    this.start = 0;
    this.end = 0;
  }
}
