// The main thread's handle of a source worker thread.
import type { Logger } from 'pino';
import { wallMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { LogSignals } from '../../log/signals.ts';
import { SOURCE_ENTRY } from './entry.ts';
import type { SourceReady } from './options.ts';
import { SourceState } from './status.ts';
import type { SourceWorkerCommand, SourceWorkerData, SourceWorkerReport } from './worker.ts';
import { relayLogLine } from '../threads/logger.ts';
import { takeThread } from '../threads/warm.ts';
import type { DatabaseStatus, StreamedTable } from '../../core/status.ts';

export type { SourceReady };

export type SourceThread = {
  /** As last reported. */
  status(): DatabaseStatus;
  /** Resolves when the log can be followed (`Source.ready`). */
  readonly ready: Promise<SourceReady>;
  /** Rejects when the source cannot go on by itself. */
  readonly failed: Promise<never>;
  /** The store has other backfills than before, or other states of them: the source looks at once. */
  backfillsChanged(): void;
  /** Stops reading, makes the log durable, confirms, closes. Safe to call again. */
  stop(): Promise<void>;
};

export type SourceThreadOptions = Omit<SourceWorkerData, 'signals'> & {
  readonly signals: LogSignals;
  readonly logger: Logger;
  /** Remembers from where on tables are streamed. */
  readonly streamed: (tables: readonly StreamedTable[]) => void;
};

/** A thread that has not closed by then (its server no longer answers) is ended: recovery mends the log. */
const STOP_TIMEOUT_MS = 10_000;

export function startSourceThread({ signals, logger, streamed, ...data }: SourceThreadOptions): SourceThread {
  const worker = takeThread(SOURCE_ENTRY, { ...data, signals: signals.buffer } satisfies SourceWorkerData);
  let status = new SourceState(data.settings, wallMs).status();
  let stopped = false;
  const ready = Promise.withResolvers<SourceReady>();
  const failed = Promise.withResolvers<never>();
  const exited = new Promise<void>((done) => worker.once('exit', () => done()));
  const fail = (error: Error): void => {
    ready.reject(error);
    if (!stopped) failed.reject(error);
  };
  worker.on('message', (report: SourceWorkerReport) => {
    if (report.type === 'log') return relayLogLine(logger, report);
    if (report.type === 'streamed') return streamed(report.tables);
    if (report.type === 'ready') return ready.resolve(report.ready);
    status = report.status;
    if (report.type === 'fatal')
      fail(new TailraceError(report.error.message, { ...report.error, kind: 'fatal' }));
  });
  worker.once('error', fail);
  worker.once('exit', (code) => fail(new Error(`a source worker ended by itself with code ${code}`)));
  ready.promise.catch(() => undefined);
  failed.promise.catch(() => undefined);
  return {
    status: () => status,
    ready: ready.promise,
    failed: failed.promise,
    backfillsChanged: () => worker.postMessage({ type: 'backfillsChanged' } satisfies SourceWorkerCommand),
    stop: async () => {
      stopped = true;
      worker.postMessage({ type: 'stop' } satisfies SourceWorkerCommand);
      const timer = setTimeout(() => void worker.terminate(), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}
