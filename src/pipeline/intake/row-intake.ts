// From a row event in the log to a message on its way: select, the sink's steps, group, route, render. A relation that
// changes midway is compiled anew for the rows after it. Hot file (bench/micro).
import {
  createRowEvent,
  type Action,
  type Moved,
  type Part,
  type Relation,
  type RowAction,
  type RowEvent,
} from '../../core/change.ts';
import { steadyMs } from '../../core/clock.ts';
import type { SinkCounts } from '../../core/counts.ts';
import { TailraceError, type DeliveryError } from '../../core/errors.ts';
import { isFirstWith } from '../../core/schema-change.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { isKeyProven } from '../../pgoutput/enrichment.ts';
import { decodeRow, hasOldRow, type LogicalMessage } from '../../pgoutput/messages.ts';
import { OldRows } from '../../pgoutput/old-rows.ts';
import { MessageRendering, tablePlan } from './message-rendering.ts';
import { Pending, SplitChange, type PendingTransaction } from '../delivery/pending.ts';
import type { Unsettled } from '../delivery/unsettled.ts';
import { haltedAt } from './halts.ts';
import type { SinkMarkers } from './markers.ts';
import { SENT_AS } from './moved-rows.ts';
import { sharedRowsOf, type SharedRow, type SharedRows } from './shared-rows.ts';
import { oversizePlan, queueOf, type ActionPlan, type PlannedAction, type TablePlan } from './table-plan.ts';
import type { LoggedRow, WalkPorts } from './log-walker.ts';
import { TransactionEnds, type PlacedCommit, type TransactionPlan } from './transaction-ends.ts';
import { RowBatch, runSteps, stepsInOrder, WantedRow, type Step, type Steps } from './steps.ts';
import { tooManyUnrouted, UnroutedRate } from './unrouted-rate.ts';

export type IntakePorts = {
  /** Its name. */
  readonly sink: string;
  /** Where messages enter. */
  readonly unsettled: Pick<Unsettled, 'arenas' | 'shouldPark' | 'enter'>;
  /** `isRead`: of rows that a backfill has read. */
  compile(relation: Relation, isKeyProven: boolean, isRead: boolean): TablePlan | undefined;
  readonly markers: SinkMarkers;
  /** Was it settled before the restart, or is it given up? */
  isDone(transaction: PendingTransaction, index: number, offset: number, relationId: number): boolean;
  /** Was this part of a change settled, which is not done as a whole? */
  isPartDone(transaction: PendingTransaction, index: number, part: Part): boolean;
  /** The bytes of a raw message in the log. */
  readFrames(offset: number, length: number): Buffer;
  /** Messages wait for consumers, perhaps for hours: each gets bytes of its own, or one would hold a whole arena. */
  readonly staysLong: boolean;
  readonly steps: Steps;
  /** Set where what begins and what ends a transaction is told, too. */
  readonly transactions?: TransactionPlan | undefined;
  /** What the steps drop is counted there. */
  readonly counts: Pick<SinkCounts, 'filtered'>;
  /** Told of each relation as it comes. */
  readonly described?: ((relation: Relation) => void) | undefined;
  /** Told of each table that is emptied, before anything of that enters. */
  readonly truncated?: ((row: LoggedRow) => void) | undefined;
  /** Whoever wants to know why a change is sent, or is not. */
  readonly witness?: Witness | undefined;
  /** Never set back; default: the process'. */
  readonly nowMs?: (() => number) | undefined;
};

/** Why a row is not sent: another table, another action, what a marker says, or it is done (`isDone`). */
export type PassedOver = 'table' | 'action' | 'marker' | 'done';

/** Told what becomes of each row event before its messages, if it has any, enter. */
export type Witness = {
  passedOver(row: LoggedRow, why: PassedOver): void;
  /** The steps have run: what they decided is on the row. */
  stepped(row: WantedRow): void;
};

