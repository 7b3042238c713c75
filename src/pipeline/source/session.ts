// One connection's life: from finding the primary to the last byte. What runs while it streams: following.ts.
import type { Client } from 'pg';
import { describeError } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import { walsenderName, walsenderToken, type Walsender } from '../../core/process-life.ts';
import {
  applicationName,
  backendPid,
  closeConnection,
  connectReplication,
  formatTarget,
  type ReplicationConnection,
} from '../../postgres/connection/connection.ts';
import { systemOf, type Primary } from '../../postgres/connection/hosts.ts';
import { connectPrimary, findServer } from '../../postgres/connection/standbys.ts';
import { startReplication, type ReplicationStream } from '../../postgres/replication/stream.ts';
import { transcoderOf } from '../../postgres/encoding/transcoder.ts';
import { isToBeAltered, letStandbysTakeOver } from '../../postgres/preflight/slot-making.ts';
import type { Preflight } from '../../postgres/preflight/preflight.ts';
import { slotKeeper } from '../../postgres/preflight/standby.ts';
import { synchronousFault } from '../../postgres/preflight/synchronous.ts';
import { readUpTo } from './backfill/reconciling.ts';
import { StreamGate } from './backfill/stream-gate.ts';
import { anotherCluster } from './history/plan.ts';
import { follow, tablePorts, type FollowPorts } from './following.ts';
import { join, partWhereFound } from './joining.ts';
import { lastStanding, loggedCluster, noteServer } from './last-server.ts';
import { describingRelations } from './relations.ts';
import { followedLog, openSourceLog, type SourceLog } from './log.ts';
import type { Looking } from './looks.ts';
import type { SourceReady } from './options.ts';
import { assertUnrefuted } from './refuting.ts';
import {
  assertUnmoved,
  prepareDatabase,
  provingServer,
  readHistory,
  type Prepared,
  type ServerHistory,
} from './start.ts';
import { openStreamSource, restingNotes, type ClosableSource } from './spool/opening.ts';
import { streamOptionsOf } from './stream-options.ts';
import { recordStreamed } from './streamed-tables.ts';
import { refreshTables } from './tables.ts';
import { MarkerLoop, mayEmit } from './watch/marker.ts';

export type SessionPorts = FollowPorts & {
  /** Read the stream as the database has its texts: the server could not convert one of them to UTF-8. */
  readonly ownEncoding: boolean;
  /** Have transactions sent while they are in progress, where the server can. */
  readonly inProgress: boolean;
  /** The log that an earlier connection opened. */
  readonly opened: SourceLog | undefined;
  /** Under which the server knows this connection. */
  readonly walsender: Walsender;
  onOpened(opened: SourceLog): void;
  onStreaming(stream: ReplicationStream, ready: SourceReady, walEnd: Lsn): void;
};

