// The main thread's handle of a sink worker thread.
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { SinkStatus } from '../core/status.ts';
import type { SinkWorkerCommand, SinkWorkerData, SinkWorkerReport } from './sink-worker.ts';
import { relayLogLine } from './thread-logger.ts';

export type SinkThread = {
  /** As last reported. */
  statuses(): readonly SinkStatus[];
  stop(deadlineMs: number): Promise<void>;
  /** Rejects when the thread dies by itself. */
  readonly died: Promise<never>;
};

/** How long after the deadline a thread may take to save and close before it is ended. */
const CLOSE_GRACE_MS = 5000;

export function startSinkThread(data: SinkWorkerData, logger: Logger): SinkThread {
  const entry = import.meta.url.endsWith('.ts') ? './sink-worker.ts' : './sink-worker.js';
  const worker = new Worker(new URL(entry, import.meta.url), { workerData: data });
  let statuses: readonly SinkStatus[] = [];
  let stopped = false;
  const ended = new Promise<void>((done) => worker.once('exit', () => done()));
  worker.on('message', (report: SinkWorkerReport) => {
    if (report.type === 'log') relayLogLine(logger, report);
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
    stop: async (deadlineMs) => {
      stopped = true;
      worker.postMessage({ type: 'stop', deadlineMs } satisfies SinkWorkerCommand);
      const timer = setTimeout(() => void worker.terminate(), deadlineMs - Date.now() + CLOSE_GRACE_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}
