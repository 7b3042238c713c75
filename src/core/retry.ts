// When to try again: exponential backoff with jitter, up to a cap (a sink's is 3 minutes by default: config/schema/sink.ts). What
// counts as an attempt: pipeline/delivery/conclusions.ts. Pure: time and chance are arguments.

export type RetryPolicy = {
  readonly initialBackoffMs: number;
  readonly multiplier: number;
  readonly maxBackoffMs: number;
  /** 0–1: the share of the wait that chance moves, up or down. */
  readonly jitter: number;
};

/** Milliseconds to wait after the `failures`th failure in a row (1 = the first). `chance` is in [0, 1). */
export function backoffMs(policy: RetryPolicy, failures: number, chance: number): number {
  const exponent = Math.min(Math.max(failures, 1) - 1, 64);
  const base = Math.min(policy.initialBackoffMs * policy.multiplier ** exponent, policy.maxBackoffMs);
  const spread = base * policy.jitter;
  return Math.max(0, Math.round(base - spread + 2 * spread * chance));
}
