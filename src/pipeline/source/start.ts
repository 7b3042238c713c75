// What a connection needs before it streams: preflight, publication and slot, and the server's history.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { parseLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { parseTimelineHistory, type TimelineHistory } from '../../core/timeline.ts';
import {
  closeConnection,
  connectOrdinary,
  type ReplicationConnection,
  type Target,
} from '../../postgres/connection/connection.ts';
import { faultOf } from '../../postgres/preflight/finding.ts';
import { identifySystem, inspectTls, preflight, type Preflight } from '../../postgres/preflight/preflight.ts';
import { createPublication, readPublication, walPosition } from '../../postgres/preflight/publication.ts';
import { asksForMessages } from '../../postgres/replication/protocol.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { noticesOf } from './tables.ts';
import type { Selection, TableName } from '../../core/selection.ts';
import { blockingTransactions, createSlot, readSlot, type Slot } from '../../postgres/preflight/slot.ts';

/** How often to say what a slot being made waits for. */
const SLOT_WAIT_NOTICE_MS = 2_000;

export type Prepared = {
  readonly preflight: Preflight;
  readonly slot: Slot;
  readonly slotCreated: boolean;
  /** The tables that the publication was made with, and where the WAL stood then. */
  readonly published: { readonly tables: readonly TableName[]; readonly from: string } | undefined;
  /** Publication partial, TLS unverified: for `status`. */
  readonly notices: readonly string[];
  /** What numbers the row events of a transaction depends on. */
  readonly streamOptions: Readonly<Record<string, string>>;
};

/** Preflight; makes the publication and the slot where that is asked for. Rejects with every fault and its cure. */
export async function prepareDatabase(
  client: Client,
  target: Target,
  settings: DatabaseSettings,
  selections: readonly Selection[],
  onSlotWait: (pids: readonly number[]) => void,
): Promise<Prepared> {
  const found = await preflight(client, settings, selections);
  const fault = faultOf(settings.name, [...found.findings, ...found.tableFindings]);
  if (fault !== undefined) throw fault;
  // The publication first: what is written between the two would not be decodable.
  let { publication } = found;
  let published: Prepared['published'];
  if (publication === undefined) {
    const { states, open: mayBeEmpty } = found.tables;
    const tables = await createPublication(client, settings, { states, mayBeEmpty });
    published = { tables, from: await walPosition(client) };
    publication = await readPublication(client, settings.publication.name);
  }
  const slotCreated = found.slot === undefined;
  if (slotCreated) await makeSlot(client, target, settings, found.serverVersion, onSlotWait);
  const slot = found.slot ?? (await readSlot(client, settings.slot.name));
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
    notices: noticesOf([...found.findings, inspectTls(settings, target)]),
    streamOptions: {
      publication: settings.publication.name,
      via_root: String(publication.viaRoot),
      messages: String(asksForMessages(found.serverVersion)),
    },
  };
}

/** On a connection of its own: it waits for every transaction that runs now, perhaps long. */
async function makeSlot(
  client: Client,
  target: Target,
  settings: DatabaseSettings,
  serverVersion: number,
  onSlotWait: (pids: readonly number[]) => void,
): Promise<void> {
  const maker = await connectOrdinary(settings, target);
  const notice = setInterval(() => {
    blockingTransactions(client).then(onSlotWait, () => undefined);
  }, SLOT_WAIT_NOTICE_MS);
  try {
    await createSlot(maker, settings.slot, serverVersion);
  } finally {
    clearInterval(notice);
    await closeConnection(maker);
  }
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
  return { ...history, systemIdentifier, walEnd: parseLsn(walEnd) ?? ZERO_LSN };
}
