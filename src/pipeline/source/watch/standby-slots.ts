// Keeps the slot on the standbys of Postgres 16: makes it there, moves it along behind what the primary was told to forget, and
// drops it where a host has left the list. What a failover finds is then a slot that is never ahead of what was delivered.
import { setTimeout as sleep } from 'node:timers/promises';
import { escapeLiteral, type Client } from 'pg';
import type { Logger } from 'pino';
import { aborted } from '../../../core/abort.ts';
import { describeError, TailraceError } from '../../../core/errors.ts';
import { formatLsn, type Lsn } from '../../../core/lsn.ts';
import { closeConnection, connectAsking, connectOrdinary } from '../../../postgres/connection/connection.ts';
import { connectionFault, sqlStateOf } from '../../../postgres/connection/fault.ts';
import {
  isOfSystem,
  isStandby,
  systemOf,
  targetsOf,
  withoutName,
} from '../../../postgres/connection/hosts.ts';
import { standbyOfOtherCluster } from '../../../postgres/connection/standbys.ts';
import { formatTarget, type Target } from '../../../postgres/connection/target.ts';
import { keepStep, maySnapshot, type KeptSlot } from '../../../postgres/preflight/kept-slot.ts';
import { isSameHost } from '../../../postgres/preflight/other-hosts.ts';
import {
  dropSlot,
  hurryingMaking,
  makeSlot,
  type SlotMaking,
} from '../../../postgres/preflight/slot-making.ts';
import { readStandby, type SlotKeeper } from '../../../postgres/preflight/standby.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { StandbySlot, StandbySlots } from '../../../store/standby-slots.ts';
import type { SourceState } from '../status.ts';

const INTERVAL_MS = 10_000;
/** A slot begins where no transaction runs that began before it: one that stays open is waited for in turns. */
const MAKING_LIMIT_MS = 60_000;
/** Hosts that have left the list and do not answer: at every connection, and then in so many rounds. */
const LEFT_ROUNDS = 30;
/** Somebody else moves it right now. */
const IN_USE = '55006';

export type StandbySlotPorts = {
  readonly followed: { readonly client: Client; readonly target: Target };
  /** Undefined: it does not answer. */
  readonly primary: Client | undefined;
  readonly settings: DatabaseSettings;
  readonly serverVersion: number;
  readonly keeper: SlotKeeper | undefined;
  readonly state: SourceState;
  readonly store: Pick<StandbySlots, 'add' | 'forget' | 'list'>;
  readonly logger: Pick<Logger, 'info'>;
  readonly warn: (error: TailraceError) => void;
};

