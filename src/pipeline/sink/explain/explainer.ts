// What the intake of a sink makes of each change in the log, kept instead of sent: it is the running sink's own intake, watched.
import type { Logger } from 'pino';
import type { Action, Moved, Relation } from '../../../core/change.ts';
import { createRowEvent } from '../../../core/change.ts';
import { zeroCounts } from '../../../core/counts.ts';
import type { DeliveryError } from '../../../core/errors.ts';
import { TailraceError } from '../../../core/errors.ts';
import { isLost, type Partings } from '../../../core/partings.ts';
import { formatPosition, type Position } from '../../../core/position.ts';
import type { TableName } from '../../../core/selection.ts';
import type { Envelope } from '../../../formats/format.ts';
import type { Verdict } from '../../../functions/where/filter.ts';
import { FRAME } from '../../../pgoutput/frames.ts';
import { decodeRow } from '../../../pgoutput/messages.ts';
import type { Sink } from '../../../sinks/sink.ts';
import type { Pending } from '../../delivery/pending.ts';
import { Routes } from '../../delivery/routes.ts';
import { Barriers } from '../../delivery/table-order.ts';
import { Unsettled } from '../../delivery/unsettled.ts';
import { rowNames, type GroupKey } from '../../intake/group-key.ts';
import type { LoggedRow, WalkPorts } from '../../intake/log-walker.ts';
import { SinkMarkers } from '../../intake/markers.ts';
import type { IntakePorts, PassedOver, RowIntake } from '../../intake/row-intake.ts';
import { sinkIntake } from '../../intake/sink-intake.ts';
import type { DroppedBy, WantedRow } from '../../intake/steps.ts';
import type { TablePlan } from '../../intake/table-plan.ts';
import type { SinkSettings } from '../../settings.ts';

export type ExplainedSink = {
  readonly settings: SinkSettings;
  readonly envelope: Envelope;
  readonly sink: Sink;
  /** May markers in the log make this sink skip changes? */
  readonly heedsSkips: boolean;
  readonly logger: Logger;
};

/** A change in the log, and what becomes of it in the sink. */
export type Explained = {
  readonly position: Position;
  /** Microseconds since 1970. */
  readonly commitTimeUs: bigint;
  /** As it was logged: what is sent may be called otherwise. */
  readonly action: Action;
  readonly table: TableName;
  /** `schema.table:value…` under the name that the sink reads it by; undefined: not wanted, or too large to be known. */
  key: string | undefined;
  /** What its filter said; undefined: it has none, it was not asked, or it could not say (`refusal`). */
  verdict: Verdict | undefined;
  /** The update comes as a delete (`out`) or an insert (`in`), because its row leaves or enters what the filter names. */
  moved: Moved | undefined;
  /** A step made it a dead letter. */
  refusal: DeliveryError | undefined;
  /** Undefined where it has messages. */
  notSent: PassedOver | DroppedBy | 'unusable' | undefined;
  /** The sink would halt here: its settings do not fit the table. */
  fault: TailraceError | undefined;
  /** More than one where a change is several messages. Of those that are parked `render` gives the bytes. */
  readonly messages: Pending[];
};

export class Explainer implements WalkPorts {
  readonly intake: RowIntake;
  readonly #partings: Partings;
  readonly #relations = new Map<number, Relation>();
  readonly #plans = new Map<number, TablePlan>();
  readonly #faults = new Map<number, TailraceError>();
  readonly #keys = new WeakMap<TablePlan, GroupKey>();
  readonly #event = createRowEvent();
  /** Of the block in hand, in log order, and by place. */
  #found: Explained[] = [];
  readonly #byPlace = new Map<string, Explained>();

