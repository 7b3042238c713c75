// Looks at the other hosts of the list while one of them is followed: would a failover keep the slot, and is the one that is followed still the primary?
import { setTimeout as sleep } from 'node:timers/promises';
import type { TailraceError } from '../../../core/errors.ts';
import type { StandbyStatus } from '../../../core/status.ts';
import { formatTarget } from '../../../postgres/connection/target.ts';
import { readStanding, systemOf, type Followed } from '../../../postgres/connection/hosts.ts';
import { alarmOf } from '../../../postgres/preflight/finding.ts';
import {
  judgeOthers,
  lookAtOthers,
  type FailoverSlot,
  type OtherHost,
} from '../../../postgres/preflight/other-hosts.ts';
import type { SlotKeeper } from '../../../postgres/preflight/standby.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { SourceState } from '../status.ts';

const INTERVAL_MS = 30_000;
/** While something is not as it should be. */
const TROUBLED_INTERVAL_MS = 5_000;

export type HostPorts = {
  readonly primary: Followed;
  readonly settings: DatabaseSettings;
  /** Who keeps the slot on the standbys; undefined: nobody. */
  readonly keeper: SlotKeeper | undefined;
  readonly state: SourceState;
  readonly warn: (error: TailraceError) => void;
};

/** Rejects when another host is further on in the same history: then that one is to be followed. */
export async function watchHosts(ports: HostPorts, signal: AbortSignal): Promise<void> {
  const { primary, settings, state, keeper } = ports;
  if (settings.hosts.length < 2) return;
  // The timeline of a standby that is read from is for the watch of its promotion.
  const standing = primary.inRecovery ? await systemOf(primary.client) : await readStanding(primary.client);
  const followed = { target: primary.target, ...standing };
  const raise = (code: string, error: TailraceError | undefined): void => {
    state.raise(code, error, ports.warn);
  };
  try {
    while (!signal.aborted) {
      const slot: FailoverSlot | undefined = keeper && {
        name: settings.slot.name,
        flushed: state.flushed,
        keeper,
      };
      const others = await lookAtOthers(settings, followed, slot);
      if (signal.aborted) return;
      const { newer, old, unready } = judgeOthers(settings.name, others, followed, slot);
      if (newer !== undefined) throw newer;
      state.standbys = slot && standbyStatus(others);
      raise('OLD_PRIMARY', old);
      raise('FAILOVER', unready && alarmOf(settings.name, unready));
      const interval = old === undefined && unready === undefined ? INTERVAL_MS : TROUBLED_INTERVAL_MS;
      await sleep(interval, undefined, { signal, ref: false }).catch(() => undefined);
    }
  } finally {
    state.standbys = undefined;
    state.alarm('OLD_PRIMARY', undefined);
    state.alarm('FAILOVER', undefined);
  }
}

const standbyStatus = (others: readonly OtherHost[]): readonly StandbyStatus[] =>
  others.flatMap((other): readonly StandbyStatus[] => {
    const host = formatTarget(other.target);
    switch (other.role) {
      case 'primary':
        return [];
      case 'standby': {
        const ready = other.findings.every(({ ok }) => ok);
        const detail = other.findings.map((finding) => finding.detail).join('; ');
        const { retainedBytes } = other;
        return [{ host, ready, detail, ...(retainedBytes !== undefined && { retainedBytes }) }];
      }
      case 'fault':
        return [{ host, ready: false, detail: other.fault.message }];
      default:
        return other satisfies never;
    }
  });
