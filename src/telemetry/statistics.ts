// The periodic statistics line: what moved since the last one, and what waits.
import type { SinkCounter } from '../core/counts.ts';
import type { ServiceStatus } from '../core/status.ts';

/** The counters of a sink that the line shows; the metrics have all. */
const SHOWN = ['delivered', 'retried', 'deadLettered', 'failedRequests'] as const satisfies SinkCounter[];

export type SinkStatistics = Readonly<Record<(typeof SHOWN)[number], number>> & {
  readonly deliveredPerSecond: number;
  readonly lagBytes: number;
  readonly lagSeconds: number;
  readonly parked: number;
};

export type Statistics = {
  readonly status: string;
  readonly seconds: number;
  readonly transactions: number;
  readonly changes: number;
  readonly changesPerSecond: number;
  readonly retainedBytes: number;
  readonly logBytes: number;
  readonly sinks: Readonly<Record<string, SinkStatistics>>;
};

/**
 * Fields of one log line. Counts are those since `previous` (undefined: since the start), which was taken `seconds`
 * ago; bytes and lag are of now.
 */
export function statisticsLine(
  status: ServiceStatus,
  previous: ServiceStatus | undefined,
  seconds: number,
): Statistics {
  const perSecond = (count: number): number => (seconds > 0 ? Math.round((count / seconds) * 10) / 10 : 0);
  const transactions = grown(status.databases, previous?.databases, (database) => database.transactions);
  const changes = grown(status.databases, previous?.databases, (database) => database.changes);
  const sinks = status.sinks.map((sink): [string, SinkStatistics] => {
    const before = previous?.sinks.filter(
      (other) => other.name === sink.name && other.database === sink.database,
    );
    const counts = Object.fromEntries(
      SHOWN.map((counter) => [counter, grown([sink], before, (of) => of[counter])]),
    ) as Record<(typeof SHOWN)[number], number>;
    return [
      // The logger's redaction copies objects key by key, which loses this one.
      sink.name === '__proto__' || status.sinks.filter(({ name }) => name === sink.name).length > 1
        ? `${sink.database}/${sink.name}`
        : sink.name,
      {
        ...counts,
        deliveredPerSecond: perSecond(counts.delivered),
        lagBytes: sink.lagBytes,
        lagSeconds: sink.lagSeconds,
        parked: sink.parked,
      },
    ];
  });
  return {
    status: status.status,
    seconds,
    transactions,
    changes,
    changesPerSecond: perSecond(changes),
    retainedBytes: sum(status.databases, (database) => database.retainedBytes),
    logBytes: sum(status.databases, (database) => database.logBytes),
    sinks: Object.fromEntries(sinks),
  };
}

const sum = <T>(items: readonly T[], count: (item: T) => number): number =>
  items.reduce((total, item) => total + count(item), 0);

/** How much a counter grew; a counter that began again at zero has grown by what it shows. */
function grown<T>(now: readonly T[], before: readonly T[] | undefined, count: (item: T) => number): number {
  const current = sum(now, count);
  const earlier = sum(before ?? [], count);
  return current >= earlier ? current - earlier : current;
}
