// From the log's row events to those that become messages (row-messages.ts): select, and the sink's steps. A relation that changes midway is
// compiled anew for the rows after it. Hot file (bench/micro).
import type { Relation } from '../../core/change.ts';
import type { SinkCounts } from '../../core/counts.ts';
import { TailraceError } from '../../core/errors.ts';
import { isFirstWith } from '../../core/schema-change.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { isKeyProven } from '../../pgoutput/enrichment.ts';
import type { LogicalMessage } from '../../pgoutput/messages.ts';
import { OldRows } from '../../pgoutput/old-rows.ts';
import { SplitChange, type Pending, type PendingTransaction } from '../delivery/pending.ts';
import { haltedAt } from './halts.ts';
import type { SinkMarkers } from './markers.ts';
import { ACTIONS, RowMessages, type MessagePorts } from './row-messages.ts';
import { oversizePlan, type TablePlan } from './table-plan.ts';
import type { LoggedRow, RowsPassed, WalkPorts } from './log-walker.ts';
import type { PlacedCommit, TransactionEnds } from './transaction-ends.ts';
import { RowBatch, runSteps, stepsInOrder, WantedRow, type Step, type Steps } from './steps.ts';

export type IntakePorts = MessagePorts & {
  /** `isRead`: of rows that a backfill has read. */
  compile(relation: Relation, isKeyProven: boolean, isRead: boolean): TablePlan | undefined;
  readonly markers: SinkMarkers;
  readonly steps: Steps;
  /** What the steps drop is counted there. */
  readonly counts: Pick<SinkCounts, 'filtered'>;
  /** Told of each relation as it comes. */
  readonly described?: ((relation: Relation) => void) | undefined;
  /** Told of each table that is emptied, before anything of that enters. */
  readonly truncated?: ((row: LoggedRow) => void) | undefined;
  /** Whoever wants to know why a change is sent, or is not. */
  readonly witness?: Witness | undefined;
};

/** Why a row is not sent: another table, another action, what a marker says, or it is done (`isDone`). */
export type PassedOver = 'table' | 'action' | 'marker' | 'done';

/** Told what becomes of each row event before its messages, if it has any, enter. */
export type Witness = {
  passedOver(row: LoggedRow, why: PassedOver): void;
  /** The steps have run: what they decided is on the row. */
  stepped(row: WantedRow): void;
};

/** The walker's ports of one sink. */
export class RowIntake implements WalkPorts {
  readonly #ports: IntakePorts;
  readonly #relations = new Map<number, Relation>();
  /** Undefined: not compiled yet; null: the sink does not want this relation. */
  readonly #plans = new Map<number, TablePlan | null>();
  readonly #oldRows = new OldRows();
  readonly #messages: RowMessages;
  readonly #steps: readonly Step[];
  readonly #ends: TransactionEnds | undefined;
  /** The wanted rows of the block in hand; undefined: there is nothing to wait for, and rows go straight on. */
  #rows: WantedRow[] | undefined;
  /** Between them. */
  #commits: PlacedCommit[] = [];
  /** Rows of the block in hand that their filter drops, and that nobody has judged. */
  #outside = 0;
  #halt: TailraceError | undefined;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
    this.#messages = new RowMessages(ports, this.#oldRows);
    this.#ends = this.#messages.ends;
    this.#steps = stepsInOrder(ports.steps);
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
    return this.#ends?.holdsBegin(transaction) === true;
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

