// From a row event that a sink wants to its message on its way: group, route, render. Hot file (bench/micro).
import {
  createRowEvent,
  type Action,
  type Moved,
  type Part,
  type RowAction,
  type RowEvent,
} from '../../core/change.ts';
import { steadyMs } from '../../core/clock.ts';
import type { DeliveryError, TailraceError } from '../../core/errors.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { decodeRow, hasOldRow } from '../../pgoutput/messages.ts';
import type { OldRows } from '../../pgoutput/old-rows.ts';
import { Pending, SplitChange } from '../delivery/pending.ts';
import type { EntryPorts } from './entry-ports.ts';
import type { LoggedRow } from './log-walker.ts';
import { MessageRendering, tablePlan } from './message-rendering.ts';
import { SENT_AS } from './moved-rows.ts';
import { sharedRowsOf, type SharedRow, type SharedRows } from './shared-rows.ts';
import type { WantedRow } from './steps.ts';
import { oversizePlan, queueOf, type ActionPlan, type PlannedAction, type TablePlan } from './table-plan.ts';
import { TransactionEnds, type TransactionPlan, type TransactionPorts } from './transaction-ends.ts';
import { tooManyUnrouted, UnroutedRate } from './unrouted-rate.ts';

export type MessagePorts = EntryPorts & {
  /** The sink's name. */
  readonly sink: string;
  /** Messages wait for consumers, perhaps for hours: each gets bytes of its own, or one would hold a whole arena. */
  readonly staysLong: boolean;
  /** Set where what begins and what ends a transaction is told, too. */
  readonly transactions?: (TransactionPlan & TransactionPorts) | undefined;
  /** Never set back; default: the process'. */
  readonly nowMs?: (() => number) | undefined;
};

/** The messages of one sink's rows. */
export class RowMessages {
  readonly #ports: MessagePorts;
  readonly #oldRows: OldRows;
  readonly #event: RowEvent = createRowEvent();
  readonly #rendering: MessageRendering;
  /** Undefined: nobody is told of them. */
  readonly ends: TransactionEnds | undefined;
  /** Of the row in hand, where it shares its place with what tells of its schema, or begins its transaction. */
  #split: SplitChange | undefined;
  readonly #unrouted: UnroutedRate;
  #exceeded: TailraceError | undefined;

  constructor(ports: MessagePorts, oldRows: OldRows) {
    this.#ports = ports;
    this.#oldRows = oldRows;
    this.#unrouted = new UnroutedRate(ports.nowMs ?? steadyMs);
    this.#rendering = new MessageRendering({ arenas: ports.unsettled.arenas, staysLong: ports.staysLong });
    const rendering = this.#rendering;
    this.ends = ports.transactions && new TransactionEnds(ports.transactions, { ...ports, rendering });
  }

  /** What the sink halts for at the next row: the one before has entered as a whole. */
  get exceeded(): TailraceError | undefined {
    return this.#exceeded;
  }

