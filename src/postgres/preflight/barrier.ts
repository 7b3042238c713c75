// The hosts of `barrier`, for `tailrace doctor`: does each answer, and is it one that replays what is read?
import type { Client } from 'pg';
import { closeConnection, connectReplication, type ReplicationConnection } from '../connection/connection.ts';
import { connectionFault } from '../connection/fault.ts';
import { systemOf, withoutName } from '../connection/hosts.ts';
import { identifySystem } from '../connection/identify-system.ts';
import { standbyOfOtherCluster } from '../connection/standbys.ts';
import { formatTarget, type Target } from '../connection/target.ts';
import type { DatabaseSettings } from '../settings.ts';
import { failed, passed, type Finding } from './finding.ts';

/** A host of `barrier` is of another cluster: it will never replay what is read here. */
export const BARRIER_OTHER_CLUSTER = 'BARRIER_OTHER_CLUSTER';

export const barrierOfOtherCluster = (name: string, target: Target) =>
  standbyOfOtherCluster(name, target, { code: BARRIER_OTHER_CLUSTER, key: 'barrier' });

/** `client`: to the server that is read from. */
export async function inspectBarrier(
  settings: DatabaseSettings,
  client: Client,
): Promise<readonly Finding[]> {
  const { barrier } = settings;
  if (barrier === undefined) return [];
  const { systemIdentifier } = await systemOf(client);
  return Promise.all(barrier.hosts.map((target) => inspectHost(settings, target, systemIdentifier)));
}

/** `ours`: undefined where our role may not know it. */
async function inspectHost(
  settings: DatabaseSettings,
  target: Target,
  ours: string | undefined,
): Promise<Finding> {
  const title = `barrier ${formatTarget(target)}`;
  let connection: ReplicationConnection | undefined;
  try {
    connection = await connectReplication(settings, target);
    const { systemIdentifier, walEnd } = await identifySystem(connection);
    if (ours !== undefined && systemIdentifier !== ours) throw barrierOfOtherCluster(settings.name, target);
    return passed(title, `answers, and is at ${walEnd}`);
  } catch (error) {
    const { code, message, hint } = connectionFault(error, settings, target);
    const detail = `${withoutName(settings.name, message)}: nothing is delivered before it has replayed it`;
    return failed({ code, title, detail, ...(hint !== undefined && { cure: hint }) });
  } finally {
    if (connection !== undefined) await closeConnection(connection.client);
  }
}
