// Operations on a running service's sinks, as API and command line offer them: names in, typed answers or errors out.
import { wallTime } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Gap } from '../../core/gaps.ts';
import { readLsn } from '../../core/lsn.ts';
import { isLost, NO_PARTINGS, type Partings } from '../../core/partings.ts';
import type { Position } from '../../core/position.ts';
import type { SinkStatus, WantedStatus } from '../../core/status.ts';
import type { DeadLetterFilter, DeadLetterSummary, StoredDeadLetter } from '../../store/dead-letters.ts';
import type { OrphanRecord, PartingRecord } from '../../store/partings.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { ServiceSettings } from '../settings.ts';
import type { RewindTarget, SinkReply, SinkRequest } from '../sink/requests.ts';
import type { SinkThread } from '../sink/thread.ts';
import { createBackfillControl, type BackfillControl, type BackfillPorts } from './backfills.ts';
import { gapDocument, type GapDocument } from './gap-document.ts';
import { createRepairControl, type RepairControl } from './repairs.ts';
import { createRowRewindControl, type RowRewindControl } from './row-rewinds.ts';
import type { Topology } from './topology.ts';

type RewindReply = SinkReply<Extract<SinkRequest, { type: 'rewind' }>>;

export type Page = { readonly after?: number; readonly limit: number };

/** Errors: DATABASE_UNKNOWN, GAP_UNKNOWN, SINK_UNKNOWN, SINK_AMBIGUOUS, SINK_NOT_READY, DEAD_LETTER_UNKNOWN, and what the sink refuses with. */
export interface ServiceControl {
  /** Of a database, all that were ever declared, oldest first. */
  gaps(database: string, page: Page): readonly GapDocument[];
  gap(database: string, id: number): GapDocument;
  /** Sinks that halted because of it go on. Durable when it returns. */
  acceptGap(database: string, id: number): GapDocument;
  readonly backfills: BackfillControl;
  readonly repairs: RepairControl;
  readonly rowRewinds: RowRewindControl;
  /** Of a database, where its server's history parted from the log's, oldest first, with what that meant to each sink. */
  partings(database: string): readonly PartingRecord[];
  /** Changes that were delivered, and that the server's history does not have. */
  orphans(database: string, page: Page): readonly OrphanRecord[];
  /** Its source reads on until all is delivered, and no further; `undo`: it reads on. Durable when it returns. */
  drain(database: string, how: { readonly undo: boolean }): void;
  sinks(): readonly SinkStatus[];
  /** `name` or `database/name`. */
  find(name: string, database?: string): SinkId;
  sink(id: SinkId): SinkStatus;
  /**
   * Resolves once the sink does so, with what was in flight answered, or timed out by the sink, unless `now`: then it is aborted,
   * and sent again later. Remembered over restarts.
   */
  setStatus(id: SinkId, status: WantedStatus, how?: { readonly now: boolean }): Promise<void>;
  rewind(id: SinkId, to: RewindTarget): Promise<RewindReply>;
  deadLetters(id: SinkId, filter: DeadLetterFilter, page: Page): readonly DeadLetterSummary[];
  deadLetter(id: SinkId, letter: number): StoredDeadLetter;
  discard(id: SinkId, filter: DeadLetterFilter): { readonly discarded: number };
  /** Says of a change whether it is one that the server's history does not have any more. */
  lostIn(database: string): (position: Position) => boolean;
  /**
   * Letters are sent when the sink runs; `perSecond` undefined: as fast as they go. Those of a history that is lost are withheld,
   * unless they are forced.
   */
  replay(
    id: SinkId,
    filter: DeadLetterFilter,
    how: { readonly perSecond?: number | undefined; readonly force?: boolean },
  ): Promise<{ readonly replaying: number; readonly withoutPayload: number; readonly withheld: number }>;
}

export type ControlPorts = {
  readonly store: Store;
  readonly topology: Pick<Topology, 'databases' | 'sinks' | 'startAs' | 'backfillsChanged'> & {
    threadOf(id: SinkId): Pick<SinkThread, 'request'> | undefined;
  };
  readonly settings: Pick<ServiceSettings, 'databases' | 'sinks'>;
  /** Undefined: the server is looked at. */
  readonly checkBackfill?: BackfillPorts['check'];
  /** What the configuration says. */
  readonly configuredStatus: (id: SinkId) => WantedStatus;
};

