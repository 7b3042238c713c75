// The fault of a slot that somebody else streams from: whoever it is may end, so it passes by itself.
import { escapeLiteral } from 'pg';
import { TailraceError } from '../core/errors.ts';

export function slotInUse(
  database: string,
  slot: string,
  /** Who has it, or what the server said of that. */
  {
    pid,
    said = `slot "${slot}" is in use by process ${pid}`,
  }: { readonly pid?: number; readonly said?: string },
): TailraceError {
  const end =
    pid === undefined
      ? `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = ${escapeLiteral(slot)};`
      : `SELECT pg_terminate_backend(${pid});`;
  return new TailraceError(`database "${database}": ${said}`, {
    code: 'SLOT_IN_USE',
    kind: 'retryable',
    hint: `another process streams from slot "${slot}": stop it, or ${end} Tailrace takes over when the slot is free`,
  });
}
