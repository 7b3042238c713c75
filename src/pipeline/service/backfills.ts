// Backfills of a running service: started after a look at the database, listed, paused, resumed, cancelled.
import {
  givesWayOf,
  workersOf,
  type Backfill,
  type BackfillLimits,
  type BackfillState,
  type BackfillTableRequest,
} from '../../core/backfill.ts';
import { wallTime } from '../../core/clock.ts';
import { TailraceError, refused } from '../../core/errors.ts';
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import type { SinkStatus } from '../../core/status.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { Backfills } from '../../store/backfills.ts';
import type { SinkSettings } from '../settings.ts';
import { backfillDocument, type BackfillDocument } from './backfill-document.ts';
import { checkBackfill, type BackfillWish, type CheckedBackfill } from './backfill-check.ts';
import { newBackfillId } from './backfill-id.ts';

export type BackfillStart = {
  readonly database: string;
  /** By name; `all` of the database. */
  readonly sinks: readonly string[] | 'all';
  /** Undefined: all whose rows one of them takes. */
  readonly tables?: readonly BackfillTableRequest[] | undefined;
  /** In place of what the sinks say. */
  readonly limits?: Partial<BackfillLimits>;
};

export type StartedBackfill = { readonly backfill: BackfillDocument; readonly notes: readonly string[] };

/** What somebody may bring a backfill into. */
export type BackfillMove = Extract<BackfillState, 'paused' | 'waiting' | 'cancelled'>;

/**
 * Errors: BACKFILL_UNKNOWN, BACKFILL_STATE, SINK_UNKNOWN, SINK_DISABLED, and of a start what `checkBackfill` refuses with.
 */
export interface BackfillControl {
  /** Newest first; of one sink, where it is named. */
  list(database: string, how?: { readonly sink?: string }): readonly BackfillDocument[];
  find(database: string, id: string): BackfillDocument;
  /** Can it be, and what is read then? Nothing is begun. */
  check(start: BackfillStart): Promise<CheckedBackfill>;
  /** Begins what was checked. Durable when it returns. */
  begin(
    start: Pick<BackfillStart, 'database' | 'limits'>,
    checked: Pick<CheckedBackfill, 'sinks' | 'tables'>,
  ): BackfillDocument;
  /** Checks, and begins. Durable when it resolves. */
  start(start: BackfillStart): Promise<StartedBackfill>;
  /** Durable when it returns; who reads hears of it soon. */
  move(database: string, id: string, to: BackfillMove): BackfillDocument;
}

export type BackfillPorts = {
  readonly backfills: Backfills;
  readonly database: (name: string) => DatabaseSettings;
  readonly sinks: readonly SinkSettings[];
  readonly statuses: () => readonly SinkStatus[];
  /** Whoever reads is told. */
  readonly changed: (database: string) => void;
  /** Undefined: the server itself. */
  readonly check?: ((database: DatabaseSettings, wish: BackfillWish) => Promise<CheckedBackfill>) | undefined;
};

export function createBackfillControl(ports: BackfillPorts): BackfillControl {
  const { backfills, changed, check = checkBackfill } = ports;
  const known = (database: string): string => ports.database(database).name;
  const checked = async ({ database, sinks: names, tables }: BackfillStart): Promise<CheckedBackfill> => {
    const settings = ports.database(database);
    const sinks = sinksOf(ports, database, names);
    return check(settings, { sinks, tables, areNamed: names !== 'all' });
  };
  const begin: BackfillControl['begin'] = ({ database, limits }, { sinks, tables }) => {
    const own = ports.sinks.filter((sink) => sink.database === database && sinks.includes(sink.name));
    const backfill = backfills.create(
      { database, sinks, tables, limits: { ...strictest(own), ...limits } },
      { id: newBackfillId(), now: wallTime() },
    );
    changed(database);
    return backfillDocument(backfill);
  };
  return {
    list: (database, how) => backfills.list(known(database), how).map(backfillDocument),
    find: (database, id) => backfillDocument(foundIn(backfills, known(database), id)),
    check: checked,
    begin,
    start: async (start) => {
      const found = await checked(start);
      return { backfill: begin(start, found), notes: found.notes };
    },
    move: (database, id, to) => {
      const moved = moveBackfill(backfills, { database: known(database), id }, to);
      changed(database);
      return backfillDocument(moved);
    },
  };
}

/** Throws BACKFILL_UNKNOWN, BACKFILL_STATE. One that is there already stays. */
export function moveBackfill(
  backfills: Backfills,
  place: { readonly database: string; readonly id: string },
  to: BackfillMove,
): Backfill {
  const found = foundIn(backfills, place.database, place.id);
  if (found.state === to || (to === 'waiting' && found.state === 'running')) return found;
  const moved = backfills.setState(place, to, { now: wallTime() });
  if (moved !== undefined) return moved;
  throw refused(
    'BACKFILL_STATE',
    `backfill ${found.id} is ${found.state}: it cannot be ${VERBS[to]}`,
    'tailrace backfill start begins another one',
  );
}

const VERBS: Readonly<Record<BackfillMove, string>> = {
  paused: 'paused',
  waiting: 'resumed',
  cancelled: 'cancelled',
};

function foundIn(backfills: Backfills, database: string, id: string): Backfill {
  const found = backfills.find(database, id);
  if (found !== undefined) return found;
  throw refused(
    'BACKFILL_UNKNOWN',
    `database "${database}" has no backfill ${id}`,
    'tailrace backfill list shows those that there are',
  );
}

function sinksOf(
  { sinks, statuses }: BackfillPorts,
  database: string,
  names: BackfillStart['sinks'],
): readonly SinkSettings[] {
  const own = sinks.filter((sink) => sink.database === database);
  const disabled = new Set(
    statuses()
      .filter((status) => status.database === database && status.state === 'disabled')
      .map(({ name }) => name),
  );
  if (names === 'all') return own.filter(({ name }) => !disabled.has(name));
  return names.map((name) => {
    const found = own.find((sink) => sink.name === name);
    if (found === undefined) throw unknownSink(name, own);
    if (disabled.has(name)) throw isDisabled(name);
    return found;
  });
}

/** Of several sinks what spares the database, and live changes, most. */
function strictest(sinks: readonly SinkSettings[]): BackfillLimits {
  const limits = sinks.map(({ backfill }) => backfill.limits);
  const rates = limits.flatMap(({ maxRowsPerSecond: rate }) => (rate === undefined ? [] : [rate]));
  return {
    queryTimeoutMs: Math.min(...limits.map(({ queryTimeoutMs }) => queryTimeoutMs)),
    workers: Math.min(...limits.map(workersOf)),
    ...(rates.length === 0 ? {} : { maxRowsPerSecond: Math.min(...rates) }),
    ...(limits.some(givesWayOf) ? {} : { givesWay: false }),
  };
}

const unknownSink = (name: string, own: readonly SinkSettings[]): TailraceError => {
  const names = own.map((sink) => sink.name);
  return refused(
    'SINK_UNKNOWN',
    `there is no sink "${name}"${didYouMean(nearestName(name, names))}`,
    'tailrace status lists the sinks',
  );
};

const isDisabled = (name: string): TailraceError =>
  refused(
    'SINK_DISABLED',
    `sink "${name}" is disabled: nothing is held for it, so it would not get what is read`,
    `tailrace resume ${name}, and start the backfill then`,
  );
