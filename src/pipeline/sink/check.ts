// A sink's preflight, again and again until it succeeds; deliveries do not wait for it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { steadyMs, wallTime } from '../../core/clock.ts';
import { describeError, TailraceError } from '../../core/errors.ts';
import { Outage, type OutageLine } from '../../core/repeats.ts';
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
    const outage = new Outage();
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await sink.check(signal, { create: true });
        this.condition = { health: 'healthy', since: wallTime().toISOString() };
        this.#say(options, outage.recovered(steadyMs()));
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.condition = this.#conditionOf(error);
        this.#say(options, outage.failed(steadyMs()), error);
        const wait = backoffMs(options.retry, failures, Math.random());
        await sleep(wait, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #say(
    { name, logger }: { readonly name: string; readonly logger: Logger },
    line: OutageLine | undefined,
    error?: unknown,
  ): void {
    if (line === undefined) return;
    const { what, attempts, forMs } = line;
    if (what === 'down') logger.warn({ sink: name }, `sink check failed: ${describeError(error)}`);
    else if (what === 'up again') logger.warn({ sink: name, attempts, forMs }, 'sink check is fine again');
    else logger.warn({ sink: name, attempts, forMs }, `sink check still fails: ${describeError(error)}`);
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
