// One backfill while a connection streams: its own session to read by, its tables one after the other, its progress written down.
import type { Client } from 'pg';
import {
  givesWayOf,
  workersOf,
  NO_PROGRESS,
  type Backfill,
  type BackfillTableStatus,
} from '../../../core/backfill.ts';
import { steadyMs, wallTime } from '../../../core/clock.ts';
import { describeError } from '../../../core/errors.ts';
import type { Look } from '../../../core/look.ts';
import { selects, type TableName } from '../../../core/selection.ts';
import { beginReading, type ChunkLimits } from '../../../postgres/backfill/chunk-reader.ts';
import { currentSnapshot } from '../../../postgres/backfill/open-transactions.ts';
import { ReadingConnections } from '../../../postgres/backfill/reading-connections.ts';
import { estimateOf, unknownTable } from '../../../postgres/backfill/requirements.ts';
import { leavesOf } from '../../../postgres/backfill/table.ts';
import { connectOrdinary } from '../../../postgres/connection/connection.ts';
import type { Followed } from '../../../postgres/connection/hosts.ts';
import type { SourceLog } from '../log.ts';
import type { SourceOptions } from '../options.ts';
import type { SourceState } from '../status.ts';
import type { ShapesInUse } from '../used-shapes.ts';
import { maxMessageBytes } from '../stream-options.ts';
import type { LiveFirst } from './live-first.ts';
import { maxChunkRows, ReadRate } from './pace.ts';
import type { Progressing } from './pass.ts';
import { firstPlace, marked, placedIn, type PlacedProgress } from './place.ts';
import { readiness } from './readiness.ts';
import type { StreamGate } from './stream-gate.ts';
import type { StreamedTransactions } from './streamed-transactions.ts';
import type { StreamWatch } from './stream-watch.ts';
import { readTable, type TablePorts } from './table-run.ts';

/** What the backfills of one connection share. */
export type BackfillConnection = {
  readonly options: Pick<
    SourceOptions,
    'settings' | 'store' | 'selections' | 'signals' | 'sinkSlots' | 'withoutUpdates' | 'log' | 'logger'
  >;
  readonly state: SourceState;
  readonly opened: SourceLog;
  readonly followed: Pick<Followed, 'target' | 'inRecovery'>;
  readonly serverVersion: number;
  readonly gate: StreamGate;
  readonly liveFirst: LiveFirst;
  readonly shapes: ShapesInUse | undefined;
  /** The last one that was taken. */
  readonly look: () => Look | undefined;
  readonly logFailed: (error: unknown) => void;
};

export type Watching = { readonly watching: StreamWatch; readonly streamed: StreamedTransactions };

/** Of a chunk's rows in memory: as many chunks are as there are workers, and one that is let in. */
const MAX_CHUNK_BYTES = 4 * 1024 * 1024;
const MAX_CHUNK_ROWS = 20_000;
/** A chunk is to take a part of the time that a statement may. */
const TARGET_SHARE = 0.1;
/** Progress is written down so often. */
const NOTE_INTERVAL_MS = 1_000;