  /** Of a row that the steps have passed. */
  add(row: WantedRow): void {
    const { plan } = row;
    // What backfills have read is of no transaction.
    const ends = row.transaction.readUpTo === undefined ? this.ends : undefined;
    const split = row.split ?? ends?.before(row);
    if (ends?.isRowDone(row) === true) return;
    this.#split = split;
    if (row.isSchema) this.#addSchema(plan, row);
    else if (row.kind === FRAME.truncate) this.addTruncate(plan, row);
    else if (row.rawBytes > 0) this.addOversize(plan, row);
    else if (row.moved !== undefined) this.#addMoved(plan, row, row.moved);
    else if (this.isSplit(plan, row)) this.addHalves(plan, row, row.refusal);
    else this.addRow(plan, ACTIONS[row.kind]!, row, row.refusal);
    this.#split = undefined;
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    if (message.action === 'schema') return this.#rendering.schema(message);
    if (message.action === 'begin' || message.action === 'commit') return this.ends!.render(message);
    const bytes = this.#ports.readFrames(message.offset, message.frameLength);
    if (message.action === 'truncate') return this.#rendering.truncate(message);
    this.#decode(bytes, 0, bytes.length);
    if (message.part !== undefined) this.#event.action = message.action as RowAction;
    if (message.moved !== undefined) tablePlan(message).moveRow!(this.#event, message.moved);
    this.#rendering.row(message, this.#event);
  }

  #decode(bytes: Buffer, start: number, end: number): void {
    decodeRow(bytes, start, end, this.#event);
    this.#oldRows.forget(this.#event);
  }

  /** Is it an update that changes its key or its route, where that is sent as two messages? */
  isSplit({ changesKey, routeMoveOf }: TablePlan, { kind, bytes, start, end }: LoggedRow): boolean {
    if (changesKey === undefined && routeMoveOf === undefined) return false;
    if (kind !== FRAME.update || !hasOldRow(bytes, start)) return false;
    this.#decode(bytes, start, end);
    return changesKey?.(this.#event) === true || routeMoveOf?.(this.#event) !== undefined;
  }

  /** Of one that goes straight on, as those below: where there are no steps. */
  addRow(plan: TablePlan, action: PlannedAction, row: LoggedRow, refusal?: DeliveryError): void {
    const { unsettled } = this.#ports;
    const { transaction } = row;
    const event = this.#event;
    const actionPlan = plan[action]!;
    const shared = sharedRowsOf(plan, row);
    const known = shared?.find(row);
    if (known !== undefined) return this.#addShared({ plan, action, row, refusal }, shared!, known);
    this.#decode(row.bytes, row.start, row.end);
    if (isDamagedRow(event) && plan.hasDamagedKey(event)) return this.#addUndecodable(plan, action, row);
    const group = actionPlan.group?.current(event, transaction);
    const previousGroup = actionPlan.group?.previous(event, transaction);
    const message = this.#message(row, { plan, actionPlan, action, event, group });
    const isAlike = message.refusal === undefined && !isDamagedRow(event);
    message.refusal ??= refusal;
    plan.barriers.regroup(plan.grouping);
    const left = previousGroup === group ? undefined : previousGroup;
    if (!unsettled.shouldPark(plan.barriers, group, message.routeQueue)) {
      const rendered = this.#rendering.row(message, this.#event);
      if (shared !== undefined && isAlike) {
        const what = { group, previousGroup: left, readKey: message.readKey };
        shared.keep(row, what, rendered);
      }
    }
    unsettled.enter(message, group, left);
  }

  /** As `addRow`, of a row that another sink has rendered. */
  #addShared(
    what: Pick<MessageOf, 'plan'> & {
      readonly action: PlannedAction;
      readonly row: LoggedRow;
      readonly refusal: DeliveryError | undefined;
    },
    shared: SharedRows,
    known: SharedRow,
  ): void {
    const { unsettled } = this.#ports;
    const { plan, action, row, refusal } = what;
    const { group, previousGroup, readKey } = known;
    const actionPlan = plan[action]!;
    const message = this.#message(row, { plan, actionPlan, action, event: undefined, group, readKey });
    message.refusal = refusal;
    plan.barriers.regroup(plan.grouping);
    if (!unsettled.shouldPark(plan.barriers, group, message.routeQueue))
      this.#rendering.copy(message, action === 'read' ? 'insert' : action, { rows: shared, row: known });
    unsettled.enter(message, group, previousGroup);
  }

  /** An update that is a delete in the old group, or an insert in the new one: in order with what follows and precedes in the other. */
  #addMoved(plan: TablePlan, row: LoggedRow, moved: Moved): void {
    const { unsettled } = this.#ports;
    const { transaction } = row;
    const event = this.#event;
    const action = SENT_AS[moved];
    const actionPlan = plan[action]!;
    this.#decode(row.bytes, row.start, row.end);
    if (isDamagedRow(event) && plan.hasDamagedKey(event)) return this.#addUndecodable(plan, 'update', row);
    // As it is, and as it was: a delete alone would not know what the update did not change.
    const current = actionPlan.group?.current(event, transaction);
    const previous = actionPlan.group?.previous(event, transaction);
    const [group, other] = moved === 'out' ? [previous ?? current, current] : [current, previous];
    plan.moveRow!(event, moved);
    const message = this.#message(row, { plan, actionPlan, action, event, group, moved });
    plan.barriers.regroup(plan.grouping);
    if (!unsettled.shouldPark(plan.barriers, group, message.routeQueue))
      this.#rendering.row(message, this.#event);
    unsettled.enter(message, group, other === group ? undefined : other);
  }

  addTruncate(plan: TablePlan, row: LoggedRow): void {
    const group = groupOfAll(plan);
    const what = { plan, actionPlan: plan.truncate!, action: 'truncate', event: undefined, group } as const;
    const message = this.#message(row, what);
    if (plan.render.tellsPartition) this.#rendering.truncate(message);
    else {
      message.lacksPayload = true;
      message.emptied = plan.partition;
    }
    this.#ports.unsettled.enter(message, plan.oneGroup);
  }