/** Resolves once stopped by `signal`; rejects when the connection or the log breaks. */
export async function runSession(ports: SessionPorts): Promise<void> {
  const { options, state, signal, looks } = ports;
  const { settings, logger } = options;
  // Of one host there is nothing to choose: its whole history is compared, later.
  const known = settings.hosts.length > 1 ? lastStanding(options, ports.lines) : {};
  const primary = await findServer(settings, known);
  for (const old of primary.refused)
    ports.lines.say({ level: 'warn', message: describeError(old), fields: { code: old.code } });
  let replication: ReplicationConnection | undefined;
  let beside: Client | undefined;
  try {
    beside = await connectPrimary(settings, primary);
    state.host = formatTarget(primary.target);
    await assertSameCluster(primary.client, ports);
    const prepared = await prepareDatabase({
      ...primary,
      primary: beside,
      settings,
      selections: options.selections,
      walsender: ports.walsender,
      mayRemake: ports.opened !== undefined || loggedCluster(options, ports.lines) !== undefined,
      beforeMaking: (found) => assertNotRefused(primary, found, ports),
      onSlotWait: (wait) => {
        state.waits(wait);
        const { code } = wait;
        ports.lines.say({ level: 'info', message: describeError(wait), fields: { code }, kind: code });
      },
      onEnded: (ended) => {
        state.stallsHealed++;
        logger.warn({ code: ended.code }, ended.message);
      },
      signal,
    });
    const name = walsenderName(ports.walsender, settings.name);
    replication = await connectReplication(settings, primary.target, ports.ownEncoding, name);
    const server = await readHistory(replication);
    const looking = lookingAt(primary, prepared.preflight, server);
    const { opened, plan } = await provingServer(prepared, primary.client, async () => {
      const opened = ports.opened ?? (await openSourceLog(options, state, prepared, server));
      ports.onOpened(opened);
      return { opened, plan: await join({ opened, prepared, server, primary, looking, ports }) };
    });
    const unaltered = primary.inRecovery
      ? undefined
      : await letStandbysTakeOver(replication, settings, prepared.slot);
    const notices = [...prepared.notices, ...(unaltered === undefined ? [] : [unaltered.message])];
    const {
      slot: { failover },
    } = prepared;
    const notes = [...prepared.notes, ...restingNotes(options.settings, ports.inProgress)];
    const known = new Set([...state.notices, ...state.notes]);
    for (const notice of [...notices, ...notes]) if (!known.has(notice)) logger.warn(notice);
    state.notices = notices;
    state.notes = notes;
    const tables = tablePorts(primary, ports);
    if (prepared.published !== undefined) {
      recordStreamed(prepared.published.tables, prepared.published.from, tables);
    }
    await refreshTables(tables);
    const look = await looks.again(looking);
    if (signal.aborted) return;
    const pid = await backendPid(replication.client);
    const { encoding } = prepared.preflight;
    const { ownEncoding } = ports;
    const transcoder = await transcoderOf({ client: primary.client, encoding, ownEncoding });
    const markers = await markersOf(beside ?? primary.client, prepared, ports.walsender);
    opened.feed.onProof = (content) => markers?.came(content);
    const { startLsn } = plan;
    const streamOptions = streamOptionsOf({ startLsn, inProgress: ports.inProgress, prepared, options });
    const stream = await startReplication(replication, streamOptions);
    opened.streamed = true;
    let source: ClosableSource | undefined;
    const { describe, partitions, shapes, looked } = describingRelations({
      opened,
      client: primary.client,
      looking,
      look,
      ports,
    });
    await looked(look);
    try {
      await assertUnmoved(primary.client, settings, plan.confirmed);
      stream.confirm(plan.confirmed);
      const synchronous = await synchronousFault(primary.client, pid, applicationName(settings));
      if (synchronous !== undefined) throw synchronous;
      const ready = { host: primary.target.host, log: followedLog(opened, settings.slot.name, server) };
      noteServer(options, ready, ports.lines);
      ports.onStreaming(stream, ready, server.walEnd);
      state.streams();
      source = openStreamSource(stream, streamOptions, { options, state, opened });
      await follow({
        stream,
        source,
        transcoder,
        opened,
        primary,
        beside,
        pid,
        looking,
        describe,
        partitions,
        shapes,
        looked,
        gate: new StreamGate(opened, startLsn, () => stream.askPosition()),
        markers,
        ports,
        keeper: slotKeeper(settings, {
          serverVersion: prepared.preflight.serverVersion,
          slotFailover: failover === true || (isToBeAltered(settings.slot, prepared.slot) && !unaltered),
        }),
        serverVersion: prepared.preflight.serverVersion,
      });
    } finally {
      source?.close();
      await stream.stop();
      // A disk that is full, or a store that does not answer: then the next connection does that first.
      await partWhereFound(opened, options).catch(() => undefined);
      // Where the server does not answer any more, what was declared already stands.
      await partitions.declareUnseen().catch(() => undefined);
    }
  } finally {
    await closeConnection(primary.client);
    if (beside !== undefined) await closeConnection(beside);
    if (replication !== undefined) await closeConnection(replication.client);
  }
}

/** Nothing is made on a server that is refused at the end, again and again. Where it does not say which it is, that comes later. */
async function assertSameCluster(client: Primary['client'], ports: SessionPorts): Promise<void> {
  const ours = ports.opened?.systemIdentifier ?? loggedCluster(ports.options, ports.lines);
  if (ours === undefined) return;
  const { systemIdentifier: theirs = ours } = await systemOf(client);
  if (theirs !== ours) throw anotherCluster(theirs, ours);
}

async function markersOf(
  client: Primary['client'],
  { preflight: { serverVersion }, slot }: Prepared,
  walsender: Walsender,
): Promise<MarkerLoop | undefined> {
  const isAllowed = await mayEmit(client, serverVersion);
  return isAllowed ? new MarkerLoop(walsenderToken(walsender), slot.confirmedFlush) : undefined;
}

/** Before the log is open nothing is known: what is made then goes again (`provingServer`). */
async function assertNotRefused(
  { client, target }: Primary,
  preflight: Preflight,
  { opened, options, looks }: SessionPorts,
): Promise<void> {
  if (opened === undefined) return;
  const { settings } = options;
  const replication = await connectReplication(settings, target);
  try {
    const server = await readHistory(replication);
    const look = await looks.first(lookingAt({ client }, preflight, server));
    const { name } = settings;
    const readsStandbys = settings.primary !== undefined;
    const { proved } = looks;
    await assertUnrefuted({
      opened,
      preflight,
      server,
      client,
      target,
      name,
      readsStandbys,
      look,
      proved,
      readUpTo: readUpTo(options, opened),
    });
  } finally {
    await closeConnection(replication.client);
  }
}

const lookingAt = (
  primary: Pick<Primary, 'client'>,
  { serverVersion }: Pick<Preflight, 'serverVersion'>,
  server: ServerHistory,
): Looking => ({
  client: primary.client,
  serverVersion,
  server: {
    systemIdentifier: server.systemIdentifier,
    timeline: server.current,
    switches: server.switches,
  },
});