/** Resolves when all its tables are in the log, durably. Rejects with TailraceError or what `pg` throws, or when `signal` aborts. */
export async function runBackfill(
  backfill: Backfill,
  connection: BackfillConnection,
  watch: (client: Client) => Promise<Watching>,
  signal: AbortSignal,
): Promise<void> {
  const { options, opened, followed } = connection;
  const { store, settings } = options;
  const limits = limitsOf(backfill, connection);
  const open = async (): Promise<Client> => {
    const opened = await connectOrdinary(settings, followed.target);
    await beginReading(opened, limits);
    return opened;
  };
  const client = await open();
  const connections = new ReadingConnections(client, {
    most: workersOf(backfill.limits),
    open,
    noMore: (error) => saysFewer(backfill, connection, error),
  });
  const onAbort = (): void => void connections.close();
  signal.addEventListener('abort', onAbort);
  const hasEnded = givesWayOf(backfill.limits) ? connection.liveFirst.begin(backfill.sinks) : undefined;
  try {
    signal.throwIfAborted();
    const { watching, streamed } = await watch(client);
    const tables = backfill.tables ?? setTables(backfill, connection);
    const tellHold = holder(backfill, connection);
    // A fault that has passed, most likely.
    tellHold(undefined);
    const rate = new ReadRate();
    const ready = readiness(backfill, {
      ...connection,
      rate,
      hold: tellHold,
      // What is visible to everybody by now need not be kept any longer: it may be held for hours.
      forget: async () => streamed.shown(await connections.use(currentSnapshot)),
    });
    let missing: TableName | undefined;
    for (const request of tables) {
      if (request.progress.endedAt !== undefined) continue;
      const state = await begin(request, client, connection);
      if (state === undefined) {
        missing ??= request;
        continue;
      }
      const noting = new Noting(backfill, { table: request, state, rate }, connection);
      const ports: TablePorts = {
        id: backfill.id,
        sinks: backfill.sinks,
        client,
        connections,
        gate: connection.gate,
        opened,
        feed: opened.feed,
        signals: options.signals,
        shapes: connection.shapes,
        updatesAreTold: updatesAreTold(backfill, options),
        streamed,
        watching,
        readFrom: followed.inRecovery ? 'standby' : 'primary',
        ...(await serverFacts(client)),
        context: {
          publication: settings.publication.name,
          serverVersion: connection.serverVersion,
          role: settings.username,
        },
        limits,
        ...ready,
        hold: tellHold,
        between: () => noting.now(),
        note: () => noting.write(),
        logFailed: connection.logFailed,
      };
      try {
        const keys = store.backfills.keys(backfill.id, request);
        const gone = store.backfills.gone(backfill.id, request);
        await readTable({ request, keys, gone, state }, ports, signal);
        state.progress = { ...state.progress, endedAt: wallTime().toISOString() };
      } finally {
        // Whoever goes on does so from here, and not from the last second; where that cannot be written, from the log.
        await noting.write().catch((error: unknown) => {
          if (state.progress.endedAt !== undefined) throw error;
        });
      }
    }
    // The others have been read by now.
    if (missing !== undefined) throw await unknownTable(client, missing);
  } finally {
    hasEnded?.();
    signal.removeEventListener('abort', onAbort);
    await connections.close();
  }
}

/** A server that has no connection to spare is read more slowly. */
function saysFewer(
  { id }: Backfill,
  { options: { settings, logger } }: BackfillConnection,
  error: unknown,
): void {
  const { name } = settings;
  const message = `backfill ${id} goes on with the connections that it has: no other could be opened: ${describeError(error)}`;
  logger.warn({ database: name, backfill: id }, message);
}

function limitsOf(backfill: Backfill, { options, liveFirst }: BackfillConnection): ChunkLimits {
  const { queryTimeoutMs, maxRowsPerSecond: rate } = backfill.limits;
  return {
    statementTimeoutMs: queryTimeoutMs,
    targetMs: queryTimeoutMs * TARGET_SHARE,
    maxRows: maxChunkRows(rate === undefined ? undefined : rate / workersOf(backfill.limits), MAX_CHUNK_ROWS),
    maxBytes: MAX_CHUNK_BYTES,
    maxRowBytes: maxMessageBytes(options),
    ...(givesWayOf(backfill.limits) && { mostNow: () => liveFirst.mostRows }),
  };
}

async function serverFacts(client: Client): Promise<Pick<TablePorts, 'walBlockBytes' | 'encoding'>> {
  const { rows } = await client.query<Pick<TablePorts, 'walBlockBytes' | 'encoding'>>(
    `select current_setting('wal_block_size')::int as "walBlockBytes", current_setting('server_encoding') as encoding`,
  );
  return rows[0]!;
}

/** Does every sink that it is for get updates? Else one says nothing of its row, and that is read once more. */
function updatesAreTold(
  { sinks }: Backfill,
  { sinkSlots, withoutUpdates }: BackfillConnection['options'],
): boolean {
  const wanted = sinks.length === 0 ? [...sinkSlots.keys()] : sinks;
  return !wanted.some((name) => withoutUpdates?.has(name) === true);
}

