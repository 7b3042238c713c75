// The pull sinks of the service as the API sees them: found by name or id, asked across threads.
import { stableUuid } from '../core/idempotency.ts';
import { sinkDefinition } from '../sinks/registry.ts';
import type { ReceiveRequest } from '../sinks/sink.ts';
import type { PullRequest } from './pull-requests.ts';
import type { SinkSettings } from './settings.ts';
import type { SinkReply } from './sink-requests.ts';

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

type Ask = <Request extends PullRequest>(
  sink: SinkSettings,
  request: Request,
  signal?: AbortSignal,
) => Promise<SinkReply<Request>>;

export function pullStreams(sinks: readonly SinkSettings[], ask: Ask): PullStreams {
  const streams = new Map<string, PullStream>();
  for (const sink of sinks) {
    if (sinkDefinition(sink.destination.type)?.isPulled !== true) continue;
    const stream: PullStream = {
      receive: async (request, signal) => (await ask(sink, { type: 'receive', ...request }, signal)).messages,
      ack: async (ids) => void (await ask(sink, { type: 'ack', ids })),
      nack: async (ids) => void (await ask(sink, { type: 'nack', ids })),
    };
    streams.set(sink.name, stream);
    streams.set(sinkId(sink.database, sink.name), stream);
  }
  return { find: (idOrName) => streams.get(idOrName) };
}

/** What messages call `consumer.id`. */
export const sinkId = (database: string, sink: string): string => stableUuid('sink', database, sink);
