// How one sink stands, as one value.
import { formatLsn, ZERO_LSN } from '../../core/lsn.ts';
import type { Condition, Health, MarkerStatus, PullStatus, SinkStatus } from '../../core/status.ts';
import type { DeadLetters } from '../../store/dead-letters.ts';
import type { Cursor } from '../../store/ledger.ts';
import type { Dispatcher } from '../delivery/dispatcher.ts';
import type { SinkSettings } from '../settings.ts';
import { NO_MARKERS } from '../intake/markers.ts';
import type { SinkPlace } from './place.ts';

type LetterCounts = ReturnType<DeadLetters['counts']>;

export function sinkStatus(sink: {
  settings: SinkSettings;
  /** What the preflight says. */
  condition: Condition;
  dispatcher: Dispatcher;
  /** While changes are given up. */
  shedding: Condition | undefined;
  pull: PullStatus | undefined;
  settled: { cursor: Cursor; offset: number };
  markers: MarkerStatus;
  writtenEnd: number;
  deadLetters: LetterCounts;
  place: Pick<SinkPlace, 'rewinds' | 'gaps'>;
  nowMs: number;
}): SinkStatus {
  const { settings, dispatcher, settled, nowMs } = sink;
  const { counters } = dispatcher;
  const { inFlight, buffered, parked } = dispatcher.gauges();
  const latency = dispatcher.latency.quantiles(nowMs);
  const oldest = dispatcher.oldest;
  return {
    ...conditionOf(sink),
    name: settings.name,
    database: settings.database,
    type: settings.destination.type,
    state: 'running',
    settled: formatLsn(settled.cursor.endLsn),
    lagBytes: Math.max(0, sink.writtenEnd - settled.offset),
    lagSeconds:
      oldest === undefined ? 0 : Math.max(0, nowMs / 1000 - Number(oldest.transaction.commitTimeUs) / 1e6),
    delivered: counters.delivered,
    deadLettered: counters.deadLettered,
    ...letterFields(sink.deadLetters),
    retried: counters.retried,
    requests: counters.requests,
    failedRequests: counters.failedRequests,
    bytes: counters.bytes,
    inFlight,
    buffered,
    parked,
    discarded: counters.discarded,
    inversions: counters.inversions,
    markers: sink.markers,
    blockedGroups: dispatcher.blockedGroups(),
    rewinds: sink.place.rewinds,
    gaps: sink.place.gaps,
    routes: [...dispatcher.routes()].map((route) => ({
      id: route.id,
      health: (route.isDown ? 'degraded' : 'healthy') satisfies Health,
      ...(route.error === undefined
        ? {}
        : {
            reason: route.error.code,
            cure: route.error.hint,
            retryAt: new Date(route.retryAtMs).toISOString(),
          }),
    })),
    ...(latency === undefined ? {} : { latency }),
    ...(sink.pull === undefined ? {} : { pull: sink.pull }),
  };
}

function conditionOf(sink: {
  settings: SinkSettings;
  condition: Condition;
  shedding: Condition | undefined;
  dispatcher: Dispatcher;
}): Condition {
  const { settings, condition, dispatcher } = sink;
  if (sink.shedding !== undefined) return sink.shedding;
  if (condition.health !== 'healthy') return condition;
  for (const route of dispatcher.routes()) {
    if (route.error === undefined) continue;
    return {
      health: 'degraded',
      reason: `${route.id}: ${route.error.code}`,
      cure: route.error.hint,
      since: new Date(route.downSinceMs).toISOString(),
    };
  }
  const { parked } = dispatcher.gauges();
  if (parked >= settings.maxParked) {
    return {
      health: 'degraded',
      reason: `${parked} messages wait behind failing ones, reading has stopped: ${dispatcher.blockedGroups().join(', ')}`,
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
  nowMs: number;
}): SinkStatus {
  const { last, place, condition } = sink;
  const { reason: _reason, cure: _cure, latency: _latency, ...known } = last;
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
    lagSeconds: lagBytes === 0 ? 0 : last.lagSeconds + (sink.nowMs - Date.parse(condition.since)) / 1000,
    ...letterFields(sink.deadLetters),
    inFlight: 0,
    buffered: 0,
    parked: 0,
    blockedGroups: [],
    routes: [],
  };
}

/** Counts go on over the runners of a sink. */
export const addCounts = (status: SinkStatus, before: SinkStatus | undefined): SinkStatus =>
  before === undefined
    ? status
    : {
        ...status,
        delivered: status.delivered + before.delivered,
        deadLettered: status.deadLettered + before.deadLettered,
        retried: status.retried + before.retried,
        requests: status.requests + before.requests,
        failedRequests: status.failedRequests + before.failedRequests,
        bytes: status.bytes + before.bytes,
        discarded: status.discarded + before.discarded,
        inversions: status.inversions + before.inversions,
      };

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
  delivered: 0,
  deadLettered: 0,
  deadLetters: 0,
  replaying: 0,
  deadLettersDropped: 0,
  rewinds: 0,
  gaps: [],
  retried: 0,
  requests: 0,
  failedRequests: 0,
  bytes: 0,
  inFlight: 0,
  buffered: 0,
  parked: 0,
  discarded: 0,
  inversions: 0,
  markers: NO_MARKERS,
  blockedGroups: [],
  routes: [],
});