export function createControl(ports: ControlPorts): ServiceControl {
  const { store, topology, settings, configuredStatus } = ports;
  const sinks = (): readonly SinkStatus[] => topology.sinks();
  const statusOf = ({ database, sink }: SinkId): SinkStatus | undefined =>
    sinks().find((status) => status.database === database && status.name === sink);
  const threadOf = (id: SinkId): Pick<SinkThread, 'request'> | undefined => topology.threadOf(id);
  const known = (database: string): string =>
    topology.databases().some(({ name }) => name === database) ? database : fail(unknownDatabase(database));
  const publicationOf = (database: string): string =>
    topology.databases().find(({ name }) => name === database)!.publication;
  const documentOf = (database: string, gap: Gap): GapDocument =>
    gapDocument(gap, { name: database, publication: publicationOf(database) }, store);
  const partingsOf = (database: string): Partings =>
    store.partings.list(database).map(({ epoch, lsn }) => ({ epoch, lsn: readLsn(lsn) }));
  const gapWith = (database: string, id: number): Gap =>
    store.gaps.find(known(database), id) ?? fail(unknownGap(database, id));
  const databaseWith = (name: string): DatabaseSettings =>
    settings.databases.find((database) => database.name === name) ?? fail(unknownDatabase(name));
  const runningThread = (id: SinkId): Pick<SinkThread, 'request'> => threadOf(id) ?? fail(notReady(id));
  const backfills = createBackfillControl({
    backfills: store.backfills,
    database: databaseWith,
    sinks: settings.sinks,
    statuses: sinks,
    changed: (database) => topology.backfillsChanged(database),
    check: ports.checkBackfill,
  });
  return {
    gaps: (database, { after = 0, limit }) =>
      store.gaps.list(known(database), { after, limit }).map((gap) => documentOf(database, gap)),
    gap: (database, id) => documentOf(database, gapWith(database, id)),
    acceptGap: (database, id) =>
      documentOf(
        database,
        store.gaps.accept(known(database), id, wallTime()) ?? fail(unknownGap(database, id)),
      ),
    backfills,
    repairs: createRepairControl({
      store,
      backfills,
      gap: gapWith,
      lostKeys: async (database, partings) => {
        const running = sinks().find((one) => one.database === database && threadOf(idIn(one)) !== undefined);
        if (running === undefined) throw notReady({ database, sink: 'any' });
        return runningThread(idIn(running)).request(running.name, { type: 'lost_keys', partings });
      },
    }),
    rowRewinds: createRowRewindControl({
      store,
      backfills,
      thread: runningThread,
      database: databaseWith,
      settings: ({ database, sink }) =>
        settings.sinks.find((one) => one.database === database && one.name === sink) ??
        fail(unknownSink(sink)),
    }),
    partings: (database) => store.partings.list(known(database)),
    orphans: (database, { after = 0, limit }) => store.partings.orphans(known(database), { after, limit }),
    drain: (database, { undo }) => {
      if (undo) store.handovers.takeBack(known(database));
      else store.handovers.ask(known(database), wallTime());
    },
    sinks,
    find: (name, database) => findSink(sinks(), name, database),
    sink: (id) => statusOf(id) ?? fail(unknownSink(id.sink)),
    setStatus: async (id, status, { now } = { now: false }) => {
      store.sinks.choose(id, status, { configured: configuredStatus(id), now: wallTime() });
      const thread = threadOf(id);
      if (thread === undefined) topology.startAs(id, status);
      else await thread.request(id.sink, { type: 'set_status', status, ...(now ? { now } : {}) });
    },
    rewind: (id, to) => runningThread(id).request(id.sink, { type: 'rewind', to }),
    deadLetters: (id, filter, page) => store.deadLetters.list(id, filter, page),
    deadLetter: (id, letter) => store.deadLetters.find(id, letter) ?? fail(unknownLetter(id, letter)),
    discard: (id, filter) => {
      const discarded = store.deadLetters.discard(id, filter);
      return discarded === 0 ? fail(nothingMatches(id)) : { discarded };
    },
    lostIn: (database) => {
      const partings = partingsOf(database);
      return (position) => isLost(partings, position);
    },
    replay: async (id, filter, { perSecond, force = false }) => {
      const partings = force ? NO_PARTINGS : partingsOf(id.database);
      const marked = store.deadLetters.replay(id, filter, (position) => isLost(partings, position));
      if (marked.replaying + marked.withoutPayload + marked.withheld === 0) throw nothingMatches(id);
      if (marked.replaying + marked.withoutPayload === 0) throw ofLostHistory(id);
      if (marked.replaying === 0) throw withoutPayload(id);
      store.sinks.setReplayRate(id, perSecond);
      await threadOf(id)?.request(id.sink, { type: 'replay' });
      return marked;
    },
  };
}

