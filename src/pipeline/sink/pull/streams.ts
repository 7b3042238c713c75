// The pull sinks of the service as the API sees them: found by name or id, asked across threads.
import { setTimeout as sleep } from 'node:timers/promises';
import { steadyMs } from '../../../core/clock.ts';
import { TailraceError } from '../../../core/errors.ts';
import { stableUuid } from '../../../core/idempotency.ts';
import { sinkDefinition } from '../../../sinks/registry.ts';
import type { ReceiveRequest } from '../../../sinks/sink.ts';
import { NOT_RUNNING, type PullRequest } from './answers.ts';
import type { SinkSettings } from '../../settings.ts';
import type { SinkReply } from '../requests.ts';

/** Rejects with TailraceError when the sink cannot answer now. */
export type PullStream = {
  /** The messages' JSON, or undefined when there are none. */
  receive(request: ReceiveRequest, signal: AbortSignal): Promise<Uint8Array | undefined>;
  ack(ids: readonly string[]): Promise<void>;
  nack(ids: readonly string[]): Promise<void>;
};

export type PullStreams = {
  /** By the sink's name, or the id that its messages name in `metadata.consumer`. */
  find(idOrName: string): PullStream | undefined;
};

/** Rejects, or throws, with TailraceError. */
type Ask = <Request extends PullRequest>(
  sink: SinkSettings,
  request: Request,
  options: { readonly signal?: AbortSignal },
) => Promise<SinkReply<Request>>;

/** A request meets a service that starts: it waits so long for its sink, and looks so often. */
const STARTING_WAIT_MS = 5000;
const STARTING_POLL_MS = 50;

export function pullStreams(sinks: readonly SinkSettings[], ask: Ask): PullStreams {
  const streams = new Map<string, PullStream>();
  for (const sink of sinks) {
    if (sinkDefinition(sink.destination.type)?.isPulled !== true) continue;
    const patiently: typeof ask = (...asked) => askPatiently(ask, ...asked);
    const stream: PullStream = {
      receive: async (request, signal) =>
        (await patiently(sink, { type: 'receive', ...request }, { signal })).messages,
      ack: async (ids) => void (await patiently(sink, { type: 'ack', ids }, {})),
      nack: async (ids) => void (await patiently(sink, { type: 'nack', ids }, {})),
    };
    streams.set(sink.name, stream);
    streams.set(sinkId(sink.database, sink.name), stream);
  }
  return { find: (idOrName) => streams.get(idOrName) };
}

/** A worker whose service was just restarted would else lose its acknowledgement to the first second. */
async function askPatiently<Request extends PullRequest>(
  ask: Ask,
  sink: SinkSettings,
  request: Request,
  options: { readonly signal?: AbortSignal },
): Promise<SinkReply<Request>> {
  for (const deadlineMs = steadyMs() + STARTING_WAIT_MS; ;) {
    try {
      return await ask(sink, request, options);
    } catch (error) {
      const isStarting = error instanceof TailraceError && error.code === NOT_RUNNING;
      if (!isStarting || steadyMs() > deadlineMs) throw error;
      await sleep(STARTING_POLL_MS, undefined, options);
    }
  }
}

/** What messages call `consumer.id`. */
export const sinkId = (database: string, sink: string): string => stableUuid('sink', database, sink);