/** All tables that its sinks take, as the publication carries them now. */
function setTables(
  { id, sinks }: Backfill,
  { options, look }: BackfillConnection,
): readonly BackfillTableStatus[] {
  const { selections, sinkSlots, store } = options;
  const wanted = [...sinkSlots.keys()].flatMap((name, i) =>
    sinks.length === 0 || sinks.includes(name) ? (selections[i] ?? []) : [],
  );
  const isWanted = (name: TableName): boolean => wanted.some((selection) => selects(selection, name));
  const tables = (look()?.catalog.tables ?? []).flatMap((carried): readonly TableName[] =>
    isWanted(carried) || carried.above?.some(isWanted) === true
      ? [carried]
      : (carried.partitions ?? []).filter(isWanted),
  );
  const names = tables.map(({ schema, table }) => ({ schema, table }));
  store.backfills.setTables(id, names);
  return names.map((name) => ({ ...name, progress: NO_PROGRESS }));
}

/** Undefined: there is no such table. */
async function begin(
  request: BackfillTableStatus,
  client: Client,
  { opened: { log } }: BackfillConnection,
): Promise<Progressing | undefined> {
  const placed = placedIn(request);
  if (placed !== undefined) return { progress: placed };
  const leaves = await leavesOf(client, request);
  if (leaves === undefined) return undefined;
  const estimatedRows = await estimateOf(client, leaves);
  const progress: PlacedProgress = {
    ...request.progress,
    ...(estimatedRows === undefined ? {} : { estimatedRows }),
    startedAt: wallTime().toISOString(),
    cursor: firstPlace(log.birth.life, log.writtenEnd),
  };
  return { progress };
}

/** Says what keeps a backfill waiting, where that is something else than before. */
function holder(
  { id, heldBy }: Backfill,
  { options: { store } }: BackfillConnection,
): (why: string | undefined) => void {
  let said = heldBy;
  return (why) => {
    if (why !== said) store.backfills.hold(id, why);
    said = why;
  };
}

/** How fast it reads, where it gives way to live changes now. */
function paceOf({ limits }: Backfill, { pace }: LiveFirst, rate: ReadRate): Pick<Backfill, 'pace'> {
  const read = pace === undefined || !givesWayOf(limits) ? undefined : rate.perSecond(steadyMs());
  return read === undefined ? {} : { pace: Math.round(read) };
}

/** Writes the progress of a table into the store, once the log has its rows durably. */
class Noting {
  readonly #backfill: Backfill;
  readonly #table: TableName;
  readonly #state: Progressing;
  readonly #connection: BackfillConnection;
  readonly #rate: ReadRate;
  #atMs = steadyMs();

  constructor(
    backfill: Backfill,
    at: { readonly table: TableName; readonly state: Progressing; readonly rate: ReadRate },
    connection: BackfillConnection,
  ) {
    this.#backfill = backfill;
    this.#table = at.table;
    this.#state = at.state;
    this.#rate = at.rate;
    this.#connection = connection;
  }

  /** Where it is time to. */
  async now(): Promise<void> {
    if (steadyMs() - this.#atMs >= NOTE_INTERVAL_MS) await this.write();
  }

  async write(): Promise<void> {
    const { opened, options, liveFirst } = this.#connection;
    this.#atMs = steadyMs();
    const { progress } = this.#state;
    const end = opened.log.writtenEnd;
    await opened.keeper.sync();
    const noted = { ...progress, cursor: marked(progress.cursor, end) };
    const pace = paceOf(this.#backfill, liveFirst, this.#rate);
    options.store.backfills.note(this.#backfill.id, this.#table, noted, pace);
    // What was appended meanwhile has marks of its own, later.
    const { marks } = noted.cursor;
    this.#state.progress = { ...this.#state.progress, cursor: { ...this.#state.progress.cursor, marks } };
  }
}
