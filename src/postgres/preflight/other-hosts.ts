// Looks at the hosts beside the primary that is followed: standbys and what they have of the slot, and primaries that should be none.
import type { Client } from 'pg';
import type { TailraceError } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import { closeConnection, connectAsking } from '../connection/connection.ts';
import { connectionFault } from '../connection/fault.ts';
import {
  isBehind,
  isOfSystem,
  isStandby,
  oldPrimary,
  readStanding,
  systemOf,
  targetsOf,
  withoutName,
  type Primary,
  type Standing,
} from '../connection/hosts.ts';
import { standbyOfOtherCluster } from '../connection/standbys.ts';
import { formatTarget, type Target } from '../connection/target.ts';
import type { DatabaseSettings } from '../settings.ts';
import { failed, warned, type Finding } from './finding.ts';
import type { Slot } from './slot.ts';
import { inspectKeptSlot, inspectSnapshotRight, retainedBytes } from './kept-slot.ts';
import { inspectStandby, readStandby, slotKeeper, type SlotKeeper } from './standby.ts';
import { inspectSynchronizedStandbys, readSynchronizedStandbys } from './synchronized-standbys.ts';

export type OtherHost = { readonly target: Target } & (
  | ({ readonly role: 'primary' } & Standing)
  /** `findings`: what it has of the slot; none where the slot is not one that standbys take over. `retainedBytes`: WAL that it keeps for it. */
  | {
      readonly role: 'standby';
      readonly findings: readonly Finding[];
      readonly retainedBytes?: number | undefined;
    }
  | { readonly role: 'fault'; readonly fault: TailraceError }
);

/** A slot that standbys take over, and up to where it was told to forget. */
export type FailoverSlot = { readonly name: string; readonly flushed: Lsn; readonly keeper: SlotKeeper };

/** All at once. Never rejects. */
export async function lookAtOthers(
  settings: DatabaseSettings,
  followed: { readonly target: Target } & Pick<Standing, 'systemIdentifier'>,
  slot: FailoverSlot | undefined,
): Promise<readonly OtherHost[]> {
  const targets = await targetsOf(settings);
  const others = targets.filter((target) => !isSameHost(target, followed.target));
  return Promise.all(others.map((target) => lookAt(settings, { target, slot, followed })));
}

export const isSameHost = (one: Target, other: Target): boolean =>
  one.port === other.port && (one.address ?? one.host) === (other.address ?? other.host);

async function lookAt(
  settings: DatabaseSettings,
  looking: {
    readonly target: Target;
    readonly slot: FailoverSlot | undefined;
    readonly followed: Pick<Standing, 'systemIdentifier'>;
  },
): Promise<OtherHost> {
  const { target, slot, followed } = looking;
  let client: Client | undefined;
  try {
    client = await connectAsking(settings, target);
    if (!(await isStandby(client))) return { target, role: 'primary', ...(await readStanding(client)) };
    if (slot === undefined) return { target, role: 'standby', findings: [] };
    if (!(await isOfSystem(client, followed.systemIdentifier))) {
      const where = { code: 'STANDBY_NOT_READY', key: 'hostname' } as const;
      const fault = standbyOfOtherCluster(settings.name, target, where);
      return { target, role: 'standby', findings: [findingOf(settings.name, fault)] };
    }
    const state = await readStandby(client, slot.name);
    const at = formatTarget(target);
    const findings =
      slot.keeper === 'postgres'
        ? inspectStandby(at, state, slot.name, slot.flushed)
        : inspectKeptSlot(at, state, { ...slot, database: settings.database });
    return {
      target,
      role: 'standby',
      findings,
      ...(state.slot !== undefined && { retainedBytes: retainedBytes(state) }),
    };
  } catch (error) {
    return { target, role: 'fault', fault: connectionFault(error, settings, target) };
  } finally {
    if (client !== undefined) await closeConnection(client);
  }
}

