// What a sink gives up so that the log stays within its budget (`discard_on_full`): counted, and on record before its cursor moves.
import type { Logger } from 'pino';
import { formatLsn, type Lsn } from '../../core/lsn.ts';
import type { Condition, SinkGap } from '../../core/status.ts';

/** How often a sink looks whether it is to give up changes. */
export const SHED_INTERVAL_MS = 500;

export type SheddingPorts = {
  readonly sink: string;
  /** Durable when it returns. A gap that begins where another does takes its place. */
  readonly keep: (gap: SinkGap) => void;
  readonly logger: Logger;
};

/** What is given up in one go; it ends when the sink has settled past what was demanded. */
type Episode = {
  readonly from: Lsn;
  readonly since: string;
  below: number;
  changes: number;
  written: number;
};

const REASON = 'discard_on_full: the log had spent its budget while the sink was behind';

export class LoadShedding {
  readonly #ports: SheddingPorts;
  #episode: Episode | undefined;

  constructor(ports: SheddingPorts) {
    this.#ports = ports;
  }

  /** Changes before this log offset are given up. */
  get below(): number {
    return this.#episode?.below ?? 0;
  }

  /** `from`: everything up to it is settled. Answers whether that is news. */
  demand(below: number, from: Lsn): boolean {
    if (below <= this.below) return false;
    if (this.#episode === undefined) {
      this.#episode = { from, since: new Date().toISOString(), below, changes: 0, written: -1 };
      const { sink, logger } = this.#ports;
      logger.error(
        { sink, from: formatLsn(from) },
        'the log has spent its budget: the sink discards changes',
      );
    }
    this.#episode.below = below;
    return true;
  }

  count(changes: number): void {
    if (this.#episode !== undefined) this.#episode.changes += changes;
  }

  /** Invariants 3 and 10: called before the cursor moves to `settled`. */
  record(settled: { readonly endLsn: Lsn; readonly offset: number }): void {
    const episode = this.#episode;
    if (episode === undefined) return;
    const { from, changes } = episode;
    const { sink, keep, logger } = this.#ports;
    if (changes > 0 && changes !== episode.written) {
      keep({ from: formatLsn(from), to: formatLsn(settled.endLsn), reason: REASON, changes });
      episode.written = changes;
    }
    if (settled.offset < episode.below) return;
    this.#episode = undefined;
    if (changes > 0) {
      logger.error(
        { sink, from: formatLsn(from), to: formatLsn(settled.endLsn), changes },
        'the sink has discarded these changes',
      );
    }
  }

  /** Undefined while nothing is given up. */
  condition(): Condition | undefined {
    if (this.#episode === undefined) return undefined;
    const { since, changes } = this.#episode;
    return {
      health: 'degraded',
      reason: `discards what it is behind with, ${changes} changes so far: the log has spent its budget`,
      cure: 'mend the destination, raise log.max_bytes, or set load_shedding_policy: pause_on_full; the gaps are in the status',
      since,
    };
  }
}