  row(row: LoggedRow): RowsPassed | void {
    const plan = this.#planOf(row);
    if (plan === null) return this.#ports.witness?.passedOver(row, 'table');
    const action = ACTIONS[row.kind]!;
    const isSplit = this.#messages.isSplit(plan, row);
    const wanted = isSplit ? (plan.delete ?? plan.insert) : plan[action];
    if (isFirstOf(plan, row)) return this.#takeFirst(plan, row, wanted !== undefined);
    if (this.#isPassedOver(row, wanted !== undefined)) return;
    if (this.#isOutside(plan, row)) return this.#passOutside(plan, row);
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else if (isSplit) this.#messages.addHalves(plan, row);
    else this.#messages.addRow(plan, action, row);
  }

  /** The row, and those behind it that are like it in everything that has been asked of it. */
  #passOutside(plan: TablePlan, row: LoggedRow): RowsPassed | undefined {
    const { kind } = row;
    this.#outside++;
    // Of an update it may be asked whether it is two changes, and a table's first row may be another one.
    const isAlike =
      kind !== FRAME.update || (plan.changesKey === undefined && plan.routeMoveOf === undefined);
    if (!isAlike || plan.schemaChange !== undefined || this.#ports.isAllNew?.() !== true) return undefined;
    const passed = plan.toJudge?.passed(row);
    this.#outside += passed?.rows ?? 0;
    return passed;
  }

  truncate(row: LoggedRow): void {
    this.#ports.truncated?.(row);
    const plan = this.#planOf(row);
    if (plan === null) return this.#ports.witness?.passedOver(row, 'table');
    const isWanted = plan.truncate !== undefined;
    if (isFirstOf(plan, row)) return this.#takeFirst(plan, row, isWanted);
    if (this.#isPassedOver(row, isWanted)) return;
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else this.#messages.addTruncate(plan, row);
  }

  oversize(row: LoggedRow): void {
    const plan = this.#planOf(row);
    if (plan === null) return this.#ports.witness?.passedOver(row, 'table');
    const isWanted = oversizePlan(plan, ACTIONS[row.kind]!) !== undefined;
    if (isFirstOf(plan, row)) return this.#takeFirst(plan, row, isWanted);
    if (this.#isPassedOver(row, isWanted)) return;
    if (this.#rows !== undefined) this.#rows.push(new WantedRow(row, plan));
    else this.#messages.addOversize(plan, row);
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
    else for (const each of rows) this.#messages.add(each);
  }

  letIn(signal: AbortSignal): boolean | Promise<boolean> {
    const outside = this.#outside;
    this.#outside = 0;
    if (this.#rows === undefined || (this.#rows.length === 0 && this.#commits.length === 0)) {
      if (this.#halt === undefined) this.#ports.counts.filtered += outside;
      return this.#halt === undefined;
    }
    const rows = new RowBatch(this.#rows, signal, this.#oldRows);
    const commits = this.#commits;
    this.#rows = [];
    this.#commits = [];
    rows.dropped = outside;
    const haveRun = runSteps(this.#steps, rows);
    if (typeof haveRun === 'boolean') return haveRun && this.#addAll(rows, commits);
    // Meanwhile some of them may have been given up.
    return haveRun.then((isDone) => isDone && this.#addAll(rows, commits, (row) => this.#isDone(row)));
  }

  /** Does its filter drop the row, as a look-up says? Not before the filter has judged rows of the table, and nobody doubts it: who does is asked for each batch. */
  #isOutside({ toJudge, movesByFilter, hasJudged }: TablePlan, row: LoggedRow): boolean {
    if (toJudge === undefined || !hasJudged || this.#ports.witness !== undefined) return false;
    // The row as it was may be inside.
    if (movesByFilter && row.kind === FRAME.update) return false;
    return row.kind !== FRAME.read && row.transaction.readUpTo === undefined && !toJudge.has(row);
  }

  #addAll(
    rows: RowBatch,
    commits: readonly PlacedCommit[],
    isOver: (row: LoggedRow) => boolean = () => false,
  ): boolean {
    let ended = 0;
    /** The transactions that end in front of this row. */
    const endBefore = (row: number): void => {
      for (; ended < commits.length && commits[ended]!.behind <= row; ended++)
        this.#ends!.commit(commits[ended]!);
    };
    for (const [index, row] of rows.all.entries()) {
      endBefore(index);
      const { exceeded } = this.#messages;
      if (exceeded !== undefined) {
        this.#halt = haltedAt(row, exceeded);
        return false;
      }
      this.#ports.witness?.stepped(row);
      row.plan.hasJudged ||= row.hasColumns && !row.plan.isDoubted;
      if (!row.isDropped && !isOver(row)) this.#messages.add(row);
    }
    endBefore(rows.all.length);
    this.#halt = rows.halt ?? this.#halt;
    if (this.#halt !== undefined) return false;
    // Not of a block that comes again.
    this.#ports.counts.filtered += rows.dropped;
    return true;
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    this.#messages.renderParked(message);
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

  /** Null: the sink does not want such rows, or takes nothing any more. */
  #planOf(row: LoggedRow): TablePlan | null {
    const { exceeded } = this.#messages;
    if (exceeded !== undefined) this.#halt ??= haltedAt(row, exceeded);
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
}

const isFirstOf = ({ schemaChange }: TablePlan, { transaction, index }: LoggedRow): boolean =>
  isFirstWith(schemaChange?.change, transaction, index);

/** Asked before anything is known of the change's fate: a transaction read again counts the same. */
function isSkipped({ skip }: PendingTransaction): boolean {
  if (skip === undefined) return false;
  skip.changes++;
  return true;
}
