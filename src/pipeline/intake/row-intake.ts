// From a row event in the log to a message on its way: select, the sink's steps, group, route, render. A relation that
// changes midway is compiled anew for the rows after it. Hot file (bench/micro).
import {
  createRowEvent,
  type Action,
  type Half,
  type Relation,
  type RowAction,
  type RowEvent,
} from '../../core/change.ts';
import type { DeliveryError } from '../../core/errors.ts';
import type { RenderContext } from '../../formats/format.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { isKeyProven } from '../../pgoutput/enrichment.ts';
import { decodeRow, hasOldRow, type LogicalMessage } from '../../pgoutput/messages.ts';
import { OldRows } from '../../pgoutput/old-rows.ts';
import type { Arena } from '../delivery/arena.ts';
import { Pending, SplitChange, type PendingTransaction } from '../delivery/pending.ts';
import type { Unsettled } from '../delivery/unsettled.ts';
import type { SinkMarkers } from './markers.ts';
import { oversizePlan, queueOf, type ActionPlan, type TablePlan } from './table-plan.ts';
import type { LoggedRow, WalkPorts } from './log-walker.ts';
import { RowBatch, runSteps, stepsInOrder, WantedRow, type Step, type Steps } from './steps.ts';

export type IntakePorts = {
  /** Where messages enter. */
  readonly unsettled: Unsettled;
  compile(relation: Relation, isKeyProven: boolean): TablePlan | undefined;
  readonly markers: SinkMarkers;
  /** Was it settled before the restart, or is it given up? */
  isDone(transaction: PendingTransaction, index: number, offset: number): boolean;
  /** Was this half of a change settled, which is not done as a whole? */
  isHalfDone(transaction: PendingTransaction, index: number, half: Half): boolean;
  /** The bytes of a raw message in the log. */
  readFrames(offset: number, length: number): Buffer;
  /** Messages wait for consumers, perhaps for hours: each gets bytes of its own, or one would hold a whole arena. */
  readonly staysLong: boolean;
  readonly steps: Steps;
};

