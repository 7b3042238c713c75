// How one sink stands, as one value.
import { onTheWall, steadyMs, wallMs } from '../../core/clock.ts';
import { addCounts, zeroCounts } from '../../core/counts.ts';
import { formatLsn, ZERO_LSN } from '../../core/lsn.ts';
import type { Condition, Health, SinkStatus } from '../../core/status.ts';
import type { DeadLetters } from '../../store/dead-letters.ts';
import type { Pending } from '../delivery/pending.ts';
import type { RouteQueue } from '../delivery/route-queue.ts';
import { NO_MARKERS } from '../intake/markers.ts';
import type { SinkSettings } from '../settings.ts';
import type { SinkParts } from './assembly.ts';
import type { SinkPlace } from './place.ts';

type LetterCounts = ReturnType<DeadLetters['counts']>;

export type RunningSink = {
  readonly settings: SinkSettings;
  readonly parts: Pick<
    SinkParts,
    | 'sink'
    | 'counts'
    | 'unsettled'
    | 'routes'
    | 'dispatcher'
    | 'settlement'
    | 'markers'
    | 'shedding'
    | 'rowRewinds'
  >;
  /** What the preflight says. */
  readonly condition: Condition;
  readonly writtenEnd: number;
  readonly deadLetters: LetterCounts;
  readonly rewinds: number;
};

/** Where rows name many routes all are in use for moments, which is no trouble. */
const ROUTES_IN_USE_AFTER_MS = 10_000;

export function sinkStatus(running: RunningSink): SinkStatus {
  const { settings, parts } = running;
  const { sink, counts, unsettled, dispatcher, shedding } = parts;
  const settled = parts.settlement.current;
  const latency = dispatcher.latency.quantiles(steadyMs());
  const { oldest } = unsettled;
  const rowRewind = parts.rowRewinds.status();
  const { open } = parts.routes;
  const areAllInUse = open.fullForMs(steadyMs()) >= ROUTES_IN_USE_AFTER_MS;
  return {
    ...conditionOf(running),
    name: settings.name,
    database: settings.database,
    type: settings.destination.type,
    state: 'running',
    settled: formatLsn(settled.cursor.endLsn),
    lagBytes: Math.max(0, running.writtenEnd - settled.offset),
    lagSeconds:
      oldest === undefined ? 0 : Math.max(0, wallMs() / 1000 - Number(oldest.transaction.commitTimeUs) / 1e6),
    ...counts,
    ...letterFields(running.deadLetters),
    ...dispatcher.gauges(),
    markers: parts.markers.status(),
    blockedGroups: dispatcher.blockedGroups(),
    rewinds: running.rewinds,
    gaps: shedding.gaps,
    ...(rowRewind === undefined ? {} : { rowRewind }),
    ...(areAllInUse && { routesInUse: open.count }),
    ...routesStatus([...parts.routes.all()].filter(isShown)),
    ...(latency === undefined ? {} : { latency }),
    ...(sink.pull === undefined ? {} : { pull: sink.pull.status() }),
  };
}

/** Of a sink whose rows name hundreds of routes nobody reads all. */
const MAX_SHOWN_ROUTES = 50;

const healthOf = ({ health }: RouteQueue<Pending>): Health =>
  health.error === undefined ? 'healthy' : 'degraded';

/** Of those that rows have named, not those that something only waits for. */
const isShown = ({ isOpen, isNowhere, health }: RouteQueue<Pending>): boolean =>
  !isNowhere && (isOpen || health.error !== undefined);

function routesStatus(all: readonly RouteQueue<Pending>[]): Pick<SinkStatus, 'routes' | 'routeCounts'> {
  const now = steadyMs();
  if (all.length <= MAX_SHOWN_ROUTES) return { routes: all.map((route) => routeStatus(route, now)) };
  const degraded = all.filter((route) => healthOf(route) === 'degraded');
  const healthy = all.filter((route) => healthOf(route) === 'healthy');
  const shown = [...degraded, ...healthy].slice(0, MAX_SHOWN_ROUTES);
  return {
    routeCounts: { healthy: healthy.length, degraded: degraded.length, halted: 0 },
    routes: shown.map((route) => routeStatus(route, now)),
  };
}

const routeStatus = (route: RouteQueue<Pending>, nowMs: number): SinkStatus['routes'][number] => ({
  id: route.id,
  ...laneFields(route, nowMs),
  health: healthOf(route),
  ...(route.health.error === undefined
    ? {}
    : {
        reason: route.health.error.code,
        cure: route.health.error.hint,
        ...(route.isDown && { retryAt: onTheWall(route.health.retryAtMs).toISOString() }),
      }),
});

