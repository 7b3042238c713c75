// From a row event in the log to a message on its way: match, group, render. Hot file (bench/micro).
import {
  createRowEvent,
  type Action,
  type Relation,
  type RowAction,
  type RowEvent,
} from '../../core/change.ts';
import type { RenderContext } from '../../formats/format.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { decodeRow, hasOldRow, type LogicalMessage } from '../../pgoutput/messages.ts';
import type { Arena } from '../delivery/arena.ts';
import { Pending, SplitChange, type PendingTransaction } from '../delivery/pending.ts';
import type { Unsettled } from '../delivery/unsettled.ts';
import type { SinkMarkers } from './markers.ts';
import type { ActionPlan, TablePlan } from './table-plan.ts';
import type { WalkPorts } from './log-walker.ts';

export type IntakePorts = {
  /** Where messages enter. */
  readonly unsettled: Unsettled;
  compile(relation: Relation): TablePlan | undefined;
  readonly markers: SinkMarkers;
  /** Was it settled before the restart, or is it given up? */
  isDone(transaction: PendingTransaction, index: number, offset: number): boolean;
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
  readonly #context: RenderContext = {
    transaction: undefined as never,
    index: 0,
    idempotencyKey: '',
    keyChange: false,
  };

  constructor(ports: IntakePorts) {
    this.#ports = ports;
  }

  marker(transaction: PendingTransaction, message: LogicalMessage): PendingTransaction {
    return this.#ports.markers.mark(transaction, message);
  }
  markersLost(transaction: PendingTransaction): void {
    this.#ports.markers.lost(transaction);
  }
  committed(transaction: PendingTransaction): void {
    this.#ports.markers.committed(transaction);
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
    if (plan.changesKey !== undefined && action === 'update' && hasOldRow(bytes, start)) {
      decodeRow(bytes, start, end, this.#event);
      if (plan.changesKey(this.#event)) {
        this.#split({ plan, transaction, index, offset, frameLength: end - start, rawBytes: 0 });
        return;
      }
    }
    const actionPlan = plan[action];
    if (actionPlan === undefined || isSkipped(transaction)) return;
    if (this.#ports.isDone(transaction, index, offset)) return;
    const event = this.#event;
    decodeRow(bytes, start, end, event);
    const group = actionPlan.group?.current(event, transaction);
    const previousGroup = actionPlan.group?.previous(event, transaction);
    const message = this.#message(
      { plan, actionPlan, action, transaction, index, offset, frameLength: end - start, rawBytes: 0 },
      group,
    );
    const { unsettled } = this.#ports;
    if (!unsettled.shouldPark(plan.barriers, group, actionPlan.routeQueue)) this.#renderRow(message);
    unsettled.enter(message, { group, previousGroup: previousGroup === group ? undefined : previousGroup });
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
    if (plan === null || actionPlan === undefined || isSkipped(transaction)) return;
    if (this.#ports.isDone(transaction, index, offset)) return;
    const message = this.#message(
      { plan, actionPlan, action: 'truncate', transaction, index, offset, frameLength, rawBytes: 0 },
      tableGroup(plan),
    );
    this.#renderTruncate(message);
    this.#ports.unsettled.enter(message, { group: undefined, previousGroup: undefined });
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
    // Whether its key changed is not known either: where that would be an insert, it is one.
    const actionPlan = plan[action] ?? (plan.changesKey === undefined ? undefined : plan.insert);
    if (actionPlan === undefined || isSkipped(transaction)) return;
    if (this.#ports.isDone(transaction, index, offset)) return;
    // Its key is not known without the row: it stands alone, and goes straight to the dead letters.
    const message = this.#message(
      { plan, actionPlan, action, transaction, index, offset, frameLength: 0, rawBytes },
      tableGroup(plan),
    );
    this.#ports.unsettled.enter(message, { group: undefined, previousGroup: undefined });
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    const bytes = this.#ports.readFrames(message.offset, message.frameLength);
    if (message.action === 'truncate') return this.#renderTruncate(message);
    decodeRow(bytes, 0, bytes.length, this.#event);
    if (message.split !== undefined) this.#event.action = message.action as RowAction;
    this.#renderRow(message);
  }

  /** The update in `#event`, which changed the key, as a delete in the old group and an insert in the new one. */
  #split(row: Omit<RowContext, 'actionPlan' | 'action'>): void {
    const { plan, transaction, index, offset } = row;
    const wanted = (['delete', 'insert'] as const).filter((action) => plan[action] !== undefined);
    if (wanted.length === 0 || isSkipped(transaction) || this.#ports.isDone(transaction, index, offset))
      return;
    const { unsettled } = this.#ports;
    const event = this.#event;
    const split = new SplitChange(wanted.length);
    for (const action of wanted) {
      const actionPlan = plan[action]!;
      // Both groups are read from the update: a delete alone would not know what it did not change.
      event.action = 'update';
      const current = actionPlan.group?.current(event, transaction);
      const previous = action === 'delete' ? actionPlan.group?.previous(event, transaction) : undefined;
      const group = previous ?? current;
      const message = this.#message({ ...row, actionPlan, action }, group, split);
      event.action = action;
      if (!unsettled.shouldPark(plan.barriers, group, actionPlan.routeQueue)) this.#renderRow(message);
      unsettled.enter(message, { group, previousGroup: undefined });
    }
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

  #message(row: RowContext, group: string | undefined, split?: SplitChange): Pending {
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
      ...(split && { split }),
    });
  }

  #renderRow(message: Pending): void {
    const arena = this.#beginRender(message);
    const { writer } = arena;
    const { length, escapes } = writer;
    tablePlan(message).render.render(this.#event, this.#context, writer);
    this.#rendered(message, arena, { length, escapes });
  }

  #renderTruncate(message: Pending): void {
    const arena = this.#beginRender(message);
    const { writer } = arena;
    const { length, escapes } = writer;
    tablePlan(message).render.renderTruncate(this.#context, writer);
    this.#rendered(message, arena, { length, escapes });
  }

  #rendered(message: Pending, arena: Arena, before: { length: number; escapes: number }): void {
    message.rendered(arena, before.length, before.escapes);
    if (this.#ports.staysLong) message.own(this.#ports.unsettled.arenas);
  }

  #beginRender(message: Pending): Arena {
    const context = this.#context;
    context.transaction = message.transaction;
    context.index = message.index;
    context.idempotencyKey = message.idempotencyKey;
    context.keyChange = message.split !== undefined;
    return this.#ports.unsettled.arenas.enter();
  }
}

/** Asked before anything is known of the change's fate: a transaction read again counts the same. */
function isSkipped({ skip }: PendingTransaction): boolean {
  if (skip === undefined) return false;
  skip.changes++;
  return true;
}

const ACTIONS: Readonly<Record<number, 'insert' | 'update' | 'delete'>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
};

const tableGroup = (plan: TablePlan): string => `${plan.relation.schema}.${plan.relation.table}`;

/** What comes from the log has a plan that was compiled for it. */
const tablePlan = ({ plan }: Pending): TablePlan => plan as TablePlan;