/** For `tailrace doctor`. */
export async function inspectOthers(
  { client, target, refused }: Primary,
  settings: DatabaseSettings,
  { slot, serverVersion }: { readonly slot: Slot | undefined; readonly serverVersion: number },
): Promise<readonly Finding[]> {
  if (settings.hosts.length < 2) return [];
  const keeper = slot && slotKeeper(settings, { serverVersion, slotFailover: slot.failover });
  const others = await lookAtOthers(
    settings,
    { target, ...(await systemOf(client)) },
    keeper && { name: slot.name, flushed: slot.confirmedFlush, keeper },
  );
  return [
    ...refused.map((fault) => findingOf(settings.name, fault)),
    ...others.flatMap((other): readonly Finding[] => {
      switch (other.role) {
        case 'primary':
          return [];
        case 'standby':
          return other.findings;
        case 'fault':
          return [
            warned({
              code: 'HOST_UNREACHABLE',
              title: `host ${formatTarget(other.target)}`,
              detail: `it cannot be asked: ${withoutName(settings.name, other.fault.message)}`,
              cure: other.fault.hint ?? 'start it, or take it out of databases[].hostname',
            }),
          ];
        default:
          return other satisfies never;
      }
    }),
    ...(keeper === 'postgres' ? inspectSynchronizedStandbys(await readSynchronizedStandbys(client)) : []),
    ...(keeper === 'tailrace' ? [await inspectSnapshotRight(client, settings)] : []),
  ];
}

const findingOf = (name: string, fault: TailraceError): Finding =>
  failed({
    code: fault.code,
    title: 'hosts',
    detail: withoutName(name, fault.message),
    ...(fault.hint !== undefined && { cure: fault.hint }),
  });

/** What the other hosts mean for the one that is followed. Pure. */
export type OthersVerdict = {
  /** It is on a higher timeline: what is followed is the old one. */
  readonly newer: TailraceError | undefined;
  readonly old: TailraceError | undefined;
  /** A failover now would lose the slot. */
  readonly unready: Finding | undefined;
};

export function judgeOthers(
  name: string,
  others: readonly OtherHost[],
  followed: Standing & { readonly target: Target },
  slot: FailoverSlot | undefined,
): OthersVerdict {
  const primaries = others.filter((other) => other.role === 'primary');
  const newer = primaries.find((other) => isBehind(followed, other));
  const old = primaries.find((other) => isBehind(other, followed));
  return {
    newer: newer && oldPrimary(name, followed, newer),
    old: old && oldPrimary(name, old, followed),
    unready: slot && unreadyOf(name, others, slot.name),
  };
}

/** Of several standbys any may be the one that is promoted. */
function unreadyOf(name: string, others: readonly OtherHost[], slotName: string): Finding | undefined {
  const standbys = others.filter((other) => other.role === 'standby');
  const unready = standbys.flatMap(({ findings }) => findings.filter(({ ok }) => !ok));
  if (unready.length > 0) return mostTelling(unready);
  if (standbys.length > 0) return undefined;
  const faults = others.flatMap((other) =>
    other.role === 'fault' ? [withoutName(name, other.fault.message)] : [],
  );
  if (faults.length === 0) return undefined;
  return warned({
    code: 'STANDBY_NOT_READY',
    title: 'failover',
    detail: `a failover now would lose slot "${slotName}": no standby answers (${faults.join('; ')})`,
    cure: 'start a standby, or take the hosts that are gone out of databases[].hostname',
  });
}

/** That the slot would be lost, with the cure of the first reason that has one of its own. */
function mostTelling(findings: readonly Finding[]): Finding | undefined {
  const [first] = findings;
  const setting = findings.find(({ code }) => code === 'STANDBY_SETTING');
  if (first === undefined || setting === undefined || first === setting) return first;
  return {
    ...first,
    detail: `${first.detail} (${setting.detail})`,
    ...(setting.cure !== undefined && { cure: setting.cure }),
  };
}
