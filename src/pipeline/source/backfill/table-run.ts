// Reads one table of a backfill: each of its partitions in turn, what comes and goes meanwhile, and from where it was left.
import type { Client } from 'pg';
import type { BackfillTableStatus } from '../../../core/backfill.ts';
import { TailraceError } from '../../../core/errors.ts';
import { formatTableName } from '../../../core/selection.ts';
import {
  ChunkReader,
  type ChunkLimits,
  type ReadingContext,
} from '../../../postgres/backfill/chunk-reader.ts';
import { TABLE_GONE } from '../../../postgres/backfill/faults.ts';
import { requireConditions } from '../../../postgres/backfill/requirements.ts';
import { requireKeyUsable } from '../../../postgres/backfill/rights.ts';
import {
  leavesOf,
  readBackfillTable,
  TABLE_NOT_PUBLISHED,
  type BackfillTable,
} from '../../../postgres/backfill/table.ts';
import { describeWithLineage } from '../../../postgres/catalog.ts';
import { walEnd } from '../../../postgres/preflight/slot.ts';
import type { LogSignals } from '../../../log/signals.ts';
import type { LogFeed } from '../feed.ts';
import type { ShapesInUse } from '../used-shapes.ts';
import { lastEnd } from './admission.ts';
import { noted } from './appending.ts';
import { describeReads } from './chunk-block.ts';
import { Pass, type PassedTable, type PassOutcome, type PassPorts, type Progressing } from './pass.ts';
import { maxChunkPages } from './pace.ts';
import { continues, restingOn, type LeafPlace } from './place.ts';
import type { StreamWatch } from './stream-watch.ts';
import { TableWatch } from './table-watch.ts';
import { movedUnwatched } from './unwatched.ts';

export type TablePorts = PassPorts & {
  /** For what is asked while nothing is read. */
  readonly client: Client;
  readonly context: ReadingContext;
  /** The database's. */
  readonly encoding: string;
  readonly limits: ChunkLimits;
  readonly watching: StreamWatch;
  readonly feed: Pick<LogFeed, 'messageOf'>;
  readonly signals: LogSignals;
  /** Undefined: nobody wants to know how rows looked. */
  readonly shapes: Pick<ShapesInUse, 'read' | 'lookAbove'> | undefined;
  /** Do all who get the rows get updates of them, too? */
  readonly updatesAreTold: boolean;
  /** Writes the progress down, durably. */
  note(): Promise<void>;
};

export type RunTable = {
  readonly request: BackfillTableStatus;
  readonly keys: PassedTable['keys'];
  readonly gone: PassedTable['gone'];
  readonly state: Progressing;
};

/** Until all of it is in the log. Rejects with TailraceError or what `pg` throws, or when `signal` aborts. */
export async function readTable(run: RunTable, ports: TablePorts, signal: AbortSignal): Promise<void> {
  const { request, state } = run;
  const name = formatTableName(request);
  for (;;) {
    const leaves = await leavesOf(ports.client, request);
    // One that was attached meanwhile came with rows that the stream does not bring.
    const left = leaves?.filter((oid) => !state.progress.cursor.done.includes(oid)) ?? [];
    if (left.length === 0) {
      await restOnCatalog(run, ports, signal);
      if (leaves === undefined) note(state, `${name} is not there any more`);
      return;
    }
    const begun = state.progress.cursor.leaf?.oid;
    for (const oid of left.toSorted((a, b) => Number(b === begun) - Number(a === begun))) {
      const { last } = state.progress.cursor;
      try {
        await readLeaf(oid, run, ports, signal);
      } catch (error) {
        // What was detached has gone with its rows.
        if (!isCode(error, TABLE_NOT_PUBLISHED) || (await leavesOf(ports.client, request))?.includes(oid))
          throw error;
      }
      // Without a chunk: it is gone, or has no pages.
      if (state.progress.cursor.last === last) await restOnCatalog(run, ports, signal);
      const { cursor } = state.progress;
      const { leaf: _read, ...place } = cursor;
      state.progress = { ...state.progress, cursor: { ...place, done: [...cursor.done, oid] } };
    }
  }
}

/** That it has no more to read may be said by what is lost with its history, too. As a chunk's, it counts once the stream has come so far. */
async function restOnCatalog({ state }: RunTable, ports: TablePorts, signal: AbortSignal): Promise<void> {
  const { client, gate, walBlockBytes, opened } = ports;
  const lsn = await walEnd(client);
  const end = lastEnd(lsn, walBlockBytes);
  await gate.between(() => (gate.reached >= end ? true : undefined), signal);
  const { progress } = state;
  state.progress = { ...progress, cursor: restingOn(progress.cursor, { epoch: opened.epoch, lsn }) };
}

