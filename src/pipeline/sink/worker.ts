// Entry of a sink worker thread: runs its share of the sinks and reports how they stand.
import { parentPort, workerData } from 'node:worker_threads';
import type { SinkStatus } from '../../core/status.ts';
import { TailraceError } from '../../core/errors.ts';
import { SharedBlocks } from '../../log/shared-blocks.ts';
import { LogSignals } from '../../log/signals.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { openStore, SHORT_BUSY_TIMEOUT_MS } from '../../store/sqlite.ts';
import type { Asker } from './asker.ts';
import type { SinkRequest } from './requests.ts';
import type { SinkOptions } from './options.ts';
import { superviseSink } from './supervisor.ts';
import { createThreadLogger, type LogLine } from '../threads/logger.ts';
import { giveBackIdleMemory } from '../threads/idle-memory.ts';
import {
  answerRequests,
  type CancelMessage,
  type ReplyMessage,
  type RequestMessage,
} from '../threads/requests.ts';

/** What crosses into the thread: plain values and shared memory. */
export type SinkWorkerData = {
  readonly sinks: readonly (Omit<SinkOptions, 'signals' | 'store' | 'logger' | 'blocks' | 'asker'> & {
    readonly signals: SharedArrayBuffer;
    /** Whom to ask about filters, and about routes and groups. Undefined: it has nothing to ask. */
    readonly server?: DatabaseSettings | undefined;
  })[];
  readonly storeFile: string;
  readonly logLevel: string;
};

export type SinkWorkerCommand =
  { readonly type: 'stop'; readonly deadlineMs: number } | RequestMessage<SinkRequest> | CancelMessage;

export type SinkWorkerReport =
  | LogLine
  | ReplyMessage
  | { readonly type: 'status'; readonly sinks: readonly SinkStatus[] }
  | { readonly type: 'stopped'; readonly sinks: readonly SinkStatus[] };

const STATUS_INTERVAL_MS = 500;

function main(): void {
  const port = parentPort!;
  const post = (report: SinkWorkerReport): void => port.postMessage(report);
  const data = workerData as SinkWorkerData;
  const store = openStore(data.storeFile, { busyTimeoutMs: SHORT_BUSY_TIMEOUT_MS });
  const logger = createThreadLogger(data.logLevel, post);
  // The sinks of a thread follow one log, of one server.
  const asker = askerOf(data.sinks.find(({ server }) => server !== undefined)?.server);
  const blocks = data.sinks.length > 1 ? new SharedBlocks() : undefined;
  const byName = new Map(
    data.sinks.map(({ server, ...sink }) => {
      const asks = server === undefined ? undefined : asker;
      const signals = new LogSignals(sink.signals);
      return [sink.settings.name, superviseSink({ ...sink, signals, store, logger, blocks, asker: asks })];
    }),
  );
  const sinks = [...byName.values()];
  const statuses = (): SinkStatus[] => sinks.map((sink) => sink.status());
  const requests = answerRequests<SinkRequest>(
    (message, transfer) => port.postMessage(message satisfies SinkWorkerReport, [...transfer]),
    async (name, request, signal) => {
      const sink = byName.get(name);
      if (sink === undefined) throw unknownSink(name);
      const answer = await sink.request(request, signal);
      // Whoever asked for a change sees it at once.
      if (request.type === 'set_status') post({ type: 'status', sinks: statuses() });
      return answer;
    },
  );
  const timer = setInterval(() => post({ type: 'status', sinks: statuses() }), STATUS_INTERVAL_MS);
  port.on('message', (command: SinkWorkerCommand) => {
    if (command.type !== 'stop') return requests.accept(command);
    clearInterval(timer);
    const stopped = sinks.map((sink) => sink.stop(command.deadlineMs));
    void Promise.all([...stopped, requests.close()]).then(() => {
      post({ type: 'stopped', sinks: statuses() });
      store.close();
      port.close();
    });
  });
}

/** Loaded with the first question: many sinks never have one. */
function askerOf(server: DatabaseSettings | undefined): SinkOptions['asker'] {
  if (server === undefined) return undefined;
  let asker: Promise<Asker> | undefined;
  return () => (asker ??= import('./asker.ts').then(({ createAsker }) => createAsker(server)));
}

const unknownSink = (name: string): TailraceError =>
  new TailraceError(`no sink "${name}" runs here`, { code: 'SINK_UNKNOWN', kind: 'fatal' });

main();
giveBackIdleMemory();
