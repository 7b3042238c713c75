// Entry of a sink worker thread: runs its share of the sinks and reports how they stand.
import { parentPort, workerData } from 'node:worker_threads';
import type { SinkStatus } from '../core/status.ts';
import { LogSignals } from '../log/signals.ts';
import { openStore } from '../store/sqlite.ts';
import type { SinkRunnerOptions } from './sink-runner.ts';
import { superviseSink } from './sink-supervisor.ts';
import { createThreadLogger, type LogLine } from './thread-logger.ts';

/** What crosses into the thread: plain values and shared memory. */
export type SinkWorkerData = {
  readonly sinks: readonly (Omit<SinkRunnerOptions, 'signals' | 'store' | 'logger'> & {
    readonly signals: SharedArrayBuffer;
  })[];
  readonly storeFile: string;
  readonly logLevel: string;
};

export type SinkWorkerCommand = { readonly type: 'stop'; readonly deadlineMs: number };

export type SinkWorkerReport =
  | LogLine
  | { readonly type: 'status'; readonly sinks: readonly SinkStatus[] }
  | { readonly type: 'stopped'; readonly sinks: readonly SinkStatus[] };

const STATUS_INTERVAL_MS = 500;

function main(): void {
  const port = parentPort!;
  const post = (report: SinkWorkerReport): void => port.postMessage(report);
  const data = workerData as SinkWorkerData;
  const store = openStore(data.storeFile);
  const logger = createThreadLogger(data.logLevel, post);
  const sinks = data.sinks.map((sink) =>
    superviseSink({ ...sink, signals: new LogSignals(sink.signals), store, logger }),
  );
  const statuses = (): SinkStatus[] => sinks.map((sink) => sink.status());
  const timer = setInterval(() => post({ type: 'status', sinks: statuses() }), STATUS_INTERVAL_MS);
  port.on('message', (command: SinkWorkerCommand) => {
    clearInterval(timer);
    void Promise.all(sinks.map((sink) => sink.stop(command.deadlineMs))).then(() => {
      post({ type: 'stopped', sinks: statuses() });
      store.close();
      port.close();
    });
  });
}

main();
