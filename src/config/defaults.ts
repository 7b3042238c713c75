// Settings that no configuration key changes, or only one product's.

import type { RetryPolicy } from '../core/retry.ts';

/** As Postgres' own receiver: wal_receiver_status_interval. https://www.postgresql.org/docs/current/runtime-config-replication.html */
export const STATUS_INTERVAL_MS = 10_000;

/** As wal_receiver_timeout. */
export const RECEIVE_TIMEOUT_MS = 60_000;

/** A database that restarts is found again soon; one that is gone is asked twice a minute. */
export const RECONNECT: RetryPolicy = {
  initialBackoffMs: 200,
  multiplier: 2,
  maxBackoffMs: 30_000,
  jitter: 0.2,
};

/** How often the catalog is asked for tables that were made since. */
export const REFRESH_INTERVAL_MS = 10_000;

/** 0: for ever. */
export const MAX_CONNECTION_RETRIES = 0;

/** Messages of a sink that wait in memory before it stops reading (invariant 8). */
export const MAX_BUFFERED = 2_000;

export const MAX_PARKED = 100_000;

export const MAX_RETAINED_BYTES = 128 * 1024 * 1024;
