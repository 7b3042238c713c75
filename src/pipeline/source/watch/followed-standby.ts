// While a standby is read from: is it one still? Once it is promoted, a new connection begins in its new history.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { TailraceError } from '../../../core/errors.ts';
import { formatTarget, type Target } from '../../../postgres/connection/target.ts';

const INTERVAL_MS = 500;

export type PromotionPorts = {
  readonly client: Client;
  readonly target: Target;
  readonly name: string;
  /** Was it a standby when the connection began? */
  readonly inRecovery: boolean;
};

type Recovery = { readonly isOver: boolean; readonly timeline: number | null };

/** Rejects once the standby goes on on another timeline: promoted, or behind a primary that was. */
export async function watchPromotion(ports: PromotionPorts, signal: AbortSignal): Promise<void> {
  const { client, inRecovery } = ports;
  if (!inRecovery) return;
  const began = await readRecovery(client);
  while (!signal.aborted) {
    const now = await readRecovery(client);
    if (now.isOver || now.timeline !== began.timeline) throw promoted(ports, now.isOver);
    await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** The timeline is that of the last restart point, or, where our role may see it, of what comes in. */
async function readRecovery(client: Client): Promise<Recovery> {
  const { rows } = await client.query<Recovery>(
    `select not pg_is_in_recovery() as "isOver",
       greatest((select received_tli from pg_stat_wal_receiver),
         case when has_function_privilege('pg_control_checkpoint()', 'execute')
           then (select timeline_id from pg_control_checkpoint()) end) as timeline`,
  );
  return rows[0]!;
}

const promoted = ({ name, target }: PromotionPorts, isOver: boolean): TailraceError =>
  new TailraceError(
    `database "${name}": the standby ${formatTarget(target)} ${isOver ? 'was promoted' : 'follows a primary that was promoted'}`,
    {
      code: 'STANDBY_PROMOTED',
      kind: 'retryable',
      hint: 'Tailrace connects again by itself, and goes on in its new history',
    },
  );