function laneFields(
  route: RouteQueue<Pending>,
  nowMs: number,
): Pick<SinkStatus['routes'][number], 'lanes' | 'lanesInUse' | 'answerMs' | 'pace' | 'limitedBy'> {
  if (!route.isOpen) return { lanes: 0, lanesInUse: 0, limitedBy: 'source' };
  const { answerMs } = route.limit;
  return {
    lanes: route.lanes,
    lanesInUse: route.lanesInUse,
    ...(answerMs > 0 && { answerMs: Math.round(answerMs * 10) / 10 }),
    ...(route.pace.isNeeded(nowMs) && { pace: Math.round(route.pace.at(nowMs)) }),
    limitedBy: route.limitedBy(nowMs),
  };
}

function conditionOf({ settings, parts, condition }: RunningSink): Condition {
  const { shedding, routes, dispatcher } = parts;
  const sheds = shedding.condition();
  if (sheds !== undefined) return sheds;
  if (condition.health !== 'healthy') return condition;
  for (const route of routes.all()) {
    const { error, failingSinceMs } = route.health;
    if (error === undefined) continue;
    return {
      health: 'degraded',
      reason: `${route.id}: ${error.code}`,
      cure: error.hint,
      since: onTheWall(failingSinceMs).toISOString(),
    };
  }
  const { parked } = dispatcher.gauges();
  const blocked = dispatcher.blockedGroups();
  // Where nothing fails they wait for their turn: of few groups one request after another goes (`limitedBy: order`).
  if (parked >= settings.maxParked && blocked.length > 0) {
    return {
      health: 'degraded',
      reason: `${parked} messages wait behind failing ones, reading has stopped: ${blocked.join(', ')}`,
      cure: 'mend what refuses these messages, or set max_retry_count so that they become dead letters',
      since: condition.since,
    };
  }
  return condition;
}

const letterFields = ({
  kept,
  replaying,
  dropped,
}: LetterCounts): Pick<SinkStatus, 'deadLetters' | 'replaying' | 'deadLettersDropped'> => ({
  deadLetters: kept,
  replaying,
  deadLettersDropped: dropped,
});

/** A sink that rests: paused or disabled. What ran last says how it went. */
export function restingStatus(sink: {
  last: SinkStatus;
  state: string;
  condition: Condition;
  /** Undefined: it holds nothing. */
  place: Pick<SinkPlace, 'start' | 'offset' | 'rewinds' | 'gaps'> | undefined;
  writtenEnd: number;
  deadLetters: LetterCounts;
  wallMs: number;
}): SinkStatus {
  const { last, place, condition } = sink;
  const {
    reason: _reason,
    cure: _cure,
    latency: _latency,
    rowRewind: _rowRewind,
    routesInUse: _routesInUse,
    routeCounts: _routeCounts,
    ...known
  } = last;
  const lagBytes = place === undefined ? 0 : Math.max(0, sink.writtenEnd - place.offset);
  return {
    ...known,
    ...condition,
    state: sink.state,
    ...(place === undefined
      ? {}
      : { settled: formatLsn(place.start.endLsn), rewinds: place.rewinds, gaps: place.gaps }),
    lagBytes,
    // Nothing is read while it rests: what waits is no older than this.
    lagSeconds:
      lagBytes === 0 ? 0 : last.lagSeconds + Math.max(0, sink.wallMs - Date.parse(condition.since)) / 1000,
    ...letterFields(sink.deadLetters),
    inFlight: 0,
    buffered: 0,
    parked: 0,
    blockedGroups: [],
    routes: [],
  };
}

/** Counts go on over the runners of a sink. */
export const withEarlierCounts = (status: SinkStatus, before: SinkStatus | undefined): SinkStatus =>
  before === undefined ? status : { ...status, ...addCounts(status, before) };

/** A sink of which nothing is known yet but its settings. */
export const newSinkStatus = (settings: SinkSettings, condition: Condition): SinkStatus => ({
  ...condition,
  name: settings.name,
  database: settings.database,
  type: settings.destination.type,
  state: settings.status === 'active' ? 'starting' : settings.status,
  settled: formatLsn(ZERO_LSN),
  lagBytes: 0,
  lagSeconds: 0,
  ...zeroCounts(),
  deadLetters: 0,
  replaying: 0,
  deadLettersDropped: 0,
  rewinds: 0,
  gaps: [],
  inFlight: 0,
  buffered: 0,
  parked: 0,
  markers: NO_MARKERS,
  blockedGroups: [],
  routes: [],
});
