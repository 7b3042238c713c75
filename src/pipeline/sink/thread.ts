// The main thread's handle of a sink worker thread.
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { SinkStatus } from '../../core/status.ts';
import type { SinkReply, SinkRequest } from './requests.ts';
import type { SinkWorkerCommand, SinkWorkerData, SinkWorkerReport } from './worker.ts';
import { relayLogLine } from '../threads/logger.ts';
import { ThreadRequests } from '../threads/requests.ts';
import { WORKER_MEMORY } from '../threads/memory.ts';

export type SinkThread = {
  /** As last reported. */
  statuses(): readonly SinkStatus[];
  /**
   * Asks one of the thread's sinks, by name. Rejects with TailraceError (what the sink answered, or that the thread has
   * ended), or with the signal's reason: the sink then stops working on it.
   */
  request<Request extends SinkRequest>(
    sink: string,
    request: Request,
    options?: { readonly signal?: AbortSignal },
  ): Promise<SinkReply<Request>>;
  stop(deadlineMs: number): Promise<void>;
  /** Rejects when the thread dies by itself. */
  readonly died: Promise<never>;
};

/** How long after the deadline a thread may take to save and close before it is ended. */
const CLOSE_GRACE_MS = 5000;

export function startSinkThread(data: SinkWorkerData, logger: Logger): SinkThread {
  const entry = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
  const worker = new Worker(new URL(entry, import.meta.url), {
    workerData: data,
    resourceLimits: WORKER_MEMORY,
  });
  let statuses: readonly SinkStatus[] = [];
  let stopped = false;
  const requests = new ThreadRequests<SinkRequest>((message) =>
    worker.postMessage(message satisfies SinkWorkerCommand),
  );
  const ended = new Promise<void>((done) => worker.once('exit', () => done()));
  void ended.then(() => requests.end(threadEnded()));
  worker.on('message', (report: SinkWorkerReport) => {
    if (report.type === 'log') relayLogLine(logger, report);
    else if (report.type === 'reply' || report.type === 'refusal') requests.settle(report);
    else statuses = report.sinks;
  });
  const died = new Promise<never>((_, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => {
      if (!stopped) reject(new Error(`a sink worker ended by itself with code ${code}`));
    });
  });
  died.catch(() => undefined);
  return {
    statuses: () => statuses,
    died,
    // The worker's answer has the type that its question asks for.
    request: <Request extends SinkRequest>(
      sink: string,
      request: Request,
      options: { readonly signal?: AbortSignal } = {},
    ) => requests.ask(sink, request, options.signal) as Promise<SinkReply<Request>>,
    stop: async (deadlineMs) => {
      stopped = true;
      worker.postMessage({ type: 'stop', deadlineMs } satisfies SinkWorkerCommand);
      const timer = setTimeout(() => void worker.terminate(), deadlineMs - steadyMs() + CLOSE_GRACE_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

const threadEnded = (): TailraceError =>
  new TailraceError('the sink worker has ended', {
    code: 'SINK_WORKER_ENDED',
    kind: 'retryable',
    hint: 'ask again when the service runs',
  });