  #addSchema(plan: TablePlan, row: LoggedRow): void {
    const { actionPlan, formerly } = plan.schemaChange!;
    const group = groupOfAll(plan);
    const what = { plan, actionPlan, action: 'schema', part: 'schema', event: undefined, group } as const;
    const message = this.#message(row, what);
    this.#rendering.schema(message);
    formerly?.precede(message);
    this.#ports.unsettled.enter(message, plan.oneGroup);
  }

  /** Its key is not known without the row: it stands alone, or among all others, and goes to the dead letters. */
  addOversize(plan: TablePlan, row: LoggedRow): void {
    const action = ACTIONS[row.kind]!;
    const group = groupOfAll(plan);
    const actionPlan = oversizePlan(plan, action)!;
    const message = this.#message(row, { plan, actionPlan, action, event: undefined, group });
    this.#ports.unsettled.enter(message, plan.oneGroup);
  }

  /** As above, of a key that is no text: as far as it can be read. */
  #addUndecodable(plan: TablePlan, action: PlannedAction, row: LoggedRow): void {
    const actionPlan = oversizePlan(plan, action)!;
    const group = groupOfAll(plan);
    const message = this.#message(row, { plan, actionPlan, action, event: this.#event, group });
    message.isKeyUndecodable = true;
    this.#rendering.row(message, this.#event);
    this.#ports.unsettled.enter(message, plan.oneGroup);
  }

  /**
   * An update that changed the key or the route, as a delete in the old group, for the old route, and an insert in the new one. Where there
   * is no new route the insert becomes a dead letter; where there was no old one nobody has a row to delete.
   */
  addHalves(plan: TablePlan, row: LoggedRow, refusal?: DeliveryError): void {
    const { unsettled } = this.#ports;
    const { transaction } = row;
    const event = this.#event;
    this.#decode(row.bytes, row.start, row.end);
    if (isDamagedRow(event) && plan.hasDamagedKey(event)) return this.#addUndecodable(plan, 'update', row);
    plan.barriers.regroup(plan.grouping);
    const enters = plan.routeMoveOf?.(event) === 'enters';
    const isRekeyed = !enters && plan.changesKey?.(event) === true;
    const halves = enters ? ENTRY : HALVES;
    const wanted = halves.filter((action) => plan[action] !== undefined);
    const settled = wanted.filter((half) => this.#ports.isPartDone(transaction, row.index, half));
    this.#split ??= new SplitChange(0);
    this.#split.add(0, settled);
    for (const action of wanted) {
      if (settled.includes(action)) continue;
      const actionPlan = plan[action]!;
      // Both groups are read from the update: a delete alone would not know what it did not change.
      this.#decode(row.bytes, row.start, row.end);
      const current = actionPlan.group?.current(event, transaction);
      const previous = actionPlan.group?.previous(event, transaction);
      const group = action === 'delete' ? (previous ?? current) : current;
      const moved = isRekeyed ? undefined : MOVED_AS[action];
      if (moved === undefined) event.action = action;
      else plan.moveRow!(event, moved);
      const half = { plan, actionPlan, action, part: action, event, group };
      const message = this.#message(row, moved === undefined ? half : { ...half, moved });
      message.refusal ??= refusal;
      if (!unsettled.shouldPark(plan.barriers, group, message.routeQueue))
        this.#rendering.row(message, this.#event);
      // To another route the insert goes when the delete has arrived, also where the key is another one.
      const follows = moved === 'in' && previous !== group;
      unsettled.enter(message, group, follows ? previous : undefined);
    }
    this.#split = undefined;
  }

  #message(row: LoggedRow, what: MessageOf): Pending {
    const { plan, actionPlan, action, event, group, part, moved } = what;
    const { rawBytes } = part === 'schema' ? WHOLE : row;
    const split = this.#split;
    split?.add(1);
    const message = new Pending({
      transaction: row.transaction,
      index: row.index,
      plan,
      action,
      routeQueue: queueOf(actionPlan, event),
      group: group ?? '',
      offset: row.offset,
      frameLength: row.rawBytes === 0 ? row.end - row.start : 0,
      rawBytes,
      split,
      part,
      moved,
      readKey: event === undefined ? what.readKey : plan.readKey?.(event),
    });
    const refusal = actionPlan.routeByRow?.refusal ?? (event && ungrouped(message, actionPlan, event));
    const isCountedLater = refusal === undefined && part === 'delete' && plan.insert !== undefined;
    if (!isCountedLater && this.#unrouted.isExceededBy(refusal))
      this.#exceeded = tooManyUnrouted(refusal!, this.#ports.sink);
    message.refusal = refusal;
    return message;
  }
}

type MessageOf = {
  readonly plan: TablePlan;
  readonly actionPlan: ActionPlan;
  readonly action: Action;
  readonly event: RowEvent | undefined;
  readonly group: string | undefined;
  readonly part?: Part;
  readonly moved?: Moved;
  /** Known without the row. */
  readonly readKey?: string | undefined;
};

const isDamagedRow = ({ newTuple, oldTuple }: RowEvent): boolean =>
  newTuple.damagedCount > 0 || oldTuple.damagedCount > 0;

/** A row whose group cannot be said, by the template that the sink has for it. */
function ungrouped(
  { action, schema, table }: Pending,
  { group }: ActionPlan,
  event: RowEvent,
): DeliveryError | undefined {
  const column = group?.lacks?.(event);
  if (column === undefined) return undefined;
  return {
    kind: 'rejected',
    scope: 'message',
    code: 'GROUP_VALUE_ABSENT',
    hint: `${action} of ${schema}.${table}: group_id needs row.${column}, which is NULL or was not sent: give it a default: \${row.${column}:-other}`,
  };
}

/** What tells of a schema is known also where the row is too large to be kept. */
const WHOLE = { rawBytes: 0 };

export const ACTIONS: Readonly<Record<number, PlannedAction>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
  [FRAME.read]: 'read',
};

const HALVES = ['delete', 'insert'] as const;
const ENTRY = ['insert'] as const;
const MOVED_AS = { delete: 'out', insert: 'in' } as const;

/** Of a message whose row is not known. */
const groupOfAll = ({ oneGroup, relation }: TablePlan): string =>
  oneGroup ?? `${relation.schema}.${relation.table}`;
