// What a connection needs before it streams: preflight, publication and slot, and the server's history.
import { escapeLiteral, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import type { Walsender } from '../../core/process-life.ts';
import { parseTimelineHistory, type TimelineHistory } from '../../core/timeline.ts';
import type { ReplicationConnection, Target } from '../../postgres/connection/connection.ts';
import { onPrimary } from '../../postgres/connection/standbys.ts';
import { faultOf, isNote } from '../../postgres/preflight/finding.ts';
import { identifySystem } from '../../postgres/connection/identify-system.ts';
import { inspectTls, preflight, type Preflight } from '../../postgres/preflight/preflight.ts';
import { readPublication } from '../../postgres/preflight/publication.ts';
import { createPublication, walPosition } from '../../postgres/preflight/publication-changes.ts';
import { asksForMessages } from '../../postgres/replication/protocol.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { noticesOf } from './tables.ts';
import { freeSlot } from './watch/stale-walsender.ts';
import type { TableName } from '../../core/selection.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import { inspectNamesake, readSlot, SLOT_INVALIDATED, type Slot } from '../../postgres/preflight/slot.ts';
import {
  dropSlot,
  hurryingMaking,
  makeSlot,
  slotBlocker,
  slotWait,
  type SlotMaking,
} from '../../postgres/preflight/slot-making.ts';

export type Prepared = {
  readonly preflight: Preflight;
  readonly slot: Slot;
  readonly slotCreated: boolean;
  /** The tables that the publication was made with, and where the WAL stood then. */
  readonly published: { readonly tables: readonly TableName[]; readonly from: string } | undefined;
  /** Publication partial: for `status`. */
  readonly notices: readonly string[];
  /** TLS unverified: the same, of what is worth knowing and no fault. */
  readonly notes: readonly string[];
  /** What numbers the row events of a transaction depends on. */
  readonly streamOptions: Readonly<Record<string, string>>;
};

export type PreparePorts = {
  readonly client: Client;
  readonly target: Target;
  /** Beside a standby that is read from, where it answers. */
  readonly primary: Client | undefined;
  readonly settings: DatabaseSettings;
  readonly selections: readonly SinkNames[];
  /** The connection that is to read from the slot. */
  readonly walsender: Walsender;
  /** Did a log of ours read from the slot before? Then one that is invalidated is nobody else's to look at. */
  readonly mayRemake: boolean;
  /** Rejects where the server is refused even so: then nothing is made on it, however often it is asked. */
  readonly beforeMaking: (found: Preflight) => Promise<void>;
  /** Told now and again what a slot of ours that is being made waits for. */
  readonly onSlotWait: (wait: TailraceError) => void;
  /** Told that a walsender of ours which still held the slot was ended. */
  readonly onEnded: (ended: TailraceError) => void;
  readonly signal: AbortSignal;
};

/** Preflight; makes the publication and the slot where that is asked for. Rejects with every fault and its cure. */
export async function prepareDatabase(ports: PreparePorts): Promise<Prepared> {
  const { client, target, settings, selections, walsender, onSlotWait, onEnded, signal } = ports;
  const looked = await preflight(client, settings, selections);
  const found = ports.mayRemake ? await withoutDeadSlot(client, looked, settings) : looked;
  const fault = faultOf(settings.name, [...found.findings, ...found.tableFindings]);
  if (fault !== undefined) throw fault;
  const { activePid, beingMade } = found.slot ?? {};
  if (beingMade === true) {
    const blocker = activePid === undefined ? undefined : await slotBlocker(client, activePid);
    throw slotWait(settings.slot.name, blocker);
  }
  // Before there is a log: what another process is sent meanwhile would be missing in it.
  const there =
    activePid === undefined
      ? found.slot
      : await freeSlot({ client, settings, pid: activePid, own: walsender, onEnded });
  if (there === undefined) await ports.beforeMaking(found);
  // The publication first: what is written between the two would not be decodable.
  let { publication } = found;
  let published: Prepared['published'];
  if (publication === undefined) {
    const { states, open: mayBeEmpty } = found.tables;
    const tables = await onPrimary(settings, ports, (plain) =>
      createPublication(plain, settings, { states, mayBeEmpty }),
    );
    published = { tables, from: await walPosition(client) };
    publication = await readPublication(client, settings.publication.name);
  }
  const slotCreated = there === undefined;
  if (slotCreated) {
    const { serverVersion } = found;
    const onWait: Parameters<typeof makeSlot>[0]['onWait'] = (blocker) =>
      onSlotWait(slotWait(settings.slot.name, blocker));
    const isOnStandby = found.inRecovery;
    const making = { client, target, settings, serverVersion, isOnStandby, onWait, signal };
    if (isOnStandby) await makeOnStandby(making, ports.primary);
    else await makeSlot(making);
  }
  const slot = there ?? (await readSlot(client, settings.slot.name));
  if (publication === undefined || slot === undefined) {
    throw new TailraceError(
      `database "${settings.name}": ${slot === undefined ? 'slot' : 'publication'} vanished right after it was made`,
      { code: 'NOT_MADE', kind: 'retryable' },
    );
  }
  return {
    preflight: found,
    slot,
    slotCreated,
    published,
    notices: noticesOf(found.findings.filter((finding) => !isNote(finding))),
    notes: noticesOf([...found.findings, inspectTls(settings, target)].filter(isNote)),
    streamOptions: {
      publication: settings.publication.name,
      via_root: String(publication.viaRoot),
      messages: String(asksForMessages(found.serverVersion)),
      // A transaction during which the publication is altered may be decoded otherwise at its commit.
      ...(settings.slot.streaming !== undefined && { streaming: 'on' }),
    },
  };
}

/** Throws where the primary's slot of the same name is in the way. */
async function makeOnStandby(making: SlotMaking, primary: Client | undefined): Promise<void> {
  const { settings } = making;
  if (primary !== undefined) {
    const fault = faultOf(settings.name, inspectNamesake(await readSlot(primary, settings.slot.name)));
    if (fault !== undefined) throw fault;
  }
  await hurryingMaking(primary, () => makeSlot(making));
}

/**
 * A slot that Postgres has invalidated keeps nothing, and cannot be read from again: each moment without another one makes what is
 * missing larger. It goes where Tailrace makes slots; what it had not delivered is a gap then, as for one that was gone.
 */
async function withoutDeadSlot(
  client: Client,
  found: Preflight,
  { slot: { name, createIfNotExists } }: DatabaseSettings,
): Promise<Preflight> {
  const findings = found.findings.filter(({ code }) => code !== SLOT_INVALIDATED);
  const isDead = findings.length < found.findings.length && found.slot?.activePid === undefined;
  if (!isDead || !createIfNotExists) return found;
  await dropSlot(client, name);
  return { ...found, slot: undefined, findings };
}

/** The server is not the log's. */
const REFUSALS: ReadonlySet<string> = new Set(['HISTORY_PARTED', 'LOG_IDENTITY']);

/**
 * Runs `work`, which proves that server and log belong together. A slot that was made on a server which is refused then goes again: there
 * it would keep WAL for nobody, and once that server's WAL had grown past ours it would hide what was written before the slot was made.
 */
export async function provingServer<T>(
  { slotCreated, slot }: Pick<Prepared, 'slotCreated' | 'slot'>,
  client: Client,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (slotCreated && error instanceof TailraceError && REFUSALS.has(error.code)) {
      await dropSlot(client, slot.name).catch((cause: unknown) => {
        throw new TailraceError(
          `${error.message}; the slot "${slot.name}" that was made there is still there`,
          {
            code: error.code,
            kind: error.kind,
            mend: error.mend,
            hint: `on that server: SELECT pg_drop_replication_slot(${escapeLiteral(slot.name)}); then ${error.hint}`,
            cause,
          },
        );
      });
    }
    throw error;
  }
}

