// From a row event in the log to a message in the dispatcher: match, group, render. Hot file (bench/micro).
import { createRowEvent, type Action, type Relation, type RowEvent } from '../core/change.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import type { RenderContext } from '../formats/format.ts';
import { FRAME } from '../log/frames.ts';
import { decodeRow } from '../postgres/pgoutput.ts';
import type { Dispatcher } from './dispatcher.ts';
import { Pending, type PendingTransaction } from './pending.ts';
import type { ActionPlan, TablePlan } from './table-plan.ts';
import type { WalkPorts } from './log-walker.ts';

/** Messages are rendered one behind the other into arenas of about this size. */
const ARENA_BYTES = 256 * 1024;

export type IntakePorts = {
  readonly dispatcher: Dispatcher;
  compile(relation: Relation): TablePlan | undefined;
  /** Was it settled before the restart? */
  wasSettled(transaction: PendingTransaction, index: number): boolean;
  /** The bytes of a raw message in the log. */
  readFrames(offset: number, length: number): Buffer;
  /** Messages wait for consumers, perhaps for hours: each gets bytes of its own, or one would hold a whole arena. */
  readonly staysLong: boolean;
};

type RowContext = {
  readonly plan: TablePlan;
  readonly actionPlan: ActionPlan;
  readonly action: Action;
  readonly transaction: PendingTransaction;
  readonly index: number;
  readonly offset: number;
  readonly frameLength: number;
  readonly rawBytes: number;
};

/** The walker's ports of one sink, and the rendering of what was parked. */
export class RowIntake implements WalkPorts {
  readonly #ports: IntakePorts;
  readonly #relations = new Map<number, Relation>();
  /** Undefined: not compiled yet; null: the sink does not want this relation. */
  readonly #plans = new Map<number, TablePlan | null>();
  readonly #event: RowEvent = createRowEvent();
  #arena = new ByteWriter(ARENA_BYTES);
  readonly #context: RenderContext = {
    transaction: undefined as never,
    index: 0,
    idempotencyKey: '',
    severalActions: false,
  };

  constructor(ports: IntakePorts) {
    this.#ports = ports;
  }

  relation(relation: Relation): void {
    this.#relations.set(relation.id, relation);
    this.#plans.delete(relation.id);
  }

  row(
    relationId: number,
    bytes: Buffer,
    start: number,
    end: number,
    offset: number,
    transaction: PendingTransaction,
    index: number,
  ): void {
    const plan = this.#planOf(relationId);
    if (plan === null) return;
    const action = ACTIONS[bytes[start]!]!;
    const actionPlan = plan[action];
    if (actionPlan === undefined || this.#ports.wasSettled(transaction, index)) return;
    const event = this.#event;
    decodeRow(bytes, start, end, event);
    const group = actionPlan.group?.current(event, transaction);
    const previousGroup = actionPlan.group?.previous(event, transaction);
    const message = this.#message(
      { plan, actionPlan, action, transaction, index, offset, frameLength: end - start, rawBytes: 0 },
      group,
    );
    const { dispatcher } = this.#ports;
    if (!dispatcher.shouldPark(plan.barriers, group, actionPlan.routeQueue)) this.#renderRow(message);
    dispatcher.add(message, { group, previousGroup: previousGroup === group ? undefined : previousGroup });
  }

  truncate(
    relationId: number,
    offset: number,
    frameLength: number,
    transaction: PendingTransaction,
    index: number,
  ): void {
    const plan = this.#planOf(relationId);
    const actionPlan = plan?.truncate;
    if (plan === null || actionPlan === undefined || this.#ports.wasSettled(transaction, index)) return;
    const message = this.#message(
      { plan, actionPlan, action: 'truncate', transaction, index, offset, frameLength, rawBytes: 0 },
      tableGroup(plan),
    );
    this.#renderTruncate(message);
    this.#ports.dispatcher.add(message, { group: undefined, previousGroup: undefined });
  }

  oversize(
    relationId: number,
    kind: number,
    rawBytes: number,
    offset: number,
    transaction: PendingTransaction,
    index: number,
  ): void {
    const plan = this.#planOf(relationId);
    const action = ACTIONS[kind];
    if (plan === null || action === undefined) return;
    const actionPlan = plan[action];
    if (actionPlan === undefined || this.#ports.wasSettled(transaction, index)) return;
    // Its key is not known without the row: it stands alone, and goes straight to the dead letters.
    const message = this.#message(
      { plan, actionPlan, action, transaction, index, offset, frameLength: 0, rawBytes },
      tableGroup(plan),
    );
    this.#ports.dispatcher.add(message, { group: undefined, previousGroup: undefined });
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    const bytes = this.#ports.readFrames(message.offset, message.frameLength);
    if (message.action === 'truncate') return this.#renderTruncate(message);
    decodeRow(bytes, 0, bytes.length, this.#event);
    this.#renderRow(message);
  }

  #planOf(relationId: number): TablePlan | null {
    let plan = this.#plans.get(relationId);
    if (plan === undefined) {
      const relation = this.#relations.get(relationId);
      if (relation === undefined)
        throw new Error(`a row of relation ${relationId}, which the log has not described`);
      plan = this.#ports.compile(relation) ?? null;
      this.#plans.set(relationId, plan);
    }
    return plan;
  }

  #message(row: RowContext, group: string | undefined): Pending {
    return new Pending({
      transaction: row.transaction,
      index: row.index,
      plan: row.plan,
      action: row.action,
      routeQueue: row.actionPlan.routeQueue,
      group: group ?? '',
      offset: row.offset,
      frameLength: row.frameLength,
      rawBytes: row.rawBytes,
    });
  }

  #renderRow(message: Pending): void {
    const start = this.#beginRender(message);
    message.plan.render.render(this.#event, this.#context, this.#arena);
    this.#endRender(message, start);
  }

  #renderTruncate(message: Pending): void {
    const start = this.#beginRender(message);
    message.plan.render.renderTruncate(this.#context, this.#arena);
    this.#endRender(message, start);
  }

  #beginRender(message: Pending): number {
    if (this.#arena.length >= ARENA_BYTES) this.#arena = new ByteWriter(ARENA_BYTES + ARENA_BYTES / 8);
    const context = this.#context;
    context.transaction = message.transaction;
    context.index = message.index;
    context.idempotencyKey = message.idempotencyKey;
    context.severalActions = message.routeQueue.route.severalActions;
    return this.#arena.length;
  }

  #endRender(message: Pending, start: number): void {
    if (this.#ports.staysLong) {
      message.buffer = Buffer.from(this.#arena.buffer.subarray(start, this.#arena.length));
      message.end = message.buffer.length;
      this.#arena.length = start;
      return;
    }
    message.buffer = this.#arena.buffer;
    message.start = start;
    message.end = this.#arena.length;
  }
}

const ACTIONS: Readonly<Record<number, 'insert' | 'update' | 'delete'>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
};

const tableGroup = (plan: TablePlan): string => `${plan.relation.schema}.${plan.relation.table}`;
