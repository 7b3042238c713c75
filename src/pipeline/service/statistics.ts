// Writes the statistics line now and then.
import type { Logger } from 'pino';
import type { ServiceStatus } from '../../core/status.ts';
import { statisticsLine } from '../../telemetry/statistics.ts';

/** `intervalMs` 0: never. Until the answer is called. */
export function logStatistics(status: () => ServiceStatus, intervalMs: number, logger: Logger): () => void {
  if (intervalMs === 0) return () => undefined;
  let previous: ServiceStatus | undefined;
  const timer = setInterval(() => {
    const now = status();
    logger.info(statisticsLine(now, previous, intervalMs / 1000), 'statistics');
    previous = now;
  }, intervalMs);
  return () => clearInterval(timer);
}
