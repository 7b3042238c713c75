// Looks after a running stream from the side: synchronous role, slot health, WAL that a gap holds back.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { Gap } from '../../core/gaps.ts';
import { applicationName } from '../../postgres/connection/connection.ts';
import { inspectSlot, readSlot, type Slot } from '../../postgres/preflight/slot.ts';
import { synchronousFault } from '../../postgres/preflight/synchronous.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { FlushKeeper } from './flush.ts';
import type { SourceState } from './status.ts';

const SERVER_INTERVAL_MS = 2_000;

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
    // From here on the alarm says how it is: what was seen before the stream began may be over.
    if (finding !== undefined) {
      state.notices = state.notices.filter((notice) => !notice.startsWith(`${finding.title}: `));
    }
    if (state.alarm('SLOT', unwell) && unwell !== undefined) ports.warn(unwell);
    const held = slot && heldBack(slot, state.gaps, settings);
    if (state.alarm('GAP_HOLDS_WAL', held) && held !== undefined) ports.warn(held);
  }
}

/** A sink that a gap halts may hold the flush: for how long that is safe is the server's to say. */
function heldBack(slot: Slot, gaps: readonly Gap[], settings: DatabaseSettings): TailraceError | undefined {
  const isHalting = settings.onGap === 'halt' && gaps.some(({ halts }) => halts);
  if (!isHalting || slot.safeWalBytes === undefined) return undefined;
  return new TailraceError(
    `database "${settings.name}": a gap waits to be accepted, and Postgres gives the slot up when ${inMegabytes(slot.safeWalBytes)} more are written (max_slot_wal_keep_size)`,
    {
      code: 'GAP_HOLDS_WAL',
      kind: 'retryable',
      hint: 'accept the gap before that, or raise max_slot_wal_keep_size',
    },
  );
}

const inMegabytes = (bytes: number): string => `${Math.max(0, Math.floor(bytes / 1024 ** 2))} MB`;
