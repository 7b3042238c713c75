// Declares gaps and keeps those of one database: on record, in its status, and before the sinks that they concern, until accepted.
// That there is one is found out in history/plan.ts, looks.ts and session.ts.
import { wallTime } from '../../core/clock.ts';
import { describeError, TailraceError } from '../../core/errors.ts';
import { acceptHint, describeGap, haltingGap, type Gap, type GapDeclaration } from '../../core/gaps.ts';
import { maxLsn, readLsn, type Lsn } from '../../core/lsn.ts';
import type { Gaps, OpenGap } from '../../store/gaps.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { SourceOptions } from './options.ts';
import type { SourceState } from './status.ts';

/** Whoever accepts a gap writes it into the store: how often to look there. */
export const GAPS_INTERVAL_MS = 500;

export class GapKeeper {
  readonly #options: SourceOptions;
  readonly #state: SourceState;
  readonly #lines: RepeatedLines;
  /** Has no sink of this database ever begun? */
  readonly isFirstStart: boolean;

  constructor(options: SourceOptions, state: SourceState) {
    this.#options = options;
    this.#state = state;
    this.#lines = new RepeatedLines(options.logger);
    this.isFirstStart = options.store.sinks.names(options.settings.name).length === 0;
    this.refresh();
  }

  get #gaps(): Gaps {
    return this.#options.store.gaps;
  }

  get #database(): string {
    return this.#options.settings.name;
  }

  /**
   * On record when it returns, and the sinks that it concerns read no further. Throws GAP_NOT_RECORDED: the stream must not go on
   * then (invariant 10).
   */
  declare(declared: GapDeclaration): Gap {
    const database = this.#database;
    let gap: Gap;
    try {
      gap = this.#gaps.declare(database, declared, wallTime());
      // Whoever drops a table has decided about it: this is for the record.
      if (gap.cause === 'table_dropped') gap = this.#gaps.accept(database, gap.id, wallTime()) ?? gap;
    } catch (cause) {
      throw notRecorded(database, declared, cause);
    }
    // One that grows has the name that it had.
    this.#lines.say({
      level: 'error',
      message: `a gap: ${describeGap(gap)}; compare the consumers with the tables`,
      fields: { database, ...gap },
      kind: `gap ${gap.id}`,
    });
    this.refresh();
    return gap;
  }

  /** Takes over what is accepted by now. */
  refresh(): void {
    const { settings, sinkSlots, selections, signals } = this.#options;
    const database = this.#database;
    let unaccepted: readonly Gap[];
    try {
      unaccepted = this.#gaps.unaccepted(database);
    } catch (error) {
      // The store is busy: what held a moment ago holds still.
      this.#lines.say({
        level: 'warn',
        message: `the gaps on record could not be read: ${describeError(error)}`,
        fields: { database },
        kind: 'unreadable',
      });
      return;
    }
    this.#state.gaps = unaccepted;
    this.#state.alarm('GAP', unaccepted.length === 0 ? undefined : gapAlarm(database, unaccepted));
    for (const [i, [name, slot]] of [...sinkSlots].entries()) {
      const reader = { name, selection: selections[i]! };
      signals.setHalted(slot, haltingGap(unaccepted, reader, settings.onGap) !== undefined);
    }
  }

  /** Is it decided that the stream goes on behind this gap? */
  isDecided(gap: Gap): boolean {
    return gap.acceptedAt !== undefined || !gap.halts || this.#options.settings.onGap === 'resume';
  }

  find(id: number): Gap | undefined {
    return this.#asked(() => this.#gaps.find(this.#database, id));
  }

  /** The same of a gap that somebody may have decided about meanwhile; while the store is busy nobody has. */
  isDecidedByNow(id: number): boolean {
    try {
      const gap = this.#gaps.find(this.#database, id);
      return gap !== undefined && this.isDecided(gap);
    } catch {
      return false;
    }
  }

  /** Those that have no end yet. */
  open(): readonly OpenGap[] {
    return this.#asked(() => this.#gaps.open(this.#database));
  }

  /** The cause of a gap is over: on a server that was set back that may be below where it began. */
  close(gap: Gap, to: Lsn): void {
    this.#asked(() => this.#gaps.close(gap.id, maxLsn(to, readLsn(gap.from))));
    this.refresh();
  }

  /** The gap behind which the stream goes on by somebody's decision, where what we have ends at `after`. */
  skipped(after: Lsn): Gap | undefined {
    const gaps = this.#asked(() => this.#gaps.skipped(this.#database, after));
    return gaps.find((gap) => this.isDecided(gap));
  }

  /** Whatever the store answers decides where the stream goes on: without an answer it does not. */
  #asked<T>(ask: () => T): T {
    try {
      return ask();
    } catch (cause) {
      throw storeSilent(this.#database, cause);
    }
  }
}

function gapAlarm(database: string, gaps: readonly Gap[]): TailraceError {
  const [first] = gaps;
  const more = gaps.length === 1 ? '' : ` (and ${gaps.length - 1} more)`;
  return new TailraceError(`database "${database}": ${describeGap(first!)}${more}`, {
    code: 'GAP',
    kind: 'retryable',
    hint: acceptHint(database, first!),
  });
}

const notRecorded = (database: string, gap: GapDeclaration, cause: unknown): TailraceError =>
  new TailraceError(
    `database "${database}": a gap from ${gap.from} to ${gap.to ?? 'now'} (${gap.reason}) cannot be recorded: ${describeError(cause)}`,
    {
      code: 'GAP_NOT_RECORDED',
      kind: 'retryable',
      hint: 'the data directory must be writable and have room; nothing is read until the gap is on record',
      cause,
    },
  );

export const storeSilent = (database: string, cause: unknown): TailraceError =>
  new TailraceError(
    `database "${database}": the store does not say which gaps and looks there are: ${describeError(cause)}`,
    {
      code: 'STORE_SILENT',
      kind: 'retryable',
      hint: 'Tailrace tries again by itself; the data directory must be readable and writable, and have room',
      cause,
    },
  );
