// What the log may take of the disk: retires segments, tells sinks to shed, names who fills it, and says when it is spent.
import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { wallMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { LogSettings } from '../../log/settings.ts';
import type { LogSignals } from '../../log/signals.ts';
import type { LogWriter } from '../../log/writer.ts';
import type { SourceState } from './status.ts';

const INTERVAL_MS = 1_000;
/** From this share of `log.max_bytes` on, an alarm names the sinks that fill the log. */
const ALARM_SHARE = 0.5;
/** Within `log.max_bytes`, the most that `log.min_free` asks of a disk: a small one must not stop a log that is small. */
const MAX_FREE_SHARE = 0.05;
/** After a write found the disk full, reading goes on with so much free, or a segment of the log. */
const ROOM_AFTER_FULL_BYTES = 16 * 1024 * 1024;

type Disk = { readonly freeBytes: number; readonly totalBytes: number };

type BudgetedLog = Pick<LogWriter, 'retain' | 'maxBytes' | 'writtenEnd' | 'bytes'>;

export type DiskBudgetPorts = {
  readonly log: BudgetedLog;
  readonly signals: LogSignals;
  readonly settings: LogSettings;
  readonly directory: string;
  /** By the sinks' names, their slots in `signals`. */
  readonly sinkSlots: ReadonlyMap<string, number>;
  /** Until the server is proved to be the log's, the log is what proves it: none of it goes. */
  readonly isProved: () => boolean;
  /** Of the directory; tests make it full. */
  readonly disk?: (directory: string) => Promise<Disk>;
};

/**
 * Above `log.max_bytes` sinks that shed give up what is oldest; for the others the log grows on (nothing is dropped) until
 * `log.min_free` of the disk is left. Then it is spent: the source stops reading. The same where others have filled the disk.
 */
export class DiskBudget {
  readonly #ports: DiskBudgetPorts;
  spent = false;
  /** Why, where the log itself is within its budget: others have filled the disk. */
  #isDiskLow = false;
  /** Has a write found the disk full, and there is no room yet? */
  isFull = false;

  constructor(ports: DiskBudgetPorts) {
    this.#ports = ports;
  }

  async check(nowMs: number): Promise<void> {
    const { log, signals, settings, directory, isProved } = this.#ports;
    // Without a sink nobody waits for anything: what is durable is settled.
    const settled = signals.needed() ?? signals.durableEnd();
    const bytes = await log.retain(isProved() ? settled : 0, nowMs);
    // The last segment is never retired: with all of it settled, nobody is behind, whatever its size.
    const isWithin = bytes < log.maxBytes || settled >= log.writtenEnd;
    if (!isWithin) this.#shed();
    const { freeBytes, totalBytes } = await (this.#ports.disk ?? diskOf)(directory);
    const wanted = isWithin
      ? Math.min(settings.minFreeBytes, totalBytes * MAX_FREE_SHARE)
      : settings.minFreeBytes;
    const room = Math.min(ROOM_AFTER_FULL_BYTES, settings.segmentBytes);
    this.spent = freeBytes < Math.max(wanted, this.isFull ? room : 0);
    this.#isDiskLow = this.spent && isWithin;
    if (!this.spent) this.isFull = false;
  }

  /** A write has found the disk full. */
  filled(): void {
    this.isFull = true;
    this.spent = true;
    this.#isDiskLow = true;
  }

  /** Makes room for a segment, where that is only for sinks that shed to decide. */
  #shed(): void {
    const { log, signals, settings } = this.#ports;
    let below = Math.min(log.writtenEnd, log.writtenEnd - log.maxBytes + settings.segmentBytes);
    for (const slot of signals.holders()) {
      if (!signals.sheds(slot)) below = Math.min(below, signals.needs(slot));
    }
    for (const slot of signals.holders()) {
      if (!signals.sheds(slot) || signals.needs(slot) >= below) continue;
      if (signals.shedBelow(slot) < below) signals.shed(slot, below);
    }
  }

  async loop(state: SourceState, warn: (error: TailraceError) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.check(wallMs());
      const alarms = {
        LOG_BUDGET:
          this.spent && !this.#isDiskLow ? spentAlarm(this.#ports.directory, this.#culprits()) : undefined,
        LOG_DISK_LOW: this.#isDiskLow ? diskLowAlarm(this.#ports.directory) : undefined,
        LOG_FILLS: this.#fillingAlarm(),
      };
      for (const [code, alarm] of Object.entries(alarms)) state.raise(code, alarm, warn);
      await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Long before one sink's pause could stop the others, it has a name. */
  #fillingAlarm(): TailraceError | undefined {
    const { log } = this.#ports;
    if (this.spent || log.bytes() < log.maxBytes * ALARM_SHARE) return undefined;
    const culprits = this.#culprits();
    return culprits.length === 0 ? undefined : fillingAlarm(culprits);
  }

  /** Sinks that hold more than half of what the alarm is about, the farthest behind first. */
  #culprits(): string[] {
    const { log, signals, sinkSlots } = this.#ports;
    const names = new Map([...sinkSlots].map(([name, slot]) => [slot, name]));
    return [...signals.holders()]
      .map((slot) => ({
        name: names.get(slot) ?? `#${slot}`,
        behind: log.writtenEnd - signals.needs(slot),
      }))
      .filter(({ behind }) => behind > (log.maxBytes * ALARM_SHARE) / 2)
      .toSorted((a, b) => b.behind - a.behind)
      .map(({ name }) => name);
  }
}

async function diskOf(directory: string): Promise<Disk> {
  const { bavail, blocks, bsize } = await statfs(directory);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

const diskLowAlarm = (directory: string): TailraceError =>
  new TailraceError(
    `the disk of the change log in ${directory} is nearly full: the source has stopped reading, and Postgres keeps its WAL`,
    {
      code: 'LOG_DISK_LOW',
      kind: 'retryable',
      hint: 'free disk space or enlarge the volume of the data directory; it is not the log that fills it',
    },
  );

const listed = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

const fillingAlarm = (culprits: readonly string[]): TailraceError =>
  new TailraceError(
    `the change log has used more than half of log.max_bytes: it waits for sink ${listed(culprits)}`,
    {
      code: 'LOG_FILLS',
      kind: 'retryable',
      hint: 'mend the sink (see status), raise log.max_bytes, or set load_shedding_policy: discard_on_full for it',
    },
  );

const spentAlarm = (directory: string, culprits: readonly string[]): TailraceError =>
  new TailraceError(
    `the change log in ${directory} has spent its budget: the source has stopped reading${culprits.length === 0 ? '' : `; it waits for sink ${listed(culprits)}`}`,
    {
      code: 'LOG_BUDGET',
      kind: 'retryable',
      hint: 'mend or disable the sink that is behind (see status), enlarge the disk, or lower log.min_free',
    },
  );
