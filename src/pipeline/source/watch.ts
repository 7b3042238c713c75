// Looks after a running stream from the side: synchronous role and slot health.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { applicationName } from '../../postgres/connection/connection.ts';
import { inspectSlot, readSlot } from '../../postgres/preflight/slot.ts';
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
    if (state.alarm('SLOT', unwell) && unwell !== undefined) ports.warn(unwell);
  }
}
