// What one sink had, or would have had, of a history that is lost: the rows of its log that are told apart into delivered and not.
import {
  createRowEvent,
  type Action,
  type Relation,
  type RowAction,
  type RowEvent,
} from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import { parseMarker } from '../../core/markers.ts';
import { isLost, type Parting, type Partings } from '../../core/partings.ts';
import { optionsFor } from '../../core/selection.ts';
import { isFirstWith, type SchemaChange } from '../../core/schema-change.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { decodeRow, type LogicalMessage } from '../../pgoutput/messages.ts';
import { OldRows } from '../../pgoutput/old-rows.ts';
import { MAX_LISTED_ORPHANS, type Orphan } from '../../store/partings.ts';
import type { PendingTransaction } from '../delivery/pending.ts';
import { rowNames, type GroupKey } from '../intake/group-key.ts';
import type { LoggedRow, WalkPorts } from '../intake/log-walker.ts';
import { leavesUnchanged } from '../../functions/columns/changed.ts';
import { unchangedRule } from '../intake/columns/told-changes.ts';
import { columnsOfRoutes } from '../intake/route-needs.ts';
import { compileTableFilter, filtersFor, type TableFilter } from '../intake/table-filter.ts';
import { readAs, toldChange } from '../intake/read-as.ts';
import { masksFor } from '../intake/table-plan.ts';
import { wantedActions } from '../intake/taken-actions.ts';
import { isKeptOut } from '../intake/where.ts';
import type { SinkSettings } from '../settings.ts';

export type LostFacts = {
  readonly settings: SinkSettings;
  /** What is lost by these is accounted for. */
  readonly before: Partings;
  wasSettled(epoch: number, commitLsn: Lsn, index: number): boolean;
  /** Was the sink told of the schema that the row there is the first with? */
  wasTold(epoch: number, commitLsn: Lsn, index: number): boolean;
  /** Is it, or what tells of its schema, kept as a dead letter? Then it was not delivered, and is not discarded either. */
  isDeadLetter(what: 'row' | 'schema', epoch: number, commitLsn: Lsn, index: number): boolean;
  /** Does the sink skip what follows a skip marker in this transaction, or did it? */
  heedsSkip(epoch: number, commitLsn: Lsn): boolean;
};

export type Lost = {
  readonly discarded: number;
  readonly orphaned: number;
  /** The first of them. */
  readonly orphans: readonly Orphan[];
};

/** How one table's rows are wanted. */
type Wanted = {
  readonly schema: string;
  readonly table: string;
  readonly actions: ReadonlySet<Action>;
  readonly key: GroupKey;
  /** What the sink is told of how the table changed, before the first row with the new schema. */
  readonly schemaChange: SchemaChange | undefined;
  readonly filter: TableFilter | undefined;
  /** Is this update one that is not sent because of what it leaves as it was? */
  readonly isUnchanged: (event: RowEvent) => boolean;
};

export class LostRows implements WalkPorts, Lost {
  readonly #parting: Parting;
  readonly #facts: LostFacts;
  readonly #tables = new Map<number, Wanted | undefined>();
  readonly #event = createRowEvent();
  readonly #oldRows = new OldRows();
  discarded = 0;
  orphaned = 0;
  readonly orphans: Orphan[] = [];

  constructor(parting: Parting, facts: LostFacts) {
    this.#parting = parting;
    this.#facts = facts;
  }

  marker(transaction: PendingTransaction, { prefix, content }: LogicalMessage): PendingTransaction {
    const marker = parseMarker(prefix, content);
    switch (marker?.kind) {
      case 'annotate':
        return { ...transaction, annotations: marker.annotations };
      case 'unreadable annotation':
        return { ...transaction, annotations: undefined };
      case 'skip':
        return this.#heedsSkip(transaction, marker.sinks)
          ? { ...transaction, skip: { changes: 0 } }
          : transaction;
      case 'unreadable skip':
      case undefined:
        return transaction;
      default:
        return marker satisfies never;
    }
  }
  markersLost(): void {}
  committed(): void {}
  letIn(): true {
    return true;
  }

