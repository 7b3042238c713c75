// How the service is as a whole, and what /health and /ready answer: pure, made from its status.
import type { DatabaseStatus, Health, ServiceStatus, SinkStatus } from '../../core/status.ts';

/** The whole document: in every part the word `status` says how it is. `ok`: what Sequin's health checks look for. */
export type HealthDocument = Omit<ServiceStatus, 'databases' | 'sinks'> & {
  readonly ok: boolean;
  readonly databases: readonly ({ readonly status: Health } & Omit<DatabaseStatus, 'health'>)[];
  readonly sinks: readonly ({ readonly status: Health } & Omit<SinkStatus, 'health'>)[];
};

/** What anybody may see: status words, and no names of hosts, tables or queues. */
export type PublicHealthDocument = {
  readonly ok: boolean;
  readonly status: Health;
  readonly databases: readonly { readonly status: Health }[];
  readonly sinks: readonly { readonly status: Health }[];
};

export function healthDocument(status: ServiceStatus): HealthDocument {
  return {
    ok: isHealthy(status),
    ...status,
    databases: status.databases.map(({ health, ...rest }) => ({ ...rest, status: health })),
    sinks: status.sinks.map(sinkDocument),
  };
}

export const sinkDocument = ({ health, ...rest }: SinkStatus): HealthDocument['sinks'][number] => ({
  ...rest,
  status: health,
});

export function publicHealthDocument(status: ServiceStatus): PublicHealthDocument {
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

const SEVERITY: readonly Health[] = ['healthy', 'degraded', 'halted'];

/** A service is as well as the worst of its parts. */
export const worst = (parts: readonly { readonly health: Health }[]): Health =>
  SEVERITY[Math.max(0, ...parts.map(({ health }) => SEVERITY.indexOf(health)))]!;
