// How AWS' endpoints are connected to: limits and times of the connections.
import { HttpPool } from '../http/pool.ts';

/** Connections to one endpoint, whatever the number of routes and lanes. */
const MAX_CONNECTIONS = 1024;

/** Idle connections are closed by us before the server does, or its reset would meet the next request. */
const KEEP_ALIVE_MS = 15_000;

/** Answers are at most ten entries long. */
const MAX_REPLY_BYTES = 1024 * 1024;

export const awsHttp = (origin: URL, timeoutMs: number): HttpPool =>
  new HttpPool({
    origin,
    timeoutMs,
    maxConnections: MAX_CONNECTIONS,
    keepAliveMs: KEEP_ALIVE_MS,
    reply: { maxBytes: MAX_REPLY_BYTES, keepsBody: true },
  });
