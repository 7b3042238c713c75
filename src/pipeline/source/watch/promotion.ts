// Asks the other hosts of the list whether one of them was promoted while the one that is followed lives on: what that one still writes is
// of a history that ends. Their role is all that is asked, so it is asked often; what standbys have of the slot is for hosts.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { isStandby, readStanding, type Primary } from '../../../postgres/connection/hosts.ts';
import { judgeOthers, lookAtOthers } from '../../../postgres/preflight/other-hosts.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';

const INTERVAL_MS = 5_000;

/** Rejects when another host is further on in the same history: then that one is to be followed. */
export async function watchPromotions(
  { primary, settings }: { readonly primary: Primary; readonly settings: DatabaseSettings },
  signal: AbortSignal,
): Promise<void> {
  const { client, target } = primary;
  if (settings.hosts.length < 2 || (await isStandby(client))) return;
  const followed = { target, ...(await readStanding(client)) };
  while (!signal.aborted) {
    await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    const others = await lookAtOthers(settings, { target }, undefined);
    const { newer } = judgeOthers(settings.name, others, followed, undefined);
    if (newer !== undefined) throw newer;
  }
}
