// Writes the statistics line now and then.
import type { Logger } from 'pino';
import type { ServiceStatus } from '../../core/status.ts';
import { pg2sqsStatistics } from '../../telemetry/pg2sqs-statistics.ts';
import { statisticsLine } from '../../telemetry/statistics.ts';

export type StatisticsOptions = {
  /** 0: never. */
  readonly intervalMs: number;
  /** Also under the names of pg2sqs. */
  readonly pg2sqsNames: boolean;
};

/** Until the answer is called. */
export function logStatistics(
  status: () => ServiceStatus,
  { intervalMs, pg2sqsNames }: StatisticsOptions,
  logger: Logger,
): () => void {
  if (intervalMs === 0) return () => undefined;
  let previous: ServiceStatus | undefined;
  const timer = setInterval(() => {
    const now = status();
    const line = statisticsLine(now, previous, intervalMs / 1000);
    logger.info(pg2sqsNames ? { ...pg2sqsStatistics(now), ...line } : line, 'statistics');
    previous = now;
  }, intervalMs);
  return () => clearInterval(timer);
}
