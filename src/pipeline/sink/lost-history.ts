// What a parting means to one sink: of the changes that the server's history does not have, those that it had delivered are orphans,
// and the others are not sent any more. Counted once, from the log, when the sink takes its place behind the parting.
import type { Logger } from 'pino';
import { createRowEvent, type Action, type Relation, type RowAction } from '../../core/change.ts';
import { formatLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { isLost, type Parting, type Partings } from '../../core/partings.ts';
import { parseMarker } from '../../core/markers.ts';
import { formatPosition } from '../../core/position.ts';
import { isFirstWith, type SchemaChange } from '../../core/schema-change.ts';
import type { LogReader } from '../../log/reader.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { decodeRow } from '../../pgoutput/messages.ts';
import type { Ledger } from '../../store/ledger.ts';
import { MAX_LISTED_ORPHANS, type LostHistory, type Orphan } from '../../store/partings.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import { groupByColumns, type GroupKey } from '../intake/group-key.ts';
import { LogWalker, type LoggedRow, type WalkPorts } from '../intake/log-walker.ts';
import { readAs, toldChange, wantedActions } from '../intake/table-plan.ts';
import type { SinkSettings } from '../settings.ts';

export type LostFacts = {
  readonly settings: Pick<SinkSettings, 'name' | 'selection' | 'tables' | 'actions' | 'ddl'>;
  readonly reader: Pick<LogReader, 'read' | 'findLsn'>;
  /** Where the log ends: what is lost lies before it. */
  readonly writtenEnd: number;
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

/** A sink that takes its place, with what is needed to account for what it has not yet. */
export type Accounting = {
  readonly id: SinkId;
  readonly store: Pick<Store, 'partings' | 'deadLetters' | 'skipped'>;
  readonly settings: SinkSettings;
  readonly partings: Partings;
  /** Nothing of what was logged before is its to have had. */
  readonly isNew: boolean;
  readonly ledger: Pick<Ledger, 'wasSettled' | 'wasPartSettled'>;
  /** Do markers make it skip changes now? */
  readonly heedsSkips: boolean;
  readonly reader: LogReader;
  readonly writtenEnd: number;
  readonly logger: Logger;
};

/** Invariant 3: on record before the sink passes over anything of a lost history. */
export async function accountForLost(accounting: Accounting): Promise<void> {
  const { id, store, partings, isNew } = accounting;
  if (partings.length === 0) return;
  const before = [...store.partings.ofSink(id)];
  for (const parting of partings) {
    if (before.some(({ epoch }) => epoch === parting.epoch)) continue;
    const lost = isNew ? NOTHING : await findLost(parting, { ...accounting, ...factsOf(accounting, before) });
    const { discarded, orphaned } = lost;
    const accounted = { ...parting, discarded, orphaned };
    store.partings.account(id, accounted, lost.orphans);
    before.push(accounted);
    if (discarded + orphaned > 0) say(accounting, accounted);
  }
}

const NOTHING: Lost = { discarded: 0, orphaned: 0, orphans: [] };

function factsOf(
  { id, store, ledger, heedsSkips }: Accounting,
  before: Partings,
): Pick<LostFacts, 'before' | 'wasSettled' | 'wasTold' | 'isDeadLetter' | 'heedsSkip'> {
  const letters = { row: new Set<string>(), schema: new Set<string>() };
  for (const { position, action } of store.deadLetters.places(id, { epoch: 0 }))
    letters[action === 'schema' ? 'schema' : 'row'].add(formatPosition(position));
  const skipped = new Set(store.skipped.list(id).map(({ epoch, commitLsn }) => `${epoch}:${commitLsn}`));
  return {
    before: [...before],
    heedsSkip: (epoch, commitLsn) => heedsSkips || skipped.has(`${epoch}:${formatLsn(commitLsn)}`),
    wasSettled: (epoch, commitLsn, index) => ledger.wasSettled(epoch, commitLsn, index),
    wasTold: (epoch, commitLsn, index) =>
      ledger.wasSettled(epoch, commitLsn, index) || ledger.wasPartSettled('schema', epoch, commitLsn, index),
    isDeadLetter: (what, epoch, commitLsn, index) =>
      letters[what].size > 0 && letters[what].has(formatPosition({ epoch, commitLsn, index })),
  };
}

function say({ id, logger }: Accounting, { lsn, epoch, discarded, orphaned }: LostHistory): void {
  logger.error(
    { ...id, parting: formatLsn(lsn), epoch, discarded, orphaned },
    `sink "${id.sink}": of the history that is lost ${orphaned} changes were delivered (tailrace status --orphans), and ${discarded} are not sent any more`,
  );
}

/** As far as the log still has them: what it has let go of, every sink that it was kept for had settled. */
async function findLost(parting: Parting, facts: LostFacts): Promise<Lost> {
  const { reader, writtenEnd } = facts;
  const lost = new LostRows(parting, facts);
  const start = await reader.findLsn(parting.lsn);
  if (start === undefined) return lost;
  const walker = new LogWalker('', { position: start, endLsn: ZERO_LSN, offset: 0 }, lost);
  const stopping = new AbortController();
  for await (const block of reader.read({ position: start }, stopping.signal)) {
    if (!block.prologue && !block.relationsOnly && block.context.epoch >= parting.epoch) break;
    void walker.block(block, stopping.signal);
    if (block.blockEnd >= writtenEnd) break;
  }
  return lost;
}

/** How one table's rows are wanted. */
type Wanted = {
  readonly schema: string;
  readonly table: string;
  readonly actions: ReadonlySet<Action>;
  readonly key: GroupKey;
  /** What the sink is told of how the table changed, before the first row with the new schema. */
  readonly schemaChange: SchemaChange | undefined;
};

class LostRows implements WalkPorts, Lost {
  readonly #parting: Parting;
  readonly #facts: LostFacts;
  readonly #tables = new Map<number, Wanted | undefined>();
  readonly #event = createRowEvent();
  discarded = 0;
  orphaned = 0;
  readonly orphans: Orphan[] = [];

  constructor(parting: Parting, facts: LostFacts) {
    this.#parting = parting;
    this.#facts = facts;
  }

  marker: WalkPorts['marker'] = (transaction, { prefix, content }) => {
    const facts = this.#facts;
    const marker = parseMarker(prefix, content);
    if (marker?.kind !== 'skip' || marker.sinks?.includes(facts.settings.name) === false) return transaction;
    if (!facts.heedsSkip(transaction.epoch, transaction.commitLsn)) return transaction;
    return { ...transaction, skip: { changes: 0 } };
  };
  markersLost(): void {}
  committed(): void {}
  letIn(): true {
    return true;
  }

  relation(relation: Relation): void {
    const { settings } = this.#facts;
    const reading = readAs(relation, settings);
    if (reading === undefined) return void this.#tables.set(relation.id, undefined);
    const { relation: named, hasRows } = reading;
    const { schema, table } = named;
    const actions = new Set(hasRows ? wantedActions(named, settings) : []);
    const key = groupByColumns(named, named.key);
    const schemaChange = toldChange(reading, settings);
    this.#tables.set(relation.id, { schema, table, actions, key, schemaChange });
  }

  /** No changes: their backfill reads them again where they may show what is lost. */
  reads({ id }: Relation): void {
    this.#tables.set(id, undefined);
  }
  row(row: LoggedRow): void {
    const action = ACTIONS[row.kind]!;
    this.#count(row, action, ({ key }) => {
      decodeRow(row.bytes, row.start, row.end, this.#event);
      return key.current(this.#event, row.transaction);
    });
  }
  truncate(row: LoggedRow): void {
    this.#count(row, 'truncate', () => undefined);
  }
  oversize(row: LoggedRow): void {
    this.#count(row, ACTIONS[row.kind]!, () => undefined);
  }

  #count(row: LoggedRow, action: Action, keyOf: (wanted: Wanted) => string | undefined): void {
    const facts = this.#facts;
    const { transaction, index } = row;
    const wanted = this.#tables.get(row.relationId);
    if (wanted === undefined) return;
    if (!isLost([this.#parting], transaction) || isLost(facts.before, transaction)) return;
    const { epoch, commitLsn } = transaction;
    const place = [epoch, commitLsn, index] as const;
    // A skip marker says nothing of schemas.
    if (isFirstWith(wanted.schemaChange, transaction, index) && !facts.isDeadLetter('schema', ...place))
      this.#add(row, 'schema', facts.wasTold(...place) ? wanted : undefined, () => undefined);
    // Neither delivered nor to be.
    if (!wanted.actions.has(action) || transaction.skip !== undefined) return;
    if (facts.isDeadLetter('row', ...place)) return;
    this.#add(row, action, facts.wasSettled(...place) ? wanted : undefined, keyOf);
  }

  /** `delivered`: of which table; undefined: it was not. */
  #add(
    { transaction, index }: LoggedRow,
    action: Action,
    delivered: Wanted | undefined,
    keyOf: (wanted: Wanted) => string | undefined,
  ): void {
    if (delivered === undefined) {
      this.discarded++;
      return;
    }
    this.orphaned++;
    if (this.orphans.length >= MAX_LISTED_ORPHANS) return;
    const { epoch, commitLsn } = transaction;
    const { schema, table } = delivered;
    this.orphans.push({ schema, table, action, key: keyOf(delivered), epoch, commitLsn, index });
  }
}

const ACTIONS: Readonly<Record<number, RowAction>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
};