  constructor(
    { settings, envelope, sink, heedsSkips, logger }: ExplainedSink,
    { partings, readFrames }: { readonly partings: Partings } & Pick<IntakePorts, 'readFrames'>,
  ) {
    this.#partings = partings;
    // Nothing waits here: these only give messages their routes and their memory.
    const { room } = new Unsettled(settings);
    let nowMs = 0;
    this.intake = sinkIntake({
      settings,
      envelope,
      counts: zeroCounts(),
      // What came in a minute is of no interest here: nothing is held back.
      nowMs: () => (nowMs += 60_000),
      sink,
      routes: new Routes(settings, room),
      barriers: new Barriers<Pending>(),
      markers: new SinkMarkers({ sink: settings.name, heedsSkips, keep: () => undefined, logger }),
      unsettled: {
        arenas: room.arenas,
        // Rendered when somebody wants to see it.
        shouldPark: () => true,
        enter: (message) => this.#at(message.transaction, message.index)?.messages.push(message),
      },
      isDone: (transaction) => isLost(this.#partings, transaction),
      isPartDone: () => false,
      readFrames,
      staysLong: false,
      compiling: (compile) => (relation, isKeyProven, isRead) =>
        this.#compiled(relation, () => compile(relation, isKeyProven, isRead)),
      witness: {
        passedOver: (row, why) => this.#passedOver(row, why),
        stepped: (row) => this.#stepped(row),
      },
    });
  }

  /** What the block just walked has told. */
  take(): readonly Explained[] {
    const found = this.#found;
    this.#found = [];
    this.#byPlace.clear();
    return found;
  }

  marker: WalkPorts['marker'] = (transaction, message) => this.intake.marker(transaction, message);
  markersLost: WalkPorts['markersLost'] = (transaction) => this.intake.markersLost(transaction);
  committed: WalkPorts['committed'] = (commit) => this.intake.committed(commit);
  letIn: WalkPorts['letIn'] = (signal) => this.intake.letIn(signal);

  relation(relation: Relation): void {
    this.#relations.set(relation.id, relation);
    this.intake.relation(relation);
  }
  reads(relation: Relation, sinks: readonly string[] | undefined): void {
    this.#relations.set(relation.id, relation);
    this.intake.reads(relation, sinks);
  }
  row(row: LoggedRow): void {
    const found = this.#note(row, ACTIONS[row.kind]!);
    this.intake.row(row);
    found.key = this.#keyOf(row);
  }
  truncate(row: LoggedRow): void {
    this.#note(row, 'truncate');
    this.intake.truncate(row);
  }
  oversize(row: LoggedRow): void {
    this.#note(row, ACTIONS[row.kind]!);
    this.intake.oversize(row);
  }

  #note({ transaction, index, relationId }: LoggedRow, action: Action): Explained {
    const { epoch, commitLsn, commitTimeUs } = transaction;
    const { schema, table } = this.#relations.get(relationId)!;
    const found: Explained = {
      position: { epoch, commitLsn, index },
      commitTimeUs,
      action,
      table: { schema, table },
      key: undefined,
      verdict: undefined,
      moved: undefined,
      refusal: undefined,
      notSent: undefined,
      fault: undefined,
      messages: [],
    };
    this.#found.push(found);
    this.#byPlace.set(formatPosition(found.position), found);
    return found;
  }

  #at({ epoch, commitLsn }: Pick<Position, 'epoch' | 'commitLsn'>, index: number): Explained | undefined {
    return this.#byPlace.get(formatPosition({ epoch, commitLsn, index }));
  }

  #passedOver({ transaction, index, relationId }: LoggedRow, why: PassedOver): void {
    const found = this.#at(transaction, index)!;
    found.fault = why === 'table' ? this.#faults.get(relationId) : undefined;
    found.notSent = found.fault === undefined ? why : 'unusable';
  }

  #stepped({ transaction, index, verdict, moved, refusal, dropped }: WantedRow): void {
    const found = this.#at(transaction, index)!;
    found.verdict ??= verdict;
    found.moved ??= moved;
    found.refusal ??= refusal;
    if (dropped !== undefined) found.notSent = dropped;
  }

  /** What a sink cannot work with halts it; here the next table is looked at, too. */
  #compiled({ id }: Relation, compile: () => TablePlan | undefined): TablePlan | undefined {
    this.#faults.delete(id);
    this.#plans.delete(id);
    try {
      const plan = compile();
      if (plan !== undefined) this.#plans.set(id, plan);
      return plan;
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error;
      this.#faults.set(id, error);
      return undefined;
    }
  }

  #keyOf({ relationId, bytes, start, end, transaction }: LoggedRow): string | undefined {
    const plan = this.#plans.get(relationId);
    if (plan === undefined) return undefined;
    let key = this.#keys.get(plan);
    if (key === undefined) {
      key = rowNames(plan.relation, plan.masks);
      this.#keys.set(plan, key);
    }
    decodeRow(bytes, start, end, this.#event);
    return key.current(this.#event, transaction);
  }
}

const ACTIONS: Readonly<Record<number, Action>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
  [FRAME.read]: 'read',
};
