// The running service as the command line sees it: the seam between cli/ and app.ts, which wires the parts.
import type { Logger } from 'pino';
import type { ServiceSettings } from '../settings.ts';
import type { ServiceStatus } from '../../core/status.ts';

export type StartOptions = {
  /** The version that status and files name. */
  readonly version: string;
  readonly logger: Logger;
  /** The statistics line has its fields under the names of pg2sqs too. */
  readonly pg2sqsNames?: boolean;
  /** Asks it to stop while it starts, as `stop` does afterwards. */
  readonly signal?: AbortSignal;
};

export interface RunningService {
  status(): ServiceStatus;
  /** Where the API listens (`http://127.0.0.1:7376`); undefined when it does not. */
  readonly apiUrl: string | undefined;
  /** Drains what is in flight within the shutdown timeout, confirms to Postgres, closes. Safe to call again. */
  stop(): Promise<void>;
  /** Resolves once everything is closed: 0 after `stop`, 1 when a fault ended the service by itself. */
  readonly ended: Promise<{ readonly exitCode: number }>;
}

/**
 * Starts the whole service; rejects with TailraceError when it cannot. One that is asked to stop meanwhile, or that a fault ends,
 * is answered once it has `ended`.
 */
export type StartService = (settings: ServiceSettings, options: StartOptions) => Promise<RunningService>;
