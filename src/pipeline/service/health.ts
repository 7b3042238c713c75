// What /health and /ready answer: pure, made from the status of the service.
import { judge, judgeSink } from '../../core/health.ts';
import type { DatabaseStatus, Health, ServiceStatus, SinkStatus, Trouble } from '../../core/status.ts';

/** How a part stands, and everything that is not well with it: none when it is healthy. */
type Judged = { readonly status: Health; readonly troubles: readonly Trouble[] };

/** The whole document: in every part the word `status` says how it is. `ok`: what Sequin's health checks look for. */
export type HealthDocument = Omit<ServiceStatus, 'databases' | 'sinks'> & {
  readonly ok: boolean;
  readonly databases: readonly (Judged & Omit<DatabaseStatus, 'health' | 'troubles'>)[];
  readonly sinks: readonly (Judged & Omit<SinkStatus, 'health' | 'troubles'>)[];
};

/** What anybody may see: status words, and no names of hosts, tables or queues. */
export type PublicHealthDocument = {
  readonly ok: boolean;
  readonly status: Health;
  readonly databases: readonly { readonly status: Health }[];
  readonly sinks: readonly { readonly status: Health }[];
};

export function healthDocument(seen: ServiceStatus): HealthDocument {
  const status = judge(seen);
  return {
    ok: isHealthy(status),
    ...status,
    databases: status.databases.map(({ health, troubles = [], ...rest }) => ({
      ...rest,
      status: health,
      troubles,
    })),
    sinks: status.sinks.map(sinkDocument),
  };
}

export function sinkDocument(seen: SinkStatus): HealthDocument['sinks'][number] {
  const { health, troubles = [], ...rest } = judgeSink(seen);
  return { ...rest, status: health, troubles };
}

export function publicHealthDocument(seen: ServiceStatus): PublicHealthDocument {
  const status = judge(seen);
  return {
    ok: isHealthy(status),
    status: status.status,
    databases: status.databases.map(({ health }) => ({ status: health })),
    sinks: status.sinks.map(({ health }) => ({ status: health })),
  };
}

/** A degraded service still works and mends itself: only a halted one needs somebody. */
export const isHealthy = (status: ServiceStatus): boolean => status.status !== 'halted';

/** Does every source stream? */
export const isReady = (status: ServiceStatus): boolean =>
  status.databases.every((database) => database.state === 'streaming');