/** Never rejects for what a standby does: the failover that would lose the slot is what the alarm is about. */
export async function keepStandbySlots(ports: StandbySlotPorts, signal: AbortSignal): Promise<void> {
  const { followed, settings, store, state, warn, keeper } = ports;
  // What is read from is nobody's standby any more.
  store.forget(settings.name, recordOf(followed.target, settings));
  if (keeper !== 'tailrace' && store.list(settings.name).length === 0) return;
  const { systemIdentifier } = await systemOf(followed.client);
  try {
    for (let round = 0; !signal.aborted; round++) {
      if (round % LEFT_ROUNDS === 0) await dropLeft(ports, systemIdentifier);
      if (keeper !== 'tailrace') return;
      const others = (await targetsOf(settings)).filter((target) => !isSameHost(target, followed.target));
      const faults = await Promise.all(
        others.map((target) => keepOne(target, systemIdentifier, ports, signal)),
      );
      if (signal.aborted) return;
      state.raise(
        'STANDBY_SLOT',
        faults.find((fault) => fault !== undefined),
        warn,
      );
      await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  } finally {
    state.alarm('STANDBY_SLOT', undefined);
  }
}

const recordOf = (
  { host, port, address, isOneOfSeveral }: Target,
  { slot }: DatabaseSettings,
): StandbySlot => ({
  host,
  port,
  ...(isOneOfSeveral === true && address !== undefined && { address }),
  slot: slot.name,
});

/** Answers what keeps the slot from being there. Who does not answer is said by the watch of the hosts. */
async function keepOne(
  target: Target,
  systemIdentifier: string | undefined,
  ports: StandbySlotPorts,
  signal: AbortSignal,
): Promise<TailraceError | undefined> {
  const { settings, store } = ports;
  let client: Client | undefined;
  try {
    client = await connectAsking(settings, target);
    if (!(await isStandby(client))) return undefined;
    if (!(await isOfSystem(client, systemIdentifier)))
      return standbyOfOtherCluster(settings.name, target, { code: 'STANDBY_SLOT', key: 'hostname' });
    const standby = await readStandby(client, settings.slot.name);
    if (signal.aborted) return undefined;
    const step = keepStep(standby, keptSlot(ports));
    switch (step.step) {
      case 'none':
        return undefined;
      case 'advance':
        store.add(settings.name, recordOf(target, settings));
        await advance(target, step.to, ports, signal);
        return undefined;
      case 'remake':
        await dropSlot(client, settings.slot.name);
        await make(client, target, ports, signal);
        return undefined;
      case 'make':
        await make(client, target, ports, signal);
        return undefined;
      default:
        return step satisfies never;
    }
  } catch (error) {
    if (signal.aborted || client === undefined || sqlStateOf(error) === IN_USE) return undefined;
    return notKept(settings, target, error);
  } finally {
    if (client !== undefined) await closeConnection(client);
  }
}

const keptSlot = ({ settings, state }: StandbySlotPorts): KeptSlot => ({
  name: settings.slot.name,
  database: settings.database,
  flushed: state.flushed,
});

async function make(
  client: Client,
  target: Target,
  { settings, store, serverVersion, primary, logger }: StandbySlotPorts,
  signal: AbortSignal,
): Promise<void> {
  store.add(settings.name, recordOf(target, settings));
  const limit = AbortSignal.timeout(MAKING_LIMIT_MS);
  const making: SlotMaking = {
    client,
    target,
    settings,
    serverVersion,
    isOnStandby: true,
    onWait: () => undefined,
    signal: AbortSignal.any([limit, signal]),
  };
  try {
    const at = await hurryingMaking(primary, () => makeSlot(making));
    logger.info(
      { database: settings.name, host: formatTarget(target), slot: settings.slot.name, lsn: formatLsn(at) },
      'the slot was made on a standby: it takes over there after a failover',
    );
  } catch (error) {
    if (!limit.aborted || signal.aborted) throw error;
    throw await madeTooLong(primary, settings, error);
  }
}

/** It decodes all that is in between, so it takes as long as that takes. */
async function advance(
  target: Target,
  to: Lsn,
  { settings }: StandbySlotPorts,
  signal: AbortSignal,
): Promise<void> {
  const client = await connectOrdinary(settings, target);
  try {
    const advancing = client.query('select pg_replication_slot_advance($1, $2)', [
      settings.slot.name,
      formatLsn(to),
    ]);
    advancing.catch(() => undefined);
    await Promise.race([advancing, aborted(signal)]);
  } finally {
    await closeConnection(client);
  }
}

/** The slots that were made where they are not wanted any more. A server that is a primary now is left alone. */
async function dropLeft(ports: StandbySlotPorts, systemIdentifier: string | undefined): Promise<void> {
  const { settings, store, keeper } = ports;
  const isWanted = ({ host, port, slot }: StandbySlot): boolean =>
    keeper === 'tailrace' &&
    slot === settings.slot.name &&
    settings.hosts.some((listed) => listed.host === host && listed.port === port);
  const left = store.list(settings.name).filter((record) => !isWanted(record));
  await Promise.all(left.map((record) => dropOne(record, ports, systemIdentifier)));
}

async function dropOne(
  record: StandbySlot,
  { settings, store, logger, warn }: StandbySlotPorts,
  systemIdentifier: string | undefined,
): Promise<void> {
  const at = formatTarget(record);
  let client: Client | undefined;
  try {
    client = await connectAsking(settings, record);
    if (!(await isStandby(client)) || !(await isOfSystem(client, systemIdentifier))) {
      warn(stays(settings.name, record, 'it is no standby of this cluster any more'));
    } else {
      const { slot } = await readStandby(client, record.slot);
      if (slot !== undefined) {
        await dropSlot(client, record.slot);
        logger.info({ database: settings.name, host: at, slot: record.slot }, 'the slot was dropped there');
      }
    }
    store.forget(settings.name, record);
  } catch (error) {
    // It is tried again; the host may be gone for good.
    warn(
      stays(
        settings.name,
        record,
        withoutName(settings.name, connectionFault(error, settings, record).message),
      ),
    );
  } finally {
    if (client !== undefined) await closeConnection(client);
  }
}

const stays = (name: string, record: StandbySlot, why: string): TailraceError =>
  new TailraceError(
    `database "${name}": slot "${record.slot}" is not wanted on ${formatTarget(record)} any more, and was not dropped (${why})`,
    {
      code: 'STANDBY_SLOT_LEFT',
      kind: 'retryable',
      hint: `on ${formatTarget(record)}, as long as it runs: SELECT pg_drop_replication_slot(${escapeLiteral(record.slot)});`,
    },
  );

const notKept = (settings: DatabaseSettings, target: Target, error: unknown): TailraceError => {
  const hint =
    error instanceof TailraceError
      ? error.hint
      : `where it cannot be mended: on ${formatTarget(target)}: SELECT pg_drop_replication_slot(${escapeLiteral(settings.slot.name)}); Tailrace then makes it anew`;
  return new TailraceError(
    `database "${settings.name}": slot "${settings.slot.name}" is not kept on the standby ${formatTarget(target)}: ${describeError(error)}`,
    { code: 'STANDBY_SLOT', kind: 'retryable', ...(hint !== undefined && { hint }), cause: error },
  );
};

async function madeTooLong(
  primary: Client | undefined,
  { username }: DatabaseSettings,
  cause: unknown,
): Promise<TailraceError> {
  const allowed = primary === undefined || (await maySnapshot(primary));
  return new TailraceError('it could not be made within a minute, and is tried again', {
    code: 'STANDBY_SLOT',
    kind: 'retryable',
    hint: allowed
      ? 'it waits for transactions that run on the primary: let them end (SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL;)'
      : `on the primary: GRANT EXECUTE ON FUNCTION pg_log_standby_snapshot() TO "${username.replaceAll('"', '""')}";`,
    cause,
  });
}
