// A sink's preflight, again and again until it succeeds; deliveries do not wait for it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import { describeError, TailraceError } from '../../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import type { Condition } from '../../core/status.ts';
import type { Sink } from '../../sinks/sink.ts';

export class SinkCheck {
  /** What the last try said. */
  condition: Condition = { health: 'healthy', since: wallTime().toISOString() };

  /** Resolves when it has succeeded, or when `signal` aborts. */
  async untilFine(
    sink: Sink,
    options: { readonly name: string; readonly retry: RetryPolicy; readonly logger: Logger },
    signal: AbortSignal,
  ): Promise<void> {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await sink.check(signal, { create: true });
        this.condition = { health: 'healthy', since: wallTime().toISOString() };
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.condition = this.#conditionOf(error);
        if (failures === 1) {
          options.logger.warn({ sink: options.name }, `sink check failed: ${describeError(error)}`);
        }
        const wait = backoffMs(options.retry, failures, Math.random());
        await sleep(wait, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #conditionOf(error: unknown): Condition {
    const { health, since } = this.condition;
    const hint = error instanceof TailraceError ? error.hint : undefined;
    return {
      health: 'degraded',
      reason: error instanceof Error ? error.message : String(error),
      ...(hint === undefined ? {} : { cure: hint }),
      since: health === 'healthy' ? wallTime().toISOString() : since,
    };
  }
}