/** The walker's ports of one sink, and the rendering of what was parked. */
export class RowIntake implements WalkPorts {
  readonly #ports: IntakePorts;
  readonly #relations = new Map<number, Relation>();
  /** Undefined: not compiled yet; null: the sink does not want this relation. */
  readonly #plans = new Map<number, TablePlan | null>();
  readonly #oldRows = new OldRows();
  readonly #event: RowEvent = createRowEvent();
  readonly #context: RenderContext = {
    transaction: undefined as never,
    index: 0,
    idempotencyKey: '',
    keyChange: false,
  };
  readonly #steps: readonly Step[];
  /** The wanted rows of the block in hand; undefined: there are no steps, and rows go straight on. */
  #rows: WantedRow[] | undefined;
  /** Changes that a step has dropped. */
  dropped = 0;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
    this.#steps = stepsInOrder(ports.steps);
    if (this.#steps.length > 0) this.#rows = [];
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
    this.#oldRows.relation(relation);
    this.#plans.delete(relation.id);
  }

  row(row: LoggedRow): void {
    const plan = this.#planOf(row);
    if (plan === null) return;
    const action = ACTIONS[row.kind]!;
    const isSplit = this.#isSplit(plan, row);
    const wanted = isSplit ? (plan.delete ?? plan.insert) : plan[action];
    if (wanted === undefined || this.#isOver(row)) return;
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else if (isSplit) this.#addHalves(plan, row);
    else this.#addRow(plan, action, row);
  }

  truncate(row: LoggedRow): void {
    const plan = this.#planOf(row);
    if (plan === null || plan.truncate === undefined || this.#isOver(row)) return;
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else this.#addTruncate(plan, row);
  }

  oversize(row: LoggedRow): void {
    const plan = this.#planOf(row);
    if (plan === null || oversizePlan(plan, ACTIONS[row.kind]!) === undefined || this.#isOver(row)) return;
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else this.#addOversize(plan, row);
  }

  letIn(signal: AbortSignal): boolean | Promise<boolean> {
    if (this.#rows === undefined || this.#rows.length === 0) return true;
    const rows = new RowBatch(this.#rows, signal, this.#oldRows);
    this.#rows = [];
    const haveRun = runSteps(this.#steps, rows);
    if (typeof haveRun === 'boolean') return haveRun && this.#addAll(rows);
    // Meanwhile some of them may have been given up.
    return haveRun.then((isDone) => isDone && this.#addAll(rows, (row) => this.#isDone(row)));
  }

  #addAll(rows: RowBatch, isOver: (row: LoggedRow) => boolean = () => false): true {
    this.dropped += rows.dropped;
    for (const row of rows.all) {
      const { plan } = row;
      if (row.isDropped || isOver(row)) continue;
      if (row.kind === FRAME.truncate) this.#addTruncate(plan, row);
      else if (row.rawBytes > 0) this.#addOversize(plan, row);
      else if (this.#isSplit(plan, row)) this.#addHalves(plan, row, row.refusal);
      else this.#addRow(plan, ACTIONS[row.kind]!, row, row.refusal);
    }
    return true;
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    const bytes = this.#ports.readFrames(message.offset, message.frameLength);
    if (message.action === 'truncate') return this.#renderTruncate(message);
    this.#decode(bytes, 0, bytes.length);
    if (message.split !== undefined) this.#event.action = message.action as RowAction;
    this.#renderRow(message);
  }

  #decode(bytes: Buffer, start: number, end: number): void {
    decodeRow(bytes, start, end, this.#event);
    this.#oldRows.forget(this.#event);
  }

  /** Is it an update that changes its key, where that is sent as two messages? */
  #isSplit({ changesKey }: TablePlan, { kind, bytes, start, end }: LoggedRow): boolean {
    if (changesKey === undefined || kind !== FRAME.update || !hasOldRow(bytes, start)) return false;
    this.#decode(bytes, start, end);
    return changesKey(this.#event);
  }

  /** Is a wanted change nothing to send, because a marker says so, or because it is settled or given up? */
  #isOver(row: LoggedRow): boolean {
    return isSkipped(row.transaction) || this.#isDone(row);
  }
  #isDone({ transaction, index, offset }: LoggedRow): boolean {
    return this.#ports.isDone(transaction, index, offset);
  }

  #addRow(plan: TablePlan, action: RowAction, row: LoggedRow, refusal?: DeliveryError): void {
    const { unsettled } = this.#ports;
    const { transaction } = row;
    const event = this.#event;
    const actionPlan = plan[action]!;
    this.#decode(row.bytes, row.start, row.end);
    if (isDamagedRow(event) && plan.hasDamagedKey(event)) return this.#addUndecodable(plan, action, row);
    const group = actionPlan.group?.current(event, transaction);
    const previousGroup = actionPlan.group?.previous(event, transaction);
    const message = this.#message(row, { plan, actionPlan, action, event, group });
    message.refusal = refusal;
    plan.barriers.regroup(plan.grouping);
    if (!unsettled.shouldPark(plan.barriers, group, message.routeQueue)) this.#renderRow(message);
    unsettled.enter(message, { group, previousGroup: previousGroup === group ? undefined : previousGroup });
  }

  #addTruncate(plan: TablePlan, row: LoggedRow): void {
    const group = tableGroup(plan);
    const what = { plan, actionPlan: plan.truncate!, action: 'truncate', event: undefined, group } as const;
    const message = this.#message(row, what);
    if (plan.render.tellsPartition) this.#renderTruncate(message);
    else {
      message.lacksPayload = true;
      message.emptied = plan.partition;
    }
    this.#ports.unsettled.enter(message, { group: undefined, previousGroup: undefined });
  }

  /** Its key is not known without the row: it stands alone, and goes straight to the dead letters. */
  #addOversize(plan: TablePlan, row: LoggedRow): void {
    const action = ACTIONS[row.kind]!;
    const group = tableGroup(plan);
    const actionPlan = oversizePlan(plan, action)!;
    const message = this.#message(row, { plan, actionPlan, action, event: undefined, group });
    this.#ports.unsettled.enter(message, { group: undefined, previousGroup: undefined });
  }

  /** Its key is not known: it stands alone, and goes to the dead letters as far as it can be read. */
  #addUndecodable(plan: TablePlan, action: RowAction, row: LoggedRow): void {
    const actionPlan = oversizePlan(plan, action)!;
    const group = tableGroup(plan);
    const message = this.#message(row, { plan, actionPlan, action, event: this.#event, group });
    message.isKeyUndecodable = true;
    this.#renderRow(message);
    this.#ports.unsettled.enter(message, { group: undefined, previousGroup: undefined });
  }

  /** An update that changed the key, as a delete in the old group and an insert in the new one. */
  #addHalves(plan: TablePlan, row: LoggedRow, refusal?: DeliveryError): void {
    const { unsettled } = this.#ports;
    const { transaction } = row;
    const event = this.#event;
    this.#decode(row.bytes, row.start, row.end);
    if (isDamagedRow(event) && plan.hasDamagedKey(event)) return this.#addUndecodable(plan, 'update', row);
    plan.barriers.regroup(plan.grouping);
    const wanted = HALVES.filter((action) => plan[action] !== undefined);
    const settled = wanted.filter((half) => this.#ports.isHalfDone(transaction, row.index, half));
    const split = new SplitChange(wanted.length - settled.length, settled[0]);
    for (const action of wanted) {
      if (settled.includes(action)) continue;
      const actionPlan = plan[action]!;
      // Both groups are read from the update: a delete alone would not know what it did not change.
      event.action = 'update';
      const current = actionPlan.group?.current(event, transaction);
      const previous = action === 'delete' ? actionPlan.group?.previous(event, transaction) : undefined;
      const group = previous ?? current;
      event.action = action;
      const message = this.#message(row, { plan, actionPlan, action, event, group, split });
      message.refusal = refusal;
      if (!unsettled.shouldPark(plan.barriers, group, message.routeQueue)) this.#renderRow(message);
      unsettled.enter(message, { group, previousGroup: undefined });
    }
  }

  #planOf({ relationId, transaction }: LoggedRow): TablePlan | null {
    const plan = this.#plans.get(relationId);
    const isKnown = plan !== undefined && (plan === null || !plan.awaitsKey);
    if (isKnown) return plan;
    const relation = this.#relations.get(relationId);
    if (relation === undefined)
      throw new Error(`a row of relation ${relationId}, which the log has not described`);
    const isProven = isKeyProven(relation, transaction.xid);
    if (plan !== undefined && !isProven) return plan;
    const compiled = this.#ports.compile(relation, isProven) ?? null;
    this.#plans.set(relationId, compiled);
    return compiled;
  }

  #message(
    row: LoggedRow,
    what: {
      readonly plan: TablePlan;
      readonly actionPlan: ActionPlan;
      readonly action: Action;
      readonly event: RowEvent | undefined;
      readonly group: string | undefined;
      readonly split?: SplitChange;
    },
  ): Pending {
    const { plan, actionPlan, action, event, group, split } = what;
    return new Pending({
      transaction: row.transaction,
      index: row.index,
      plan,
      action,
      routeQueue: queueOf(actionPlan, event),
      group: group ?? '',
      offset: row.offset,
      frameLength: row.rawBytes === 0 ? row.end - row.start : 0,
      rawBytes: row.rawBytes,
      ...(split && { split }),
    });
  }

  #renderRow(message: Pending): void {
    const arena = this.#beginRender(message);
    const { writer } = arena;
    const { length, escapes } = writer;
    const { render, facts } = tablePlan(message);
    render.render(this.#event, this.#context, writer);
    this.#rendered(message, arena, { length, escapes });
    if (facts !== undefined) message.row = facts.read(this.#event);
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

const isDamagedRow = ({ newTuple, oldTuple }: RowEvent): boolean =>
  newTuple.damagedCount > 0 || oldTuple.damagedCount > 0;

/** Asked before anything is known of the change's fate: a transaction read again counts the same. */
function isSkipped({ skip }: PendingTransaction): boolean {
  if (skip === undefined) return false;
  skip.changes++;
  return true;
}

const ACTIONS: Readonly<Record<number, RowAction>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
};

const HALVES = ['delete', 'insert'] as const;

const tableGroup = (plan: TablePlan): string => `${plan.relation.schema}.${plan.relation.table}`;

/** What comes from the log has a plan that was compiled for it. */
const tablePlan = ({ plan }: Pending): TablePlan => plan as TablePlan;