/** The walker's ports of one sink, and the rendering of what was parked. */
export class RowIntake implements WalkPorts {
  readonly #ports: IntakePorts;
  readonly #relations = new Map<number, Relation>();
  /** Undefined: not compiled yet; null: the sink does not want this relation. */
  readonly #plans = new Map<number, TablePlan | null>();
  readonly #oldRows = new OldRows();
  readonly #event: RowEvent = createRowEvent();
  readonly #rendering: MessageRendering;
  readonly #steps: readonly Step[];
  readonly #ends: TransactionEnds | undefined;
  /** The wanted rows of the block in hand; undefined: there is nothing to wait for, and rows go straight on. */
  #rows: WantedRow[] | undefined;
  /** Between them. */
  #commits: PlacedCommit[] = [];
  /** Rows of the block in hand that their filter drops, and that nobody has judged. */
  #outside = 0;
  /** Of the row in hand, where it shares its place with what tells of its schema. */
  #split: SplitChange | undefined;
  #halt: TailraceError | undefined;
  readonly #unrouted: UnroutedRate;
  /** What it halts for at the next row: the one before has entered as a whole. */
  #exceeded: TailraceError | undefined;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
    this.#unrouted = new UnroutedRate(ports.nowMs ?? steadyMs);
    this.#rendering = new MessageRendering({ arenas: ports.unsettled.arenas, staysLong: ports.staysLong });
    this.#steps = stepsInOrder(ports.steps);
    const rendering = this.#rendering;
    this.#ends = ports.transactions && new TransactionEnds(ports.transactions, { ...ports, rendering });
    if (this.#steps.length > 0 || this.#ends !== undefined) this.#rows = [];
  }

  /** What the sink waits at: nothing from there on is let in. */
  get halt(): TailraceError | undefined {
    return this.#halt;
  }

