// Draining: all that the server has is read, delivered and confirmed to it; then nothing is read any more, until that is taken back or
// another server is adopted (pipeline/service/adopt.ts). Whoever asks for it writes that into the store.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { wallTime } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { formatLsn, readLsn, type Lsn } from '../../core/lsn.ts';
import type { LogSignals } from '../../log/signals.ts';
import { walPosition } from '../../postgres/preflight/publication-changes.ts';
import type { Drain, Handovers } from '../../store/handovers.ts';
import type { FlushKeeper } from './flush.ts';
import type { SourceState } from './status.ts';

/** Whoever asks for it writes that into the store: how often to look there. */
export const DRAIN_INTERVAL_MS = 500;

export const DRAINED = 'DRAINED';
/** It was asked for, and is not done. */
const DRAINS = 'DRAINS';

export type DrainPorts = {
  readonly database: string;
  readonly client: Client;
  readonly systemIdentifier: string;
  readonly handovers: Pick<Handovers, 'drain' | 'drained'>;
  readonly keeper: Pick<FlushKeeper, 'walEnd' | 'flushed'>;
  readonly signals: Pick<LogSignals, 'writtenEnd' | 'lowestSettled' | 'settled' | 'holders'>;
  /** By the sinks' names, their slots in `signals`. */
  readonly sinkSlots: ReadonlyMap<string, number>;
  readonly state: Pick<SourceState, 'alarm'>;
  /** Is a transaction open, in the stream or in the log? */
  isOpen(): boolean;
};

/** Rejects with DRAINED once everything is delivered that the server had when that was asked for, and nothing came since. */
export async function drainLoop(ports: DrainPorts, signal: AbortSignal): Promise<void> {
  const { database, client, systemIdentifier, handovers } = ports;
  let target: Lsn | undefined;
  while (!signal.aborted) {
    await sleep(DRAIN_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    if (askedFor(handovers, database) === undefined) {
      target = undefined;
      ports.state.alarm(DRAINS, undefined);
      continue;
    }
    target ??= readLsn(await walPosition(client));
    if (!isDrainedTo(target, ports)) {
      ports.state.alarm(DRAINS, drains(database, target, sinksBehind(target, ports)));
      continue;
    }
    ports.state.alarm(DRAINS, undefined);
    handovers.drained(database, { lsn: target, systemIdentifier }, wallTime());
    throw drainedFault(database, target);
  }
}

/** While the store is busy nobody has asked. */
export function askedFor(handovers: Pick<Handovers, 'drain'>, database: string): Drain | undefined {
  try {
    return handovers.drain(database);
  } catch {
    return undefined;
  }
}

/** Pure. */
export function isDrainedTo(
  target: Lsn,
  {
    keeper,
    signals,
    isOpen,
  }: Pick<DrainPorts, 'keeper' | 'isOpen'> & {
    readonly signals: Pick<LogSignals, 'writtenEnd' | 'lowestSettled'>;
  },
): boolean {
  if (keeper.walEnd < target || isOpen() || keeper.flushed < target) return false;
  const settled = signals.lowestSettled();
  return settled === undefined || (settled.offset >= signals.writtenEnd() && settled.lsn >= target);
}

/** Of the sinks that it waits for, the names of those that have not settled everything. */
export function sinksBehind(
  target: Lsn,
  { signals, sinkSlots }: Pick<DrainPorts, 'signals' | 'sinkSlots'>,
): readonly string[] {
  const slots = new Set(signals.holders());
  const end = signals.writtenEnd();
  return [...sinkSlots].flatMap(([name, slot]) => {
    const { offset, lsn } = signals.settled(slot);
    return slots.has(slot) && (offset < end || lsn < target) ? [name] : [];
  });
}

const drains = (database: string, lsn: Lsn, behind: readonly string[]): TailraceError => {
  const names = behind.map((name) => `"${name}"`).join(', ');
  return new TailraceError(
    `database "${database}" is being drained up to ${formatLsn(lsn)}${behind.length === 0 ? '' : `: it waits for sink ${names}`}`,
    {
      code: DRAINS,
      kind: 'retryable',
      hint: 'one that is paused, or halted, settles nothing until it goes on (tailrace resume), or is disabled; or go on reading: tailrace drain --undo',
    },
  );
};

export const drainedFault = (database: string, lsn: Lsn): TailraceError =>
  new TailraceError(
    `database "${database}" is drained: all that its server had up to ${formatLsn(lsn)} is delivered, and nothing is read any more`,
    {
      code: DRAINED,
      kind: 'fatal',
      mend: 'operator',
      hint: `shut the server down, stop Tailrace, and take the next one with "tailrace databases adopt ${database}"; or go on reading here: tailrace drain --undo`,
    },
  );