/** As long as the catalog says something else of it each time, it is looked at again. */
async function readLeaf(oid: number, run: RunTable, ports: TablePorts, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const table = await readBackfillTable(ports.client, oid, ports.context);
    if (table === undefined) return;
    const where = await requireConditions(ports.client, table, run.request);
    await requireKeyUsable(ports.client, table, ports.context.role);
    place(table, run.state);
    // Known to be begun before anything of it is in the log.
    await ports.note();
    try {
      const outcome = await passOver({ table, where }, run, ports, signal);
      if (outcome === 'read') return;
    } catch (error) {
      if (!isCode(error, TABLE_GONE)) throw error;
    }
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof TailraceError && error.code === code;

/** Where the place that is known is this table's as it is now, it goes on there; else from the beginning. */
function place(table: BackfillTable, state: Progressing): void {
  const { progress } = state;
  const { leaf } = progress.cursor;
  if (continues(leaf, table)) return;
  if (leaf?.oid === table.oid) return beginAnew(table, state, 'was rewritten, or has another key');
  state.progress = { ...progress, cursor: { ...progress.cursor, leaf: beginningOf(table) } };
}

const beginningOf = ({ oid, key, fileNode }: BackfillTable): LeafPlace => ({ oid, key, fileNode, again: [] });

function beginAnew(table: BackfillTable, state: Progressing, why: string): void {
  const { progress } = state;
  const { cursor } = progress;
  state.progress = {
    ...progress,
    restarts: progress.restarts + 1,
    notes: noted(progress.notes, `${formatTableName(table)} ${why}: it was read again`),
    // Its rows may be known by what others were known by.
    cursor: { ...cursor, leaf: beginningOf(table), turn: cursor.turn + 1 },
  };
}

async function passOver(
  { table, where }: { readonly table: BackfillTable; readonly where: string | undefined },
  { request, keys, gone, state }: RunTable,
  ports: TablePorts,
  signal: AbortSignal,
): Promise<PassOutcome> {
  const { client, context, encoding, limits, watching, gate, feed, opened, shapes } = ports;
  const { relation } = table;
  const indexes = table.key.map(({ name }) => relation.columns.findIndex((column) => column.name === name));
  const isTold = indexes.length > 0 && !indexes.includes(-1);
  const watch = new TableWatch(isTold ? table.key.map(({ name }) => name) : [], ports);
  const described = await describeWithLineage(client, relation, context);
  await shapes?.lookAbove(described.enrichment, undefined);
  const what: PassedTable = {
    name: { schema: request.schema, table: request.table },
    table,
    keys,
    gone,
    watch,
    keyIndexes: isTold ? indexes : [],
    describe: () => {
      const { lastCommitLsn: commitLsn } = opened.log.context;
      const before = shapes?.read(relation, described, { epoch: opened.epoch, commitLsn });
      return describeReads(
        gone.length === 0 ? relation : knownByKey(table),
        { ...described.enrichment, ...before },
        { hasPlaces: table.key.length === 0 },
      );
    },
    reader: new ChunkReader(
      { table, where },
      {
        context,
        encoding,
        limits: table.key.length > 0 ? limits : inPages(limits),
      },
    ),
  };
  const { log } = opened;
  const noteWatched = (): void => {
    // Rows that are to be read once more are in no progress yet.
    if (watch.hasMovedInPart) return;
    const { progress } = state;
    state.progress = { ...progress, cursor: { ...progress.cursor, watchedTo: log.writtenEnd } };
  };
  await gate.atRest(() => watching.watch(relation.id, watch, feed.messageOf(relation.id)));
  try {
    if (isTold) await makeUpFor(table, state, ports);
    noteWatched();
    const between = (): Promise<void> => {
      noteWatched();
      return ports.between();
    };
    return await new Pass(what, state, { ...ports, between }).run(signal);
  } finally {
    watching.unwatch(relation.id, watch);
  }
}

const inPages = ({ maxRows, mostNow = () => Infinity, ...limits }: ChunkLimits): ChunkLimits => ({
  ...limits,
  maxRows: maxChunkPages(maxRows),
  mostNow: () => maxChunkPages(mostNow()),
});

/** Of a row that is gone its key is all that is known, whatever the stream would send of it. */
const knownByKey = ({ relation, key }: BackfillTable): BackfillTable['relation'] => ({
  ...relation,
  replicaIdentity: 'index',
  columns: relation.columns.map((column) => ({
    ...column,
    identity: key.some(({ name }) => name === column.name),
  })),
});

/** What came since the table was read last, and was told to nobody. */
async function makeUpFor(table: BackfillTable, state: Progressing, ports: TablePorts): Promise<void> {
  const { cursor } = state.progress;
  const { leaf, watchedTo } = cursor;
  if (leaf?.cursor === undefined) return;
  // Without large values no change leaves one out.
  if (table.largeBytes === 0 && ports.updatesAreTold) return;
  const { opened, signals, updatesAreTold } = ports;
  const moved = await movedUnwatched(
    { directory: opened.directory, signals },
    {
      relationId: table.relation.id,
      key: table.key.map(({ name }) => name),
      updatesAreTold,
      partings: opened.log.partings,
    },
    { offset: watchedTo, end: opened.log.writtenEnd },
  );
  if (moved === undefined) {
    beginAnew(table, state, 'was not read for longer than the log goes back');
    return;
  }
  const again = [...leaf.again, ...moved];
  state.progress = { ...state.progress, cursor: { ...cursor, leaf: { ...leaf, again } } };
}

function note(state: Progressing, text: string): void {
  state.progress = { ...state.progress, notes: noted(state.progress.notes, text) };
}
