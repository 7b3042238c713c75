// The slot of a database on every server that may have it: the hosts of the list, and those that had one made and have left it.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { formatLsn } from '../../core/lsn.ts';
import { closeConnection, connectAsking } from '../../postgres/connection/connection.ts';
import { connectionFault } from '../../postgres/connection/fault.ts';
import { isStandby, targetsOf, withoutName } from '../../postgres/connection/hosts.ts';
import { formatTarget, type Target } from '../../postgres/connection/target.ts';
import { readSlot, walEnd } from '../../postgres/preflight/slot.ts';
import { dropSlot } from '../../postgres/preflight/slot-making.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { StandbySlot, StandbySlots } from '../../store/standby-slots.ts';

export type PlacedSlot = {
  readonly database: string;
  readonly host: string;
  /** Of the host; undefined: it does not answer. */
  readonly role: 'primary' | 'standby' | undefined;
  readonly slot: string;
  /** Undefined: there is none. */
  readonly found:
    { readonly confirmed: string; readonly active: boolean; readonly retainedBytes: number } | undefined;
  /** Why it could not be asked, or dropped. */
  readonly fault: string | undefined;
  readonly dropped: boolean;
};

type Place = { readonly target: Target; readonly record: StandbySlot };

/** Asks all at once. Rejects where a name cannot be looked up. `records`: what the store knows. */
export async function findSlots(
  settings: DatabaseSettings,
  records: readonly StandbySlot[] = [],
): Promise<readonly PlacedSlot[]> {
  return Promise.all((await placesOf(settings, records)).map((place) => visit(settings, place)));
}

/**
 * Drops the slot on the standbys, and `everywhere` on the primary, too. What is in use stays. Each that is gone is forgotten by the
 * store.
 */
export async function dropSlots(
  settings: DatabaseSettings,
  {
    store,
    everywhere,
  }: { readonly store: Pick<StandbySlots, 'list' | 'forget'>; readonly everywhere: boolean },
): Promise<readonly PlacedSlot[]> {
  const places = await placesOf(settings, store.list(settings.name));
  return Promise.all(
    places.map(async (place) => {
      const placed = await visit(settings, place, (role) => everywhere || role === 'standby');
      const isGone = placed.dropped || (placed.role !== undefined && placed.found === undefined);
      if (isGone) store.forget(settings.name, place.record);
      return placed;
    }),
  );
}

async function placesOf(
  settings: DatabaseSettings,
  records: readonly StandbySlot[],
): Promise<readonly Place[]> {
  const listed = (await targetsOf(settings)).map((target): Place => {
    const { host, port, address, isOneOfSeveral } = target;
    const only = isOneOfSeveral === true && address !== undefined && { address };
    return { target, record: { host, port, ...only, slot: settings.slot.name } };
  });
  const isListed = (record: StandbySlot): boolean =>
    listed.some(
      (place) =>
        place.record.host === record.host &&
        place.record.port === record.port &&
        place.record.address === record.address &&
        place.record.slot === record.slot,
    );
  return [
    ...listed,
    ...records.filter((record) => !isListed(record)).map((record) => ({ target: record, record })),
  ];
}

async function visit(
  settings: DatabaseSettings,
  { target, record }: Place,
  drops: (role: 'primary' | 'standby') => boolean = () => false,
): Promise<PlacedSlot> {
  const place = { database: settings.name, host: formatTarget(target), slot: record.slot };
  let client: Client | undefined;
  let seen: Pick<PlacedSlot, 'role' | 'found'> = { role: undefined, found: undefined };
  try {
    client = await connectAsking(settings, target);
    const role = (await isStandby(client)) ? 'standby' : 'primary';
    const slot = await readSlot(client, record.slot);
    const end = await walEnd(client);
    seen = {
      role,
      found: slot && {
        confirmed: formatLsn(slot.confirmedFlush),
        active: slot.activePid !== undefined,
        retainedBytes: slot.restart === undefined || slot.restart > end ? 0 : Number(end - slot.restart),
      },
    };
    const isDropped = slot !== undefined && drops(role);
    if (isDropped) await dropSlot(client, record.slot);
    return { ...place, ...seen, fault: undefined, dropped: isDropped };
  } catch (error) {
    const fault = error instanceof TailraceError ? error : connectionFault(error, settings, target);
    return { ...place, ...seen, fault: withoutName(settings.name, fault.message), dropped: false };
  } finally {
    if (client !== undefined) await closeConnection(client);
  }
}
