// How long to wait before the next try to connect. Pure.
import type { TailraceError } from '../../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import { AWAITS_PROMOTION, NOT_PRIMARY, OLD_PRIMARY } from '../../postgres/connection/hosts.ts';

/** A standby answers: somebody promotes it any moment. */
const AWAITING: ReadonlySet<string> = new Set([AWAITS_PROMOTION, NOT_PRIMARY, OLD_PRIMARY]);
/** So long at most a promotion goes unnoticed. */
const PROMOTION_WAIT_MS = 2_000;

export function reconnectMs(
  policy: RetryPolicy,
  { fault, failures, chance }: { fault: Pick<TailraceError, 'code'>; failures: number; chance: number },
): number {
  const waitMs = backoffMs(policy, failures, chance);
  return AWAITING.has(fault.code) ? Math.min(waitMs, PROMOTION_WAIT_MS) : waitMs;
}
