// When a backfill is to wait: while the slot, the log's disk or its own sinks are in trouble, what it reads would make that worse.
import type { LogSignals } from '../../../log/signals.ts';
import type { LogWriter } from '../../../log/writer.ts';
import type { SourceState } from '../status.ts';

/** Alarms of the source during which nothing is read beside the stream. */
const TROUBLES = [
  'SLOT',
  'SLOT_LIMIT_NEAR',
  'RETAINED',
  'LOG_BUDGET',
  'LOG_DISK_LOW',
  'LOG_FILLS',
  'BARRIER_HELD',
  'DRAINS',
] as const;

/** A sink may have so much before it that it has not settled; reading goes on at half of it. */
const MAX_AHEAD_BYTES = 128 * 1024 * 1024;
/** Of `log.max_bytes`, what the sinks may hold before nothing more is read beside the stream. */
const MAX_HELD_SHARE = 0.4;

export type GuardPorts = {
  readonly state: Pick<SourceState, 'troubleAmong'>;
  readonly log: Pick<LogWriter, 'writtenEnd' | 'maxBytes'>;
  readonly signals: Pick<LogSignals, 'lowestSettled' | 'settled' | 'isHolding'>;
  /** By the sinks' names, their slots in `signals`. */
  readonly sinkSlots: ReadonlyMap<string, number>;
};

/** Of one backfill. */
export class LoadGuard {
  readonly #ports: GuardPorts;
  readonly #sinks: readonly string[];
  #isAhead = false;

  /** `sinks`: whom it reads for; none: all. */
  constructor(sinks: readonly string[], ports: GuardPorts) {
    this.#sinks = sinks;
    this.#ports = ports;
  }

  /** Why nothing is to be read now, for people; undefined: go on. */
  trouble(): string | undefined {
    const { state, log, signals } = this.#ports;
    const alarm = state.troubleAmong(TROUBLES);
    if (alarm !== undefined) return alarm;
    if (this.#isForNobody())
      return 'none of its sinks would get what it reads: each is disabled, or not in the configuration';
    const held = log.writtenEnd - (signals.lowestSettled()?.offset ?? log.writtenEnd);
    if (held > log.maxBytes * MAX_HELD_SHARE) return 'the change log fills: sinks are behind';
    return this.#aheadOfSinks();
  }

  /** A sink that is disabled misses what comes meanwhile, but of a backfill that is for it alone nothing would be left. */
  #isForNobody(): boolean {
    const { signals, sinkSlots } = this.#ports;
    const mayGet = (name: string): boolean => {
      const slot = sinkSlots.get(name);
      return slot !== undefined && signals.isHolding(slot);
    };
    return this.#sinks.length > 0 && !this.#sinks.some(mayGet);
  }

  #aheadOfSinks(): string | undefined {
    const { log, signals, sinkSlots } = this.#ports;
    const limit = Math.min(MAX_AHEAD_BYTES, log.maxBytes * MAX_HELD_SHARE) / (this.#isAhead ? 2 : 1);
    const wanted = this.#sinks.length === 0 ? [...sinkSlots.keys()] : this.#sinks;
    const behind = wanted.filter((name) => {
      const slot = sinkSlots.get(name);
      if (slot === undefined || !signals.isHolding(slot)) return false;
      return log.writtenEnd - signals.settled(slot).offset > limit;
    });
    this.#isAhead = behind.length > 0;
    if (behind.length === 0) return undefined;
    return `it is far ahead of ${behind.map((name) => `"${name}"`).join(', ')}: it goes on once that has been delivered`;
  }
}
