// How many changes the log has of rows that are asked for by their keys, as far as a sink takes them.
import type { Action, Relation, RowEvent } from '../../../core/change.ts';
import { isLost, type Partings } from '../../../core/partings.ts';
import type { FollowedRequest } from '../../../core/row-rewind.ts';
import { optionsFor, type TableName } from '../../../core/selection.ts';
import { FRAME } from '../../../pgoutput/frames.ts';
import { asStored, joined } from '../../../pgoutput/row-keys.ts';
import type { LoggedRow, WalkPorts } from '../../intake/log-walker.ts';
import type { TableFilter } from '../../intake/table-filter.ts';
import { readAs } from '../../intake/read-as.ts';
import { plannedOfReads, wantedActions } from '../../intake/taken-actions.ts';
import { isKeptOut } from '../../intake/where.ts';
import type { SinkSettings } from '../../settings.ts';
import { heldBack, presentFilter } from '../lost-rows.ts';
import { changeOf, FollowedRows } from './followed-rows.ts';
import { ONLOOKER } from './retained.ts';

export type Counts = {
  /** Of each row that is asked for, has the log its changes from the beginning on? Then they tell all of it. */
  readonly whole: readonly boolean[];
  /** Rows of which the log has something, and how many changes the sink takes. */
  readonly rows: number;
  readonly changes: number;
  /** Commit time of the first of them; undefined: there is none. */
  readonly sinceUs: bigint | undefined;
};

type Counted = { changes: number; sinceUs: bigint | undefined; readonly rows: Map<string, boolean> };

type CountedTable = {
  readonly actions: ReadonlySet<Action>;
  readonly filter: TableFilter | undefined;
  readonly isUnchanged: (event: RowEvent) => boolean;
} & TableName;

/** Since their tables were emptied: what was before says nothing of rows that are there now. */
export class CountedRows {
  readonly #followed: FollowedRows;
  readonly #settings: SinkSettings;
  readonly #partings: Partings;
  readonly #tables = new Map<number, CountedTable>();
  /** By relation; of each row, whether the log has it from its beginning on. */
  readonly #counted = new Map<number, Counted>();

  constructor(
    request: FollowedRequest,
    { settings, partings }: { readonly settings: SinkSettings; readonly partings: Partings },
  ) {
    this.#followed = new FollowedRows(request, settings);
    this.#settings = settings;
    this.#partings = partings;
  }

  sum(keys: readonly (readonly string[])[]): Counts {
    const rows = new Map<string, boolean>();
    let changes = 0;
    let sinceUs: bigint | undefined;
    for (const counted of this.#counted.values()) {
      changes += counted.changes;
      if (counted.sinceUs !== undefined && (sinceUs === undefined || counted.sinceUs < sinceUs))
        sinceUs = counted.sinceUs;
      for (const [key, isWhole] of counted.rows) rows.set(key, isWhole || rows.get(key) === true);
    }
    const whole = keys.map((key) => rows.get(joined(asStored(key))) === true);
    return { whole, rows: rows.size, changes, sinceUs };
  }

  readonly ports: WalkPorts = {
    ...ONLOOKER,
    relation: (relation) => {
      if (this.#followed.relation(relation)) this.#relation(relation, false);
    },
    reads: (relation, sinks) => {
      if (sinks?.includes(this.#settings.name) === false) this.#followed.forget(relation.id);
      else if (this.#followed.relation(relation)) this.#relation(relation, true);
    },
    row: (row) => this.#row(row),
    truncate: ({ relationId, transaction }) => {
      if (isLost(this.#partings, transaction)) return;
      this.#counted.delete(relationId);
      this.#counted.delete(-relationId);
    },
  };

  #relation(relation: Relation, isRead: boolean): void {
    const settings = this.#settings;
    const named = readAs(relation, { ...settings, ddl: 'ignore' })!.relation;
    const { schema, table } = named;
    const reads = plannedOfReads(optionsFor(named, settings.tables), settings);
    const actions = new Set<Action>(isRead ? reads : wantedActions(named, settings));
    this.#tables.set(relation.id, {
      schema,
      table,
      actions,
      filter: presentFilter(named, settings),
      isUnchanged: heldBack(named, settings),
    });
  }

  #row(row: LoggedRow): void {
    const { relationId, kind, transaction } = row;
    const keys = this.#followed.follow(row);
    if (keys.length === 0 || isLost(this.#partings, transaction)) return;
    const counted = this.#counted.get(relationId) ?? { changes: 0, sinceUs: undefined, rows: new Map() };
    this.#counted.set(relationId, counted);
    const begins = kind === FRAME.insert || kind === FRAME.read;
    for (const key of keys) counted.rows.set(key, begins || counted.rows.get(key) === true);
    if (!this.#isSent(row, this.#tables.get(relationId)!)) return;
    counted.changes++;
    counted.sinceUs ??= transaction.commitTimeUs;
  }

  #isSent(row: LoggedRow, { actions, filter, isUnchanged, ...name }: CountedTable): boolean {
    const { event } = this.#followed;
    const change = changeOf(row, name);
    if (!actions.has(change.action)) return false;
    const leavesAll = change.action === 'update' && isUnchanged(event);
    return filter === undefined ? !leavesAll : !isKeptOut(filter, event, change, this.#settings, leavesAll);
  }
}
