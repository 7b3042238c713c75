// Looks after a running stream from the side: synchronous role, slot health, retention and the disk budget.
import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { TailraceError } from '../core/errors.ts';
import type { LogSettings } from '../log/settings.ts';
import type { LogSignals } from '../log/signals.ts';
import type { LogWriter } from '../log/writer.ts';
import { applicationName } from '../postgres/connection.ts';
import { inspectSlot, readSlot } from '../postgres/slot.ts';
import { synchronousFault } from '../postgres/synchronous.ts';
import type { DatabaseSettings } from '../postgres/settings.ts';
import type { FlushKeeper } from './source-flush.ts';
import type { SourceState } from './source-status.ts';

const SERVER_INTERVAL_MS = 2_000;
const DISK_INTERVAL_MS = 1_000;

export type WatchPorts = {
  readonly client: Client;
  /** Backend of the replication connection. */
  readonly pid: number;
  readonly settings: DatabaseSettings;
  readonly keeper: FlushKeeper;
  readonly state: SourceState;
  readonly warn: (error: TailraceError) => void;
};

/** Asks the server now and then. Rejects when it no longer answers. */
export async function watchServer(ports: WatchPorts, signal: AbortSignal): Promise<void> {
  const { client, settings, state, keeper } = ports;
  while (!signal.aborted) {
    await sleep(SERVER_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    const synchronous = await synchronousFault(client, ports.pid, applicationName(settings));
    keeper.synchronous = synchronous !== undefined;
    if (state.alarm('SYNCHRONOUS', synchronous) && synchronous !== undefined) ports.warn(synchronous);
    const slot = await readSlot(client, settings.slot.name);
    const finding = slot && inspectSlot(slot, settings);
    const unwell =
      finding === undefined || finding.ok
        ? undefined
        : new TailraceError(`database "${settings.name}": ${finding.title}: ${finding.detail}`, {
            code: finding.code,
            kind: 'retryable',
            hint: finding.cure,
          });
    if (state.alarm('SLOT', unwell) && unwell !== undefined) ports.warn(unwell);
  }
}

type BudgetedLog = Pick<LogWriter, 'retain' | 'maxBytes' | 'writtenEnd'>;

/**
 * Retires segments, and answers whether the log may take more: above `log.max_bytes` it grows on (nothing is dropped)
 * until `log.min_free` of the disk is left.
 */
export class DiskBudget {
  readonly #log: BudgetedLog;
  readonly #signals: LogSignals;
  readonly #settings: LogSettings;
  readonly #directory: string;
  spent = false;

  constructor(log: BudgetedLog, signals: LogSignals, settings: LogSettings, directory: string) {
    this.#log = log;
    this.#signals = signals;
    this.#settings = settings;
    this.#directory = directory;
  }

  async check(nowMs: number): Promise<void> {
    // Without a sink nobody waits for anything: what is durable is settled.
    const settled = this.#signals.lowestSettled()?.offset ?? this.#signals.durableEnd();
    const bytes = await this.#log.retain(settled, nowMs);
    // The last segment is never retired: with all of it settled, nobody is behind, whatever its size.
    if (bytes < this.#log.maxBytes || settled >= this.#log.writtenEnd) {
      this.spent = false;
      return;
    }
    const disk = await statfs(this.#directory);
    this.spent = disk.bavail * disk.bsize < this.#settings.minFreeBytes;
  }

  async loop(state: SourceState, warn: (error: TailraceError) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.check(Date.now());
      const alarm = this.spent ? budgetAlarm(this.#directory) : undefined;
      if (state.alarm('LOG_BUDGET', alarm) && alarm !== undefined) warn(alarm);
      await sleep(DISK_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}

const budgetAlarm = (directory: string): TailraceError =>
  new TailraceError(`the change log in ${directory} has spent its budget: the source has stopped reading`, {
    code: 'LOG_BUDGET',
    kind: 'retryable',
    hint: 'mend or pause the sink that is behind (see status), enlarge the disk, or lower log.min_free',
  });