  #heedsSkip({ epoch, commitLsn }: PendingTransaction, sinks: readonly string[] | undefined): boolean {
    const facts = this.#facts;
    return sinks?.includes(facts.settings.name) !== false && facts.heedsSkip(epoch, commitLsn);
  }

  relation(relation: Relation): void {
    const { settings } = this.#facts;
    this.#oldRows.relation(relation);
    const reading = readAs(relation, settings);
    if (reading === undefined) return void this.#tables.set(relation.id, undefined);
    const { relation: named, hasRows } = reading;
    const { schema, table } = named;
    this.#tables.set(relation.id, {
      schema,
      table,
      actions: new Set(hasRows ? wantedActions(named, settings) : []),
      key: rowNames(named, masksFor(named, settings)),
      schemaChange: toldChange(reading, settings),
      filter: presentFilter(named, settings),
      isUnchanged: heldBack(named, settings),
    });
  }

  /** No changes: their backfill reads them again where they may show what is lost. */
  reads({ id }: Relation): void {
    this.#tables.set(id, undefined);
  }
  row(row: LoggedRow): void {
    this.#count(
      row,
      (wanted) => this.#isKeptOut(row, wanted),
      ({ key }) => key.current(this.#event, row.transaction),
    );
  }
  truncate(row: LoggedRow): void {
    this.#count(row);
  }
  oversize(row: LoggedRow): void {
    this.#count(row);
  }

  /** Reads it. Rows that a rule kept from the sink were neither delivered nor are they to be. */
  #isKeptOut(row: LoggedRow, { filter, isUnchanged, schema, table }: Wanted): boolean {
    const event = this.#event;
    decodeRow(row.bytes, row.start, row.end, event);
    this.#oldRows.forget(event);
    const leavesAll = event.action === 'update' && isUnchanged(event);
    if (filter === undefined) return leavesAll;
    const { commitTimeUs, annotations } = row.transaction;
    const change = { action: event.action, schema, table, commitTimeUs, annotations };
    return isKeptOut(filter, event, change, this.#facts.settings, leavesAll);
  }

  #count(
    row: LoggedRow,
    isKeptOut: (wanted: Wanted) => boolean = () => false,
    keyOf: (wanted: Wanted) => string | undefined = () => undefined,
  ): void {
    const facts = this.#facts;
    const { transaction, index } = row;
    const { epoch, commitLsn } = transaction;
    const wanted = this.#tables.get(row.relationId);
    if (wanted === undefined) return;
    if (!isLost([this.#parting], transaction) || isLost(facts.before, transaction)) return;
    const place = [epoch, commitLsn, index] as const;
    const action = ACTIONS[row.kind]!;
    // A skip marker says nothing of schemas.
    if (isFirstWith(wanted.schemaChange, transaction, index) && !facts.isDeadLetter('schema', ...place))
      this.#add(row, wanted, { action: 'schema', wasDelivered: facts.wasTold(...place) });
    if (!wanted.actions.has(action) || transaction.skip !== undefined) return;
    if (facts.isDeadLetter('row', ...place) || isKeptOut(wanted)) return;
    this.#add(row, wanted, { action, wasDelivered: facts.wasSettled(...place), keyOf });
  }

  #add(
    { transaction: { epoch, commitLsn }, index }: LoggedRow,
    wanted: Wanted,
    what: {
      readonly action: Action;
      readonly wasDelivered: boolean;
      readonly keyOf?: (wanted: Wanted) => string | undefined;
    },
  ): void {
    const { action, wasDelivered, keyOf } = what;
    if (!wasDelivered) {
      this.discarded++;
      return;
    }
    this.orphaned++;
    if (this.orphans.length >= MAX_LISTED_ORPHANS) return;
    const { schema, table } = wanted;
    this.orphans.push({ schema, table, action, key: keyOf?.(wanted), epoch, commitLsn, index });
  }
}

/** As the step `changed`: one that goes elsewhere is sent. Which routes those were is not asked again, but what decided them. */
export function heldBack(relation: Relation, settings: SinkSettings): Wanted['isUnchanged'] {
  const isUnchanged = unchangedRule(relation, optionsFor(relation, settings.tables)?.rules);
  if (isUnchanged === undefined) return () => false;
  if (settings.routeMoves !== 'convert') return isUnchanged;
  const staysThere = leavesUnchanged(relation, columnsOfRoutes(settings, relation));
  return (event) => isUnchanged(event) && staysThere(event);
}

/** The filter that the sink has now, where it has a meaning for how the table looked then. */
export function presentFilter(relation: Relation, settings: SinkSettings): TableFilter | undefined {
  try {
    return compileTableFilter(relation, filtersFor(relation, settings));
  } catch (error) {
    if (error instanceof TailraceError) return undefined;
    throw error;
  }
}

const ACTIONS: Readonly<Record<number, RowAction | 'truncate'>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
  [FRAME.truncate]: 'truncate',
};
