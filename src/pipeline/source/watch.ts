// Looks after a running stream from the side: synchronous role, slot health, what holds WAL back, and whether anything moves at all.
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError, type Client } from 'pg';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import { applicationName } from '../../postgres/connection/connection.ts';
import { alarmOf } from '../../postgres/preflight/finding.ts';
import { walPosition } from '../../postgres/preflight/publication-changes.ts';
import { inspectSlot, readSlot } from '../../postgres/preflight/slot.ts';
import { synchronousFault } from '../../postgres/preflight/synchronous.ts';
import { CONNECTION_SILENT } from '../../postgres/replication/protocol.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { FlushKeeper } from './flush.ts';
import { emitMarker } from './watch/marker.ts';
import { OldTransactionWatch } from './watch/old-transaction.ts';
import { heldBack, idleTimeout, nearLimit, readSlotLimits } from './watch/slot-limits.ts';
import { StallWatch, type StallPorts } from './watch/stall-watch.ts';

const SERVER_INTERVAL_MS = 2_000;

export type WatchPorts = StallPorts & {
  readonly keeper: Pick<FlushKeeper, 'synchronous'>;
  /** Where markers are written: the primary, where a standby is followed. */
  readonly writer: Client;
};

/** Asks the server now and then. Rejects when it no longer answers, and where only a new connection helps. */
export async function watchServer(ports: WatchPorts, signal: AbortSignal): Promise<void> {
  const { settings } = ports;
  const stalls = new StallWatch(ports);
  const transactions = new OldTransactionWatch(ports);
  try {
    while (!signal.aborted) {
      await sleep(SERVER_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      await answered(look(ports, stalls, transactions), settings, signal);
    }
  } finally {
    stalls.end();
  }
}

async function look(ports: WatchPorts, stalls: StallWatch, transactions: OldTransactionWatch): Promise<void> {
  const { client, settings, state, keeper } = ports;
  const raise = (code: string, alarm: TailraceError | undefined): void => {
    state.raise(code, alarm, ports.warn);
  };
  const synchronous = await synchronousFault(client, ports.pid, applicationName(settings));
  keeper.synchronous = synchronous !== undefined;
  raise('SYNCHRONOUS', synchronous);
  const slot = await readSlot(client, settings.slot.name);
  const finding = slot && inspectSlot(slot, settings);
  const unwell = finding === undefined || finding.ok ? undefined : alarmOf(settings.name, finding);
  // From here on the alarm says how it is: what was seen before the stream began may be over.
  if (finding !== undefined) {
    state.notices = state.notices.filter((notice) => !notice.startsWith(`${finding.title}: `));
  }
  raise('SLOT', unwell);
  raise('GAP_HOLDS_WAL', slot && heldBack(slot, state.gaps, settings));
  if (slot === undefined) return;
  const limits = await readSlotLimits(client);
  raise('SLOT_LIMIT_NEAR', nearLimit(slot, limits, settings));
  raise('SLOT_IDLE_TIMEOUT', idleTimeout(limits, settings));
  const walEnd = readLsn(await walPosition(client));
  await prove(ports, walEnd);
  raise('TRANSACTION_HOLDS_WAL', await transactions.look(slot, steadyMs()));
  await stalls.look({ slot, walEnd, nowMs: steadyMs() });
}

/** The loop from the server's WAL through the log and back to what it may forget (architecture §4). */
async function prove({ client, writer, keeper, markers, settings }: WatchPorts, walEnd: Lsn): Promise<void> {
  const limitMs = settings.receiveTimeoutMs;
  const due = markers?.due({ nowMs: steadyMs(), limitMs, walEnd, flushed: keeper.flushed });
  if (due === undefined) return;
  // It may come before the server has answered where it stands.
  markers!.emits(due, steadyMs());
  try {
    markers!.emitted(await emitMarker(writer, due));
  } catch (error) {
    // A primary that goes away takes the standby that is read from along, or does not.
    if (writer === client && !(error instanceof DatabaseError)) throw error;
    markers!.refused();
  }
}

/** A connection that a network swallows gives no error: whoever waits for it waits for ever. */
async function answered(work: Promise<void>, settings: DatabaseSettings, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const limit = sleep(settings.receiveTimeoutMs, 'late' as const, {
    signal: AbortSignal.any([done.signal, signal]),
    ref: false,
  }).catch(() => undefined);
  const first = await Promise.race([work, limit]).finally(() => done.abort());
  if (first !== 'late') return work;
  work.catch(() => undefined);
  throw new TailraceError(
    `database "${settings.name}": a query got no answer for ${settings.receiveTimeoutMs} ms`,
    {
      code: CONNECTION_SILENT,
      kind: 'retryable',
      hint: 'Tailrace connects again by itself; if this repeats, look at the network, and at what the server is busy with',
    },
  );
}
