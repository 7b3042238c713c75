// What a sink gives up so that the log stays within its budget (`discard_on_full`): counted, and on record before its cursor moves.
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import type { SinkCounts } from '../../core/counts.ts';
import { formatLsn, type Lsn } from '../../core/lsn.ts';
import type { Condition, SinkGap } from '../../core/status.ts';
import type { LogSignals } from '../../log/signals.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { Dispatcher } from '../delivery/dispatcher.ts';
import type { LogWalker } from '../intake/log-walker.ts';
import type { Settlement } from './settlement.ts';

/** How often a sink looks whether it is to give up changes. */
export const SHED_INTERVAL_MS = 500;

export type SheddingPorts = {
  readonly sink: string;
  /** Durable when it returns, the latest gaps. A gap that begins where another does takes its place. */
  readonly keep: (gap: SinkGap) => readonly SinkGap[];
  /** The latest gaps on record. */
  readonly gaps: readonly SinkGap[];
  readonly counts: Pick<SinkCounts, 'discarded'>;
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
  /** A sink that stays behind begins and ends an episode with every segment; what each gave up is a gap on record. */
  readonly #lines: RepeatedLines;
  #episode: Episode | undefined;
  /** The one before. */
  #ended: Episode | undefined;
  /** The latest gaps of the sink, what is given up among them. */
  gaps: readonly SinkGap[];

  constructor(ports: SheddingPorts) {
    this.#ports = ports;
    this.#lines = new RepeatedLines(ports.logger);
    this.gaps = ports.gaps;
  }

  /** Changes before this log offset are given up. */
  get below(): number {
    return this.#episode?.below ?? 0;
  }

  /** `from`: everything up to it is settled. Answers whether that is news. */
  demand(below: number, from: Lsn): boolean {
    if (below <= this.below) return false;
    if (this.#episode === undefined) {
      // Two may begin inside one transaction: they are one gap then, and the second goes on counting.
      const changes = this.#ended?.from === from ? this.#ended.changes : 0;
      this.#episode = { from, since: wallTime().toISOString(), below, changes, written: changes };
      const { sink } = this.#ports;
      const message = 'the log has spent its budget: the sink discards changes';
      this.#lines.say({ level: 'error', message, fields: { sink, from: formatLsn(from) } });
    }
    this.#episode.below = below;
    return true;
  }

  /** A change that is read now: is it to be given up? Then it counts. */
  givesUp(offset: number): boolean {
    if (offset >= this.below) return false;
    this.count(1);
    return true;
  }

  /** So many changes were given up, now or, where that shows later only, with what was given up last. */
  count(changes: number): void {
    this.#ports.counts.discarded += changes;
    const episode = this.#episode ?? this.#ended;
    if (episode !== undefined) episode.changes += changes;
  }

  /** Invariants 3 and 10: called before the cursor moves to `settled`. */
  record(settled: { readonly endLsn: Lsn; readonly offset: number }): void {
    const episode = this.#episode ?? this.#ended;
    if (episode === undefined) return;
    const { from, changes } = episode;
    const { sink, keep } = this.#ports;
    if (changes > 0 && changes !== episode.written) {
      this.gaps = keep({ from: formatLsn(from), to: formatLsn(settled.endLsn), reason: REASON, changes });
      episode.written = changes;
    }
    if (this.#episode === undefined || settled.offset < episode.below) return;
    this.#episode = undefined;
    this.#ended = episode;
    if (changes > 0) {
      const fields = { sink, from: formatLsn(from), to: formatLsn(settled.endLsn), changes };
      this.#lines.say({ level: 'error', message: 'the sink has discarded these changes', fields });
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

export type DemandPorts = {
  readonly signals: Pick<LogSignals, 'shedBelow'>;
  /** The sink's place in `signals`. */
  readonly slot: number;
  readonly shedding: Pick<LoadShedding, 'demand' | 'count'>;
  readonly settlement: Pick<Settlement, 'current' | 'soon'>;
  readonly dispatcher: Pick<Dispatcher, 'discardBelow'>;
  readonly walker: Pick<LogWalker, 'lookAgain'>;
};

/** Gives up what the source demands of this sink, for the log's budget. */
export function meetDemand({ signals, slot, shedding, settlement, dispatcher, walker }: DemandPorts): void {
  const { cursor, offset } = settlement.current;
  const below = signals.shedBelow(slot);
  if (below <= offset || !shedding.demand(below, cursor.endLsn)) return;
  shedding.count(dispatcher.discardBelow(below));
  walker.lookAgain();
  settlement.soon();
}
