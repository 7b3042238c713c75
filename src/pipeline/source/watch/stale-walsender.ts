// Who holds the slot: a walsender of ours that is left over is ended, a process that had our data directory after us stops us, and
// anybody else is waited for. An address proves nothing behind NAT: the proof is role, slot, and the name (core/process-life.ts).
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { steadyMs } from '../../../core/clock.ts';
import { TailraceError } from '../../../core/errors.ts';
import { judgeHolder, type Walsender } from '../../../core/process-life.ts';
import { sqlStateOf } from '../../../postgres/connection/fault.ts';
import { readSlot, type Slot } from '../../../postgres/preflight/slot.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import { slotInUse } from '../../../postgres/slot-in-use.ts';

export type HeldSlot = {
  readonly client: Client;
  readonly settings: DatabaseSettings;
  /** The backend that holds it. */
  readonly pid: number;
  readonly own: Walsender;
  /** Told that a walsender of ours was ended. */
  readonly onEnded: (ended: TailraceError) => void;
};

export const STALE_WALSENDER = 'STALE_WALSENDER';
/** Within that a backend that is ended is gone; it looks for it between any two messages. */
const END_TIMEOUT_MS = 5_000;
const END_POLL_MS = 20;

/** The slot, free, where what holds it is a walsender of ours; else throws the fault that keeps us from it now. */
export async function freeSlot(held: HeldSlot): Promise<Slot | undefined> {
  const { client, settings, pid, onEnded } = held;
  const fault = await faultOf(held);
  if (fault.code !== STALE_WALSENDER) throw fault;
  onEnded(fault);
  // At once, and not at the next try: whoever it served may try, too.
  const untilMs = steadyMs() + END_TIMEOUT_MS;
  for (;;) {
    const slot = await readSlot(client, settings.slot.name);
    if (slot?.activePid === undefined) return slot;
    if (slot.activePid !== pid || steadyMs() > untilMs) {
      throw slotInUse(settings.name, settings.slot.name, { pid: slot.activePid });
    }
    await sleep(END_POLL_MS);
  }
}

async function faultOf({ client, settings, pid, own }: HeldSlot): Promise<TailraceError> {
  const { name, slot } = settings;
  const { rows } = await client.query<{ name: string; started: string }>(
    `select application_name as name, backend_start::text as started from pg_stat_activity
     where pid = $1 and usename = current_user`,
    [pid],
  );
  const [held] = rows;
  const holder = held === undefined ? 'foreign' : judgeHolder(held.name, own);
  switch (holder) {
    case 'foreign':
      return slotInUse(name, slot.name, { pid });
    case 'newer':
      return copied(settings, pid);
    case 'stale':
      return (await endBackend(client, slot.name, { pid, ...held! }))
        ? ended(settings, pid)
        : slotInUse(name, slot.name, { pid });
    default:
      return holder satisfies never;
  }
}

/** By all that proved it, at once: another may have the slot, or the process id, a moment later. */
async function endBackend(
  client: Client,
  slot: string,
  { pid, name, started }: { readonly pid: number; readonly name: string; readonly started: string },
): Promise<boolean> {
  try {
    const { rows } = await client.query<{ ended: boolean }>(
      `select pg_terminate_backend(a.pid) as ended
       from pg_stat_activity a join pg_replication_slots s on s.active_pid = a.pid
       where s.slot_name = $1 and a.pid = $2 and a.application_name = $3 and a.backend_start::text = $4
         and a.usename = current_user`,
      [slot, pid, name, started],
    );
    // Gone by itself meanwhile: as good.
    return rows[0]?.ended ?? true;
  } catch (error) {
    // A role that may not end its own backends: it is waited for, and the hint says how to end it.
    if (sqlStateOf(error) === '42501') return false;
    throw error;
  }
}

const ended = ({ name, slot }: DatabaseSettings, pid: number): TailraceError =>
  new TailraceError(
    `database "${name}": a connection of ours that is over still held slot "${slot.name}" (process ${pid}): it was ended`,
    { code: STALE_WALSENDER, kind: 'retryable', hint: 'Tailrace connects again by itself' },
  );

const copied = ({ name, slot }: DatabaseSettings, pid: number): TailraceError =>
  new TailraceError(
    `database "${name}": slot "${slot.name}" is read by a process that has this data directory, or a copy of it, since after this one started (process ${pid} of the server)`,
    {
      code: 'DATA_DIRECTORY_COPIED',
      kind: 'fatal',
      mend: 'restart',
      hint: 'of two copies of a data directory only one may run: keep the one that reads now, and give the other a slot and a directory of its own; if this directory was restored from a backup, start it again once that process is gone',
    },
  );
