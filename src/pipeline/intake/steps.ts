// What a sink does to the rows that it wants before they become messages: the steps, their order, the rows they work on.
// A filter, an enrichment, a function of the user's: each is one step.
import { createRowEvent, type Moved, type Relation, type RowEvent } from '../../core/change.ts';
import type { DeliveryError, TailraceError } from '../../core/errors.ts';
import type { Verdict } from '../../functions/where/filter.ts';
import type { Position } from '../../core/position.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { decodeRow } from '../../pgoutput/messages.ts';
import { OldRows } from '../../pgoutput/old-rows.ts';
import type { PendingTransaction, SplitChange } from '../delivery/pending.ts';
import { haltedAt } from './halts.ts';
import type { LoggedRow } from './log-walker.ts';
import type { TablePlan } from './table-plan.ts';

/**
 * Works on the rows of one block, in log order. One that answers a promise makes the sink wait for it: nothing of the
 * block is let in or settled before, and the log is read no further. A throw (fatal) halts the sink.
 */
export type Step = (rows: RowBatch) => void | Promise<void>;

/**
 * The order of the steps, whatever order they are given in. Before them a row is selected (table, action, marker, not
 * settled yet); after them its group is found, and its message rendered. What a table alone decides (its columns, format
 * and routes) is no step: it is compiled into the table's plan.
 */
const STEP_ORDER = [
  'agree',
  'where',
  'changed',
  'enrich',
  'filter',
  'columns',
  'transform',
  'route',
] as const;

export type Steps = { readonly [Name in (typeof STEP_ORDER)[number]]?: Step };

export const stepsInOrder = (steps: Steps): readonly Step[] =>
  STEP_ORDER.flatMap((name) => steps[name] ?? []);

/** Its filter is not true for it, or it is an update that changes none of the columns that the sink waits for. */
export type DroppedBy = 'where' | 'unchanged';

/** A row event that the sink wants. */
export class WantedRow implements LoggedRow {
  readonly relationId: number;
  readonly kind: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly transaction: PendingTransaction;
  readonly index: number;
  readonly rawBytes: number;
  readonly kept: LoggedRow['kept'];
  readonly plan: TablePlan;
  /** Set where the row is the first with its schema, and the sink is told so. */
  readonly split: SplitChange | undefined;
  /** What tells so: it stands before the row. */
  readonly isSchema: boolean;
  /** Which step has decided that it is not sent. */
  dropped: DroppedBy | undefined;
  /** The filter has decided that this update is a delete, or an insert. */
  moved: Moved | undefined;
  /** A step has decided that it becomes a dead letter, and why. */
  refusal: DeliveryError | undefined;
  /** What its filter said; undefined: it has none, or could not say. */
  verdict: Verdict | undefined;

  constructor(
    row: LoggedRow,
    plan: TablePlan,
    schema?: { readonly split: SplitChange; readonly isSchema: boolean },
  ) {
    this.relationId = row.relationId;
    this.kind = row.kind;
    this.bytes = row.bytes;
    this.start = row.start;
    this.end = row.end;
    this.offset = row.offset;
    this.transaction = row.transaction;
    this.index = row.index;
    this.rawBytes = row.rawBytes;
    this.kept = row.kept;
    this.plan = plan;
    this.split = schema?.split;
    this.isSchema = schema?.isSchema === true;
  }

  get isDropped(): boolean {
    return this.dropped !== undefined;
  }
  /** Is it an insert, an update or a delete, and whole? */
  get hasColumns(): boolean {
    return this.kind !== FRAME.truncate && this.rawBytes === 0 && !this.isSchema;
  }
  get relation(): Relation {
    return this.plan.relation;
  }
  get position(): Position {
    const { epoch, commitLsn } = this.transaction;
    return { epoch, commitLsn, index: this.index };
  }
}

/** The wanted rows of one block, in log order. */
export class RowBatch implements Iterable<WantedRow> {
  /** Aborts when the sink stops: what a step still does for these rows is for nothing then, they come again. */
  readonly signal: AbortSignal;
  dropped = 0;
  #all: readonly WantedRow[];
  #halt: TailraceError | undefined;
  readonly #oldRows: OldRows;

  constructor(rows: readonly WantedRow[], signal: AbortSignal, oldRows: OldRows = NO_OLD_ROWS) {
    this.#all = rows;
    this.signal = signal;
    this.#oldRows = oldRows;
  }

  /** Also what steps have dropped, and what they cannot look at. */
  get all(): readonly WantedRow[] {
    return this.#all;
  }
  /** What the sink waits at, behind the last of these rows. */
  get halt(): TailraceError | undefined {
    return this.#halt;
  }

  /**
   * What steps work on: inserts, updates and deletes that none before has dropped. A TRUNCATE, a row too large to be
   * kept whole and a changed schema have no columns to look at: they keep their places among the others, and pass.
   */
  [Symbol.iterator](): Iterator<WantedRow> {
    return this.#all.filter(isToWorkOn)[Symbol.iterator]();
  }
  /** Is there nothing left to work on? */
  get isEmpty(): boolean {
    return !this.#all.some(isToWorkOn);
  }

  /** The row's columns. One value for all rows: valid until the next one is read, and not across a wait. */
  read(row: WantedRow): RowEvent {
    decodeRow(row.bytes, row.start, row.end, EVENT);
    this.#oldRows.forget(EVENT);
    return EVENT;
  }

  /** The sink waits at this row, and goes no further: the rows before it are all that there is to work on. */
  haltAt(row: WantedRow, error: TailraceError): void {
    this.#all = this.#all.slice(0, this.#all.indexOf(row));
    this.#halt = haltedAt(row, error);
  }

  /** The sink does not want this row after all. It is settled without a message (invariant 3), and counted. */
  drop(row: WantedRow, by: DroppedBy): void {
    if (!row.isDropped) this.dropped++;
    row.dropped ??= by;
  }
}

const isToWorkOn = (row: WantedRow): boolean => !row.isDropped && row.hasColumns;

/** Knows of no partitioned table. */
const NO_OLD_ROWS = new OldRows();

/** One is enough: nothing of a row that was read is used after a pause. */
const EVENT = createRowEvent();

/** Have all steps run? Not if the sink stops meanwhile. Answers a promise only if a step does. */
export function runSteps(steps: readonly Step[], rows: RowBatch): boolean | Promise<boolean> {
  for (const [i, step] of steps.entries()) {
    if (rows.signal.aborted) return false;
    if (rows.isEmpty) return true;
    const working = step(rows);
    if (working === undefined) continue;
    return untilAborted(working, rows.signal).then(() => runSteps(steps.slice(i + 1), rows));
  }
  return !rows.signal.aborted;
}

/** Resolves with `work`, or as soon as `signal` aborts: what becomes of `work` then concerns nobody. Rejects as it does. */
function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => resolve();
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  return promise;
}
