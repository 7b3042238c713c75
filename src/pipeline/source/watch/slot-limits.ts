// How long the slot is safe: what Postgres will give it up for, said before that, with the cure.
// https://www.postgresql.org/docs/current/view-pg-replication-slots.html (wal_status, safe_wal_size)
import type { Client } from 'pg';
import { TailraceError } from '../../../core/errors.ts';
import type { Gap } from '../../../core/gaps.ts';
import type { Slot } from '../../../postgres/preflight/slot.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';

export type SlotLimits = {
  /** `max_slot_wal_keep_size`; undefined: none is set. */
  readonly keepBytes: number | undefined;
  /** `idle_replication_slot_timeout` (18+); undefined: none is set. */
  readonly idleMs: number | undefined;
};

const MEGABYTE = 1024 ** 2;

export async function readSlotLimits(client: Client): Promise<SlotLimits> {
  const { rows } = await client.query<{ keepMegabytes: number | null; idleSeconds: number | null }>(
    `select (select setting::float8 from pg_settings where name = 'max_slot_wal_keep_size') as "keepMegabytes",
       (select setting::float8 * case unit when 'min' then 60 when 'ms' then 0.001 else 1 end
        from pg_settings where name = 'idle_replication_slot_timeout') as "idleSeconds"`,
  );
  const { keepMegabytes, idleSeconds } = rows[0] ?? { keepMegabytes: null, idleSeconds: null };
  return {
    keepBytes: keepMegabytes === null || keepMegabytes < 0 ? undefined : keepMegabytes * MEGABYTE,
    idleMs: idleSeconds === null || idleSeconds <= 0 ? undefined : idleSeconds * 1000,
  };
}

/** Of what the slot may keep, the part from which on it is said how much is left. */
const NEAR_LIMIT_SHARE = 0.5;
/** An outage, a pause over a weekend: shorter than that, and stopping Tailrace loses changes. */
const LONGEST_STOP_MS = 72 * 3_600_000;

/** Less than half of what the slot may keep is left. `unreserved` and `lost` are said where the slot is inspected. */
export function nearLimit(
  { walStatus, safeWalBytes }: Pick<Slot, 'walStatus' | 'safeWalBytes'>,
  { keepBytes }: SlotLimits,
  settings: DatabaseSettings,
): TailraceError | undefined {
  if (keepBytes === undefined || safeWalBytes === undefined) return undefined;
  if (walStatus === 'lost' || walStatus === 'unreserved') return undefined;
  if (safeWalBytes >= keepBytes * NEAR_LIMIT_SHARE) return undefined;
  const wanted = Math.ceil((keepBytes * 4) / MEGABYTE);
  return new TailraceError(
    `database "${settings.name}": Postgres gives slot "${settings.slot.name}" up when ${inMegabytes(safeWalBytes)} more are written (max_slot_wal_keep_size is ${inMegabytes(keepBytes)})`,
    {
      code: 'SLOT_LIMIT_NEAR',
      kind: 'retryable',
      hint: `see what holds the slot back (a sink that is behind, a transaction that stays open), or, if the disk of the server can bear it: ALTER SYSTEM SET max_slot_wal_keep_size = '${wanted}MB'; SELECT pg_reload_conf();`,
    },
  );
}

/** Idle is a slot that nobody reads from: a sink's pause does not count, a stop or an outage does. */
export function idleTimeout({ idleMs }: SlotLimits, settings: DatabaseSettings): TailraceError | undefined {
  if (idleMs === undefined || idleMs >= LONGEST_STOP_MS) return undefined;
  return new TailraceError(
    `database "${settings.name}": Postgres gives slot "${settings.slot.name}" up once Tailrace has been away from it for ${inWords(idleMs)} (idle_replication_slot_timeout): a longer stop or outage loses changes`,
    {
      code: 'SLOT_IDLE_TIMEOUT',
      kind: 'retryable',
      hint: `ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf(); or at least 3d`,
    },
  );
}

/** A sink that a gap halts may hold the flush: for how long that is safe is the server's to say. */
export function heldBack(
  slot: Pick<Slot, 'safeWalBytes'>,
  gaps: readonly Gap[],
  settings: DatabaseSettings,
): TailraceError | undefined {
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

export const inMegabytes = (bytes: number): string => `${Math.max(0, Math.floor(bytes / MEGABYTE))} MB`;

const inWords = (ms: number): string =>
  ms < 120_000
    ? `${Math.round(ms / 1000)} seconds`
    : ms < 7_200_000
      ? `${Math.round(ms / 60_000)} minutes`
      : `${Math.round(ms / 3_600_000)} hours`;
