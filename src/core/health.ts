// How the service, its databases and its sinks stand: judged in this one place, pure, from their status. Whatever is held back, left out or
// waiting for somebody is a trouble, and nothing that has one is healthy: /health, the metrics, `status` and `status --check` all say so.
import type { BackfillStatus } from './backfill-progress.ts';
import { acceptHint, describeGap } from './gaps.ts';
import type { Condition, DatabaseStatus, Health, ServiceStatus, SinkStatus, Trouble } from './status.ts';

const SEVERITY: readonly Health[] = ['healthy', 'degraded', 'halted'];

/** As well as the worst of its parts. */
export const worst = (parts: readonly { readonly health: Health }[]): Health =>
  SEVERITY[Math.max(0, ...parts.map(({ health }) => SEVERITY.indexOf(health)))]!;

/** The service, with its own status and those of its parts as their troubles make them. Judged again it is the same. */
export function judge(seen: Omit<ServiceStatus, 'status'>): ServiceStatus {
  const databases = seen.databases.map(judgeDatabase);
  const sinks = seen.sinks.map(judgeSink);
  const { version, startedAt, pid, dataDir, refusedConnections } = seen;
  const status = worst([...databases, ...sinks]);
  return { status, version, startedAt, pid, dataDir, refusedConnections, databases, sinks };
}

const judgeDatabase = (database: DatabaseStatus): DatabaseStatus =>
  database.troubles === undefined
    ? { ...database, ...judgement(database, databaseTroubles(database)) }
    : database;

export const judgeSink = (sink: SinkStatus): SinkStatus =>
  sink.troubles === undefined ? { ...sink, ...judgement(sink, sinkTroubles(sink)) } : sink;

/** The worst trouble speaks for the whole part. */
function judgement(own: Condition, troubles: readonly Trouble[]): Partial<Condition> {
  const [first] = troubles;
  if (first === undefined) return { troubles };
  const { health, reason, cure, since = own.since } = first;
  return { health, reason, since, troubles, ...(cure === undefined ? {} : { cure }) };
}

/** The worst first; what it said of itself before anything else. */
function databaseTroubles(database: DatabaseStatus): readonly Trouble[] {
  const { name, state, warnings, gaps, backfills = [] } = database;
  const own = ownTroubles(database);
  return sorted([
    ...own,
    ...(state === 'streaming' || own.length > 0 ? [] : [degraded(`does not stream: ${state}`)]),
    ...warnings.map((warning) => degraded(warning)),
    ...gaps
      // The first of them may be what it says of itself.
      .filter((gap) => !own.some(({ reason }) => reason.includes(describeGap(gap))))
      .map((gap) => ({
        ...degraded(`gap ${gap.id}: ${describeGap(gap)}`, acceptHint(name, gap)),
        since: gap.since,
      })),
    ...backfills.flatMap(backfillTrouble),
  ]);
}

/** Of a backfill that waits for somebody. */
function backfillTrouble({ id, state, reason }: BackfillStatus): readonly Trouble[] {
  if (state === 'paused')
    return [degraded(`backfill ${id} is paused`, `tailrace backfill resume ${id}, or cancel ${id}`)];
  if (state !== 'failed') return [];
  const cure = `mend that, then tailrace backfill resume ${id}; or tailrace backfill cancel ${id}`;
  return [degraded(`backfill ${id} has failed: ${reason ?? 'nobody knows why'}`, cure)];
}

/** The same of a sink. Its own gaps are none: they are the record of what it was told to leave out. */
function sinkTroubles(sink: SinkStatus): readonly Trouble[] {
  const { blockedGroups, routes, deadLetters, replaying } = sink;
  const path = `${sink.database}/${sink.name}`;
  const own = ownTroubles(sink);
  return sorted([
    ...own,
    ...(own.length > 0 && sink.state !== 'paused' && sink.state !== 'disabled' ? [] : resting(sink, path)),
    ...routes
      .filter(({ health }) => health !== 'healthy')
      .map(({ id, health, reason, cure }) => ({
        ...degraded(`${id}: ${reason ?? health}`, cure),
        health: health === 'halted' ? health : ('degraded' as const),
      })),
    ...untoldRoutes(sink),
    ...tooManyRoutes(sink),
    ...(blockedGroups.length === 0
      ? []
      : [
          degraded(
            `groups held back by a failing message: ${blockedGroups.join(', ')}`,
            'mend what refuses these messages, or set max_retry_count so that they become dead letters',
          ),
        ]),
    ...(deadLetters === 0
      ? []
      : [
          degraded(
            `${deadLetters} dead letter${deadLetters === 1 ? '' : 's'} kept${replaying === 0 ? '' : `, of which ${replaying} are sent again`}`,
            `tailrace dead-letters list ${path}, then replay or discard them`,
          ),
        ]),
  ]);
}

/** Of many routes in trouble the status names some. */
function untoldRoutes({ routes, routeCounts }: SinkStatus): readonly Trouble[] {
  const told = routes.filter(({ health }) => health !== 'healthy').length;
  const more = (routeCounts?.degraded ?? 0) + (routeCounts?.halted ?? 0) - told;
  return more > 0
    ? [degraded(`${more} more of ${told + more} routes that fail`, 'what is said of the others')]
    : [];
}

/** The others wait for them. */
const tooManyRoutes = ({ routesInUse }: SinkStatus): readonly Trouble[] =>
  routesInUse === undefined
    ? []
    : [
        degraded(
          `messages are on their way to ${routesInUse} routes, as many as are open at once: nothing is sent to others until one is idle`,
          'mend the routes that fail, or take out of the sink the rows that name them (where), or let the template name fewer',
        ),
      ];

/** Of a sink that does not run. */
function resting({ state }: SinkStatus, path: string): readonly Trouble[] {
  switch (state) {
    case 'running':
    // That passes by itself, or what it waits for says why it does not.
    case 'starting':
      return [];
    case 'paused':
      return [
        degraded('paused: nothing is delivered, it holds its place in the log', `tailrace resume ${path}`),
      ];
    case 'disabled':
      return [
        degraded(
          'disabled: nothing is delivered, it holds nothing and may miss changes',
          `tailrace resume ${path}, or take it out of the configuration`,
        ),
      ];
    default:
      return [{ health: 'halted', reason: `does not run: ${state}` }];
  }
}

const degraded = (reason: string, cure?: string): Trouble => ({
  health: 'degraded',
  reason,
  ...(cure === undefined ? {} : { cure }),
});

/** What a part says of itself. */
const ownTroubles = ({ health, reason, cure, since }: Condition): readonly Trouble[] =>
  health === 'healthy'
    ? []
    : [{ health, reason: reason ?? health, since, ...(cure === undefined ? {} : { cure }) }];

/** Each said once. */
function sorted(troubles: readonly Trouble[]): readonly Trouble[] {
  const once = new Map<string, Trouble>();
  for (const trouble of troubles) if (!once.has(trouble.reason)) once.set(trouble.reason, trouble);
  return [...once.values()].toSorted((a, b) => SEVERITY.indexOf(b.health) - SEVERITY.indexOf(a.health));
}
