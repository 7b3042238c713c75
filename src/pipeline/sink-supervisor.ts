// Keeps one sink running: a runner that fails is made anew after a pause, and its status says why.
import { setTimeout as sleep } from 'node:timers/promises';
import { aborted } from '../core/abort.ts';
import { describeError, TailraceError } from '../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../core/retry.ts';
import type { Condition, SinkStatus } from '../core/status.ts';
import { newSinkStatus } from './sink-status.ts';
import { SinkRunner, type SinkRunnerOptions } from './sink-runner.ts';

const RESTART: RetryPolicy = { initialBackoffMs: 1000, multiplier: 2, maxBackoffMs: 60_000, jitter: 0.2 };
/** A runner that ran this long starts its pauses from the shortest again. */
const STABLE_MS = 60_000;

/** A runner that was made anew counts as well once it has run this long. */
const MENDED_MS = 3000;

const HEALTHY: Condition = { health: 'healthy', since: new Date().toISOString() };

export type SupervisedSink = {
  status(): SinkStatus;
  /** Resolves when the sink has settled what was in flight and saved its ledger. */
  stop(deadlineMs: number): Promise<void>;
};

export function superviseSink(options: SinkRunnerOptions): SupervisedSink {
  const stopping = new AbortController();
  let runner: SinkRunner | undefined;
  let deadlineMs = Infinity;
  let failure: Condition | undefined;
  let lastStatus: SinkStatus | undefined;

  const runOnce = async (): Promise<void> => {
    runner = await SinkRunner.create(options);
    let mended: NodeJS.Timeout | undefined;
    try {
      const running = runner.run();
      mended = setTimeout(() => (failure = undefined), MENDED_MS);
      await Promise.race([running, aborted(stopping.signal)]);
    } finally {
      clearTimeout(mended);
      const ended = runner;
      await ended.stop(stopping.signal.aborted ? deadlineMs : Date.now());
      lastStatus = ended.status();
      runner = undefined;
    }
  };

  const loop = async (): Promise<void> => {
    for (let failures = 1; !stopping.signal.aborted; failures++) {
      const startedMs = Date.now();
      try {
        await runOnce();
      } catch (error) {
        failure = conditionOf(error, failure);
        options.logger.error(
          { sink: options.settings.name, err: error },
          `sink failed: ${describeError(error)}`,
        );
      }
      if (Date.now() - startedMs > STABLE_MS) failures = 1;
      if (stopping.signal.aborted) return;
      await sleep(backoffMs(RESTART, failures, Math.random()), undefined, { signal: stopping.signal }).catch(
        () => undefined,
      );
    }
  };
  const running = loop();

  return {
    status: () => {
      const status = runner?.status() ?? lastStatus ?? newSinkStatus(options.settings, HEALTHY);
      return failure === undefined ? status : { ...status, ...failure, state: 'halted' };
    },
    stop: async (deadline) => {
      deadlineMs = deadline;
      stopping.abort();
      await running;
    },
  };
}

function conditionOf(error: unknown, before: Condition | undefined): Condition {
  return {
    health: 'halted',
    reason: error instanceof Error ? error.message : String(error),
    ...(error instanceof TailraceError && error.hint !== undefined ? { cure: error.hint } : {}),
    since: before?.since ?? new Date().toISOString(),
  };
}
