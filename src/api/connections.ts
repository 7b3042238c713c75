// How many connections the listeners take, and for how long one may take its time: what clients hold open never takes the
// file descriptors that the log, the store and the sinks work with.
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { shortageNamed } from '../core/shortages.ts';
import { RepeatedLines } from '../telemetry/repeated-lines.ts';
import { MAX_WAIT_MS } from './pull-parameters.ts';

/** From the first byte to the end of the headers; also from the connection to the first byte. */
const HEADERS_TIMEOUT_MS = 10_000;
/** From there to the end of the body, which may have 1 MiB. */
const REQUEST_TIMEOUT_MS = 60_000;
const CHECKING_INTERVAL_MS = 1000;
/** A connection on which nothing goes is ended; a request for messages may wait longest. */
const SILENT_MS = MAX_WAIT_MS + 60_000;
/** Between two requests: longer than scrapers pause. https://prometheus.io/docs/prometheus/latest/configuration/configuration/ */
const KEEP_ALIVE_MS = 72_000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_BODY_BYTES = 1024 * 1024;

/** What Fastify makes the listeners with. */
export const LISTENER_LIMITS = {
  bodyLimit: MAX_BODY_BYTES,
  requestTimeout: REQUEST_TIMEOUT_MS,
  connectionTimeout: SILENT_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  http: {
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: CHECKING_INTERVAL_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // A peer that is gone without a word is noticed.
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  },
} as const;

export type ConnectionLimits = {
  readonly api: number;
  readonly metrics: number;
  /** A connection whose descriptor has this number or a higher one is refused: only the reserve is left. */
  readonly firstReserved: number;
};

const within = (least: number, value: number, most: number): number =>
  Math.max(least, Math.min(most, Math.floor(value)));

/**
 * Of the descriptors that the process may have: a quarter for the API, a sixteenth for the metrics. Whatever takes the
 * others, the last eighth (at least 24) is not for clients.
 */
export function connectionLimits(descriptors: number): ConnectionLimits {
  return {
    api: within(16, descriptors / 4, 2048),
    metrics: within(8, descriptors / 16, 128),
    firstReserved: descriptors - within(24, descriptors / 8, 256),
  };
}

export type BoundedListener = {
  /** As the configuration calls it. */
  readonly room: string;
  readonly maxConnections: number;
  readonly firstReserved: number;
  readonly logger: Logger;
};

/** Bounds a server that listens. The answer tells how many connections were refused so far. */
export function boundConnections(server: Server, listener: BoundedListener): () => number {
  const { room, maxConnections, firstReserved, logger } = listener;
  server.maxConnections = maxConnections;
  const lines = new RepeatedLines(logger);
  let count = 0;
  const refused = (why: string, hint: string): void => {
    count++;
    lines.say({ level: 'warn', message: `${room}: a connection is refused, ${why}`, fields: { hint } });
    // Who waits between two requests connects again when it has one; who was refused comes back, too.
    server.closeIdleConnections();
  };
  server.on('drop', () =>
    refused(`${maxConnections} are open: as many as this listener takes`, connectionsHint(maxConnections)),
  );
  // Before Node's own listener: a connection takes the lowest number that is free, so its own says how many are taken.
  server.prependListener('connection', (socket: Socket) => {
    if (descriptorOf(socket) < firstReserved) return;
    socket.destroy();
    refused(
      'for the file descriptors that are left are kept for the log, the store and the sinks',
      shortageNamed('EMFILE')!.cure,
    );
  });
  // Where not even this connection had one: the listener goes on.
  server.on('error', (error: NodeJS.ErrnoException) => {
    const shortage = shortageNamed(error.code ?? '');
    refused(shortage?.what ?? error.message, shortage?.cure ?? 'look into the system’s log');
  });
  return () => count;
}

const connectionsHint = (limit: number): string =>
  `look who holds them (ss -tnp), let clients share connections, or put a proxy in between; the limit of ${limit} follows from the process’ file descriptors (ulimit -Hn)`;

/** https://pubs.opengroup.org/onlinepubs/9799919799/functions/accept.html; -1 where Node does not say it. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}