/**
 * Nobody has moved the slot between our look at it and the start of the stream, which has begun by now: the walsender of a process
 * that was killed a moment ago may still have read there what that process had told it. The server would have begun behind it, and
 * said nothing.
 */
export async function assertUnmoved(
  client: Client,
  { name, slot: { name: slotName } }: DatabaseSettings,
  confirmed: Lsn,
): Promise<void> {
  const slot = await readSlot(client, slotName);
  if (slot !== undefined && slot.confirmedFlush <= confirmed) return;
  throw new TailraceError(
    `database "${name}": slot "${slotName}" was moved by somebody else while the stream began`,
    {
      code: 'SLOT_MOVED',
      kind: 'retryable',
      hint: 'Tailrace connects again by itself, and what is missing then is a gap',
    },
  );
}

export type ServerHistory = TimelineHistory & {
  readonly systemIdentifier: string;
  readonly walEnd: Lsn;
};

/** https://www.postgresql.org/docs/current/protocol-replication.html (IDENTIFY_SYSTEM, TIMELINE_HISTORY) */
export async function readHistory(connection: ReplicationConnection): Promise<ServerHistory> {
  const { systemIdentifier, timeline, walEnd } = await identifySystem(connection);
  let history: TimelineHistory = { current: timeline, switches: [] };
  if (timeline > 1) {
    const { rows } = await connection.client.query<{ content: string }>(`TIMELINE_HISTORY ${timeline}`);
    history = parseTimelineHistory(timeline, rows[0]?.content ?? '');
  }
  return { ...history, systemIdentifier, walEnd: readLsn(walEnd) };
}