  marker(transaction: PendingTransaction, message: LogicalMessage): PendingTransaction {
    if (this.#halt !== undefined) return transaction;
    return this.#ports.markers.mark(transaction, message);
  }
  markersLost(transaction: PendingTransaction): void {
    this.#ports.markers.lost(transaction);
  }
  committed(commit: LoggedRow): void {
    if (this.#halt !== undefined) return;
    this.#ports.markers.committed(commit.transaction);
    if (this.#ends === undefined) return;
    const { transaction, index, bytes, start, end, offset } = commit;
    this.#commits.push({ transaction, index, bytes, start, end, offset, behind: this.#rows!.length });
  }
  holdsBegin(transaction: PendingTransaction): boolean {
    return this.#ends?.isBegun(transaction) === false;
  }

  relation(relation: Relation): void {
    this.#relations.set(relation.id, relation);
    this.#oldRows.relation(relation);
    this.#plans.delete(relation.id);
    this.#ports.described?.(relation);
  }

  reads(relation: Relation, sinks: readonly string[] | undefined): void {
    this.relation(relation);
    if (sinks?.includes(this.#ports.sink) === false) this.#plans.set(relation.id, null);
  }

  row(row: LoggedRow): void {
    const plan = this.#planOf(row);
    if (plan === null) return this.#ports.witness?.passedOver(row, 'table');
    const action = ACTIONS[row.kind]!;
    const isSplit = this.#isSplit(plan, row);
    const wanted = isSplit ? (plan.delete ?? plan.insert) : plan[action];
    if (isFirstOf(plan, row)) return this.#takeFirst(plan, row, wanted !== undefined);
    if (this.#isPassedOver(row, wanted !== undefined)) return;
    if (this.#isOutside(plan, row)) this.#outside++;
    else if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else if (isSplit) this.#addHalves(plan, row);
    else this.#addRow(plan, action, row);
  }

  truncate(row: LoggedRow): void {
    this.#ports.truncated?.(row);
    const plan = this.#planOf(row);
    if (plan === null) return this.#ports.witness?.passedOver(row, 'table');
    const isWanted = plan.truncate !== undefined;
    if (isFirstOf(plan, row)) return this.#takeFirst(plan, row, isWanted);
    if (this.#isPassedOver(row, isWanted)) return;
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else this.#addTruncate(plan, row);
  }

  oversize(row: LoggedRow): void {
    const plan = this.#planOf(row);
    if (plan === null) return this.#ports.witness?.passedOver(row, 'table');
    const isWanted = oversizePlan(plan, ACTIONS[row.kind]!) !== undefined;
    if (isFirstOf(plan, row)) return this.#takeFirst(plan, row, isWanted);
    if (this.#isPassedOver(row, isWanted)) return;
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else this.#addOversize(plan, row);
  }

  /**
   * The first row with its schema, which the sink is told of: that and the row are one change, settled when both are. A marker that
   * has the sink skip rows says nothing of schemas.
   */
  #takeFirst(plan: TablePlan, row: LoggedRow, isWanted: boolean): void {
    const { transaction, index } = row;
    const isSkippedRow = isWanted && isSkipped(transaction);
    if (this.#isDone(row)) return this.#ports.witness?.passedOver(row, 'done');
    if (!isWanted || isSkippedRow) this.#ports.witness?.passedOver(row, isWanted ? 'marker' : 'action');
    const isTold = this.#ports.isPartDone(transaction, index, 'schema');
    const split = new SplitChange(0, isTold ? ['schema'] : []);
    const rows: WantedRow[] = [];
    if (!isTold) rows.push(new WantedRow(row, plan, { split, isSchema: true }));
    if (isWanted && !isSkippedRow) rows.push(new WantedRow(row, plan, { split, isSchema: false }));
    if (this.#rows !== undefined) this.#rows.push(...rows);
    else for (const each of rows) this.#add(each);
  }

  letIn(signal: AbortSignal): boolean | Promise<boolean> {
    const outside = this.#outside;
    this.#outside = 0;
    if (this.#rows === undefined || (this.#rows.length === 0 && this.#commits.length === 0)) {
      if (this.#halt === undefined) this.#ports.counts.filtered += outside;
      return this.#halt === undefined;
    }
    const rows = new RowBatch(this.#rows, signal, this.#oldRows);
    this.#rows = [];
    rows.dropped = outside;
    const haveRun = runSteps(this.#steps, rows);
    if (typeof haveRun === 'boolean') return haveRun && this.#addAll(rows);
    // Meanwhile some of them may have been given up.
    return haveRun.then((isDone) => isDone && this.#addAll(rows, (row) => this.#isDone(row)));
  }

  /** Does its filter drop the row, as a look-up says? Not before the filter has judged rows of the table, and nobody doubts it: who does is asked for each batch. */
  #isOutside({ toJudge, movesByFilter, hasJudged }: TablePlan, row: LoggedRow): boolean {
    if (toJudge === undefined || !hasJudged || this.#ports.witness !== undefined) return false;
    // The row as it was may be inside.
    if (movesByFilter && row.kind === FRAME.update) return false;
    return row.kind !== FRAME.read && row.transaction.readUpTo === undefined && !toJudge.has(row);
  }

  #addAll(rows: RowBatch, isOver: (row: LoggedRow) => boolean = () => false): boolean {
    const commits = this.#commits.values();
    this.#commits = [];
    let commit = commits.next().value;
    for (const [index, row] of rows.all.entries()) {
      for (; commit !== undefined && commit.behind <= index; commit = commits.next().value)
        this.#ends!.commit(commit);
      if (this.#exceeded !== undefined) {
        this.#halt = haltedAt(row, this.#exceeded);
        return false;
      }
      this.#ports.witness?.stepped(row);
      row.plan.hasJudged ||= row.hasColumns && !row.plan.isDoubted;
      if (!row.isDropped && !isOver(row)) this.#add(row);
    }
    for (; commit !== undefined && commit.behind <= rows.all.length; commit = commits.next().value)
      this.#ends!.commit(commit);
    this.#halt = rows.halt ?? this.#halt;
    if (this.#halt !== undefined) return false;
    // Not of a block that comes again.
    this.#ports.counts.filtered += rows.dropped;
    return true;
  }

  #add(row: WantedRow): void {
    const { plan } = row;
    // What backfills have read is of no transaction.
    const isOfTransaction = row.transaction.readUpTo === undefined;
    this.#split = row.split ?? (isOfTransaction ? this.#ends?.before(row) : undefined);
    if (row.isSchema) this.#addSchema(plan, row);
    else if (row.kind === FRAME.truncate) this.#addTruncate(plan, row);
    else if (row.rawBytes > 0) this.#addOversize(plan, row);
    else if (row.moved !== undefined) this.#addMoved(plan, row, row.moved);
    else if (this.#isSplit(plan, row)) this.#addHalves(plan, row, row.refusal);
    else this.#addRow(plan, ACTIONS[row.kind]!, row, row.refusal);
    this.#split = undefined;
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    if (message.action === 'schema') return this.#rendering.schema(message);
    if (message.action === 'begin' || message.action === 'commit') return this.#ends!.render(message);
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
  #isSplit({ changesKey, changesRoute }: TablePlan, { kind, bytes, start, end }: LoggedRow): boolean {
    if (changesKey === undefined && changesRoute === undefined) return false;
    if (kind !== FRAME.update || !hasOldRow(bytes, start)) return false;
    this.#decode(bytes, start, end);
    return changesKey?.(this.#event) === true || changesRoute?.(this.#event) === true;
  }

  /** Is a change nothing to send: not wanted, or a marker says so, or it is settled or given up? */
  #isPassedOver(row: LoggedRow, isWanted: boolean): boolean {
    const why = !isWanted
      ? 'action'
      : isSkipped(row.transaction)
        ? 'marker'
        : this.#isDone(row)
          ? 'done'
          : undefined;
    if (why === undefined) return false;
    this.#ports.witness?.passedOver(row, why);
    return true;
  }
  #isDone({ transaction, index, offset, relationId }: LoggedRow): boolean {
    return this.#ports.isDone(transaction, index, offset, relationId);
  }

  #addRow(plan: TablePlan, action: PlannedAction, row: LoggedRow, refusal?: DeliveryError): void {
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

  /** As `#addRow`, of a row that another sink has rendered. */
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

  #addTruncate(plan: TablePlan, row: LoggedRow): void {
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

  /** Its key is not known without the row: it stands alone, and goes straight to the dead letters. */
  #addOversize(plan: TablePlan, row: LoggedRow): void {
    const action = ACTIONS[row.kind]!;
    const group = groupOfAll(plan);
    const actionPlan = oversizePlan(plan, action)!;
    const message = this.#message(row, { plan, actionPlan, action, event: undefined, group });
    this.#ports.unsettled.enter(message, plan.oneGroup);
  }

  /** Its key is not known: it stands alone, and goes to the dead letters as far as it can be read. */
  #addUndecodable(plan: TablePlan, action: PlannedAction, row: LoggedRow): void {
    const actionPlan = oversizePlan(plan, action)!;
    const group = groupOfAll(plan);
    const message = this.#message(row, { plan, actionPlan, action, event: this.#event, group });
    message.isKeyUndecodable = true;
    this.#rendering.row(message, this.#event);
    this.#ports.unsettled.enter(message, plan.oneGroup);
  }

  /** An update that changed the key or the route, as a delete in the old group, for the old route, and an insert in the new one. */
  #addHalves(plan: TablePlan, row: LoggedRow, refusal?: DeliveryError): void {
    const { unsettled } = this.#ports;
    const { transaction } = row;
    const event = this.#event;
    this.#decode(row.bytes, row.start, row.end);
    if (isDamagedRow(event) && plan.hasDamagedKey(event)) return this.#addUndecodable(plan, 'update', row);
    plan.barriers.regroup(plan.grouping);
    const isRekeyed = plan.changesKey?.(event) === true;
    const wanted = HALVES.filter((action) => plan[action] !== undefined);
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

  /** Null: the sink does not want such rows, or takes nothing any more. */
  #planOf(row: LoggedRow): TablePlan | null {
    if (this.#exceeded !== undefined) this.#halt ??= haltedAt(row, this.#exceeded);
    if (this.#halt !== undefined) return null;
    const { relationId, transaction } = row;
    const plan = this.#plans.get(relationId);
    const isKnown = plan !== undefined && (plan === null || !plan.awaitsKey);
    if (isKnown) return plan;
    const relation = this.#relations.get(relationId);
    if (relation === undefined)
      throw new Error(`a row of relation ${relationId}, which the log has not described`);
    // What a backfill reads has the key that the table has.
    const isProven = transaction.readUpTo !== undefined || isKeyProven(relation, transaction.xid);
    if (plan !== undefined && !isProven) return plan;
    const isRead = transaction.readUpTo !== undefined;
    try {
      const compiled = this.#ports.compile(relation, isProven, isRead) ?? null;
      this.#plans.set(relationId, compiled);
      return compiled;
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      this.#halt = haltedAt(row, error);
      return null;
    }
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
    if (this.#unrouted.isExceededBy(refusal)) this.#exceeded = tooManyUnrouted(refusal!, this.#ports.sink);
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

const isFirstOf = ({ schemaChange }: TablePlan, { transaction, index }: LoggedRow): boolean =>
  isFirstWith(schemaChange?.change, transaction, index);

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

/** Asked before anything is known of the change's fate: a transaction read again counts the same. */
function isSkipped({ skip }: PendingTransaction): boolean {
  if (skip === undefined) return false;
  skip.changes++;
  return true;
}

const ACTIONS: Readonly<Record<number, PlannedAction>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
  [FRAME.read]: 'read',
};

const HALVES = ['delete', 'insert'] as const;
const MOVED_AS = { delete: 'out', insert: 'in' } as const;

/** Of a message whose row is not known. */
const groupOfAll = ({ oneGroup, relation }: TablePlan): string =>
  oneGroup ?? `${relation.schema}.${relation.table}`;