const idIn = ({ database, name }: SinkStatus): SinkId => ({ database, sink: name });

function findSink(sinks: readonly SinkStatus[], text: string, database: string | undefined): SinkId {
  const slash = text.indexOf('/');
  const name = text.slice(slash + 1);
  const wanted = slash === -1 ? database : text.slice(0, slash);
  const found = sinks.filter(
    (sink) => sink.name === name && (wanted === undefined || sink.database === wanted),
  );
  if (found.length > 1) throw ambiguous(name, found);
  if (found[0] === undefined) throw unknownSink(text);
  return { database: found[0].database, sink: found[0].name };
}

function fail(error: TailraceError): never {
  throw error;
}

const refusal = (message: string, code: string, hint: string): TailraceError =>
  new TailraceError(message, { code, kind: 'fatal', hint });

const unknownDatabase = (name: string): TailraceError =>
  refusal(`there is no database "${name}"`, 'DATABASE_UNKNOWN', 'tailrace status lists the databases');

const unknownGap = (database: string, id: number): TailraceError =>
  refusal(
    `database "${database}" has no gap ${id}`,
    'GAP_UNKNOWN',
    'tailrace gaps list shows those that nobody has accepted',
  );

const unknownSink = (name: string): TailraceError =>
  refusal(`there is no sink "${name}"`, 'SINK_UNKNOWN', 'tailrace status lists the sinks');

const ambiguous = (name: string, found: readonly SinkStatus[]): TailraceError =>
  refusal(
    `several databases have a sink "${name}"`,
    'SINK_AMBIGUOUS',
    `write one of ${found.map((sink) => `${sink.database}/${sink.name}`).join(', ')}`,
  );

const notReady = ({ database, sink }: SinkId): TailraceError =>
  refusal(
    `sink "${sink}" does not run yet: database "${database}" has not been reached`,
    'SINK_NOT_READY',
    'tailrace status says what it waits for; ask again then',
  );

const unknownLetter = ({ sink }: SinkId, letter: number): TailraceError =>
  refusal(
    `sink "${sink}" has no dead letter ${letter}`,
    'DEAD_LETTER_UNKNOWN',
    'it may have been delivered or discarded; tailrace dead-letters list shows those that are there',
  );

const nothingMatches = ({ sink }: SinkId): TailraceError =>
  refusal(
    `sink "${sink}" has no such dead letter`,
    'DEAD_LETTER_UNKNOWN',
    'tailrace dead-letters list shows those that are there',
  );

const withoutPayload = ({ sink }: SinkId): TailraceError =>
  refusal(
    `these dead letters of sink "${sink}" have no payload: their rows were larger than log.max_message_bytes, so the log did not keep them`,
    'DEAD_LETTER_WITHOUT_PAYLOAD',
    'change the row again with log.max_message_bytes raised, then discard them',
  );

const ofLostHistory = ({ sink }: SinkId): TailraceError =>
  refusal(
    `these dead letters of sink "${sink}" are of changes that the server does not have any more: its history parted from theirs`,
    'DEAD_LETTER_OF_LOST_HISTORY',
    'discard them; or send them all the same, with --force',
  );
