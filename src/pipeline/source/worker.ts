// Entry of a source worker thread: follows one database and reports how that goes.
import { parentPort } from 'node:worker_threads';
import { describeError, TailraceError, type Mend } from '../../core/errors.ts';
import type { ProcessLife } from '../../core/process-life.ts';
import { directoryOutlivesProcess } from '../../data-directory/durability.ts';
import type { LogSettings } from '../../log/settings.ts';
import { LogSignals } from '../../log/signals.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { openStore, SHORT_BUSY_TIMEOUT_MS } from '../../store/sqlite.ts';
import type { SourceReady } from './options.ts';
import { startSource } from './runner.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import type { DatabaseStatus, StreamedTable } from '../../core/status.ts';
import { createThreadLogger, type LogLine } from '../threads/logger.ts';
import { giveBackIdleMemory } from '../threads/idle-memory.ts';
import { whenTaken } from '../threads/warm.ts';

/** What crosses into the thread: plain values and shared memory. */
export type SourceWorkerData = {
  readonly settings: DatabaseSettings;
  readonly selections: readonly SinkNames[];
  readonly tellsSchemas: boolean;
  readonly withoutUpdates: ReadonlySet<string>;
  readonly log: LogSettings;
  readonly directory: string;
  readonly knownEpoch: number;
  readonly signals: SharedArrayBuffer;
  readonly storeFile: string;
  /** By the sinks' names, their slots in `signals`. */
  readonly sinkSlots: ReadonlyMap<string, number>;
  readonly version: string;
  readonly life: ProcessLife;
  readonly logLevel: string;
};

/** backfillsChanged: the store has others than before, or other states of them. */
export type SourceWorkerCommand = { readonly type: 'stop' | 'backfillsChanged' };

export type SourceFault = {
  readonly code: string;
  readonly message: string;
  readonly mend: Mend;
  readonly hint: string | undefined;
};

export type SourceWorkerReport =
  | LogLine
  | { readonly type: 'status'; readonly status: DatabaseStatus }
  | { readonly type: 'streamed'; readonly tables: readonly StreamedTable[] }
  | { readonly type: 'ready'; readonly ready: SourceReady }
  | { readonly type: 'fatal'; readonly error: SourceFault; readonly status: DatabaseStatus }
  | { readonly type: 'stopped'; readonly status: DatabaseStatus };

const STATUS_INTERVAL_MS = 500;

function main({ signals, logLevel, storeFile, ...data }: SourceWorkerData): void {
  const port = parentPort!;
  const post = (report: SourceWorkerReport): void => port.postMessage(report);
  const store = openStore(storeFile, { busyTimeoutMs: SHORT_BUSY_TIMEOUT_MS });
  const source = startSource({
    ...data,
    signals: new LogSignals(signals),
    store,
    durableDirectory: directoryOutlivesProcess(data.directory),
    streamed: (tables) => post({ type: 'streamed', tables }),
    logger: createThreadLogger(logLevel, post),
  });
  const status = (): void => post({ type: 'status', status: source.status() });
  const timer = setInterval(status, STATUS_INTERVAL_MS);
  port.on('message', (command: SourceWorkerCommand) => {
    switch (command.type) {
      case 'stop':
        return void source.stop();
      case 'backfillsChanged':
        return source.backfillsChanged();
      default:
        return command.type satisfies never;
    }
  });
  source.ready.then(
    (ready) => {
      status();
      post({ type: 'ready', ready });
    },
    () => undefined, // `ended` says why
  );
  source.ended
    .then(
      () => post({ type: 'stopped', status: source.status() }),
      (error: unknown) => post({ type: 'fatal', error: faultOf(error), status: source.status() }),
    )
    .finally(() => {
      clearInterval(timer);
      store.close();
      port.close();
    })
    .catch(() => undefined);
}

const faultOf = (error: unknown): SourceFault =>
  error instanceof TailraceError
    ? { code: error.code, message: error.message, mend: error.mend, hint: error.hint }
    : { code: 'INTERNAL', message: describeError(error), mend: 'restart', hint: undefined };

whenTaken((data: SourceWorkerData) => {
  main(data);
  giveBackIdleMemory();
});
