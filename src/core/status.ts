// What the service says of itself: one document for /health, `status`, metrics and the statistics line.
import type { BackfillStatus } from './backfill-progress.ts';
import type { SinkCounts } from './counts.ts';
import type { Gap } from './gaps.ts';
import type { RowRewindStatus } from './row-rewind.ts';

export type Health = 'healthy' | 'degraded' | 'halted';

/** One thing that is not well, with its cure. */
export type Trouble = {
  readonly health: Exclude<Health, 'healthy'>;
  readonly reason: string;
  readonly cure?: string;
  /** ISO 8601, where it is known. */
  readonly since?: string;
};

export type Condition = {
  readonly health: Health;
  /** Undefined when healthy. */
  readonly reason?: string;
  readonly cure?: string;
  /** ISO 8601, when this condition began; of what has no time of its own (a dead letter, a table left out), since when the part itself runs well. */
  readonly since: string;
  /** All of them, the worst first, once `core/health.ts` has judged. */
  readonly troubles?: readonly Trouble[];
};

/** A table that joined the publication while the slot was there already. */
export type StreamedTable = {
  readonly schema: string;
  readonly table: string;
  /** LSN text: changes of transactions that began after it are streamed. */
  readonly from: string;
  /** ISO 8601. */
  readonly at: string;
};

/** A transaction of which a marker kept changes from a sink (invariant 3: skipped with a record). */
export type SkippedTransaction = {
  readonly xid: number;
  readonly epoch: number;
  /** LSN text. */
  readonly commitLsn: string;
  /** The changes that the sink would have delivered. */
  readonly changes: number;
  /** ISO 8601. */
  readonly committedAt: string;
};

/** What messages in the write-ahead log did to one sink since its start. */
export type MarkerStatus = {
  readonly skippedTransactions: number;
  readonly skippedChanges: number;
  /** The last of them; the store has all. */
  readonly lastSkipped: readonly SkippedTransaction[];
  /** Markers that may not skip here, or that nobody understands. */
  readonly ignored: number;
  /** Annotations that are no JSON: null stands in their place. */
  readonly invalidAnnotations: number;
};

/**
 * Why what Postgres may forget does not move. socket_dead: the server has given our connection up, or nothing comes through it ·
 * replies_lost: it sends, and hears nothing of us · log_writer: the disk does not take the log · sink: one holds the flush · decoder: the
 * server is busy decoding, and says nothing meanwhile.
 */
export type StallCause = 'socket_dead' | 'replies_lost' | 'log_writer' | 'sink' | 'decoder';
export const STALL_CAUSES: readonly StallCause[] = [
  'socket_dead',
  'replies_lost',
  'log_writer',
  'sink',
  'decoder',
];

/** How often a server's history parted from the log's, and what became of the changes that were lost, over all sinks. */
export type LostHistories = {
  readonly partings: number;
  /** Delivered before. */
  readonly orphaned: number;
  /** Not sent. */
  readonly discarded: number;
};

/** A standby of the host list, asked whether a failover to it would keep the slot. */
export type StandbyStatus = {
  readonly host: string;
  readonly ready: boolean;
  /** What it has of the slot, and how far behind; or why not. */
  readonly detail: string;
  /** WAL that it keeps for the slot, where it has one. */
  readonly retainedBytes?: number;
};

export type DatabaseStatus = Condition & {
  readonly name: string;
  /** `connecting`, `streaming`, `waiting` (backoff), `drained`, `stopped`. */
  readonly state: string;
  readonly host?: string;
  readonly slot: string;
  readonly publication: string;
  readonly ack: string;
  /** What `auto` does now. */
  readonly acknowledging: 'delivered' | 'durable';
  /** LSN texts. */
  readonly walEnd: string;
  readonly loggedEnd: string;
  readonly durableEnd: string;
  readonly flushed: string;
  /** WAL end of the last keepalive minus the flushed LSN. */
  readonly retainedBytes: number;
  readonly logBytes: number;
  readonly transactions: number;
  /** Of the transactions, those that came while they were in progress (`slot.streaming`). */
  readonly streamedTransactions: number;
  /** What is here of transactions in progress. */
  readonly spooledBytes: number;
  readonly changes: number;
  readonly receivedBytes: number;
  /** Changes logged since the start with a composite value that is Postgres' text: nothing proved its type's attributes. */
  readonly unprovedShapes: number;
  readonly reconnects: number;
  /** Why what Postgres may forget does not move; undefined: it does, or nothing is there to move it. */
  readonly stall?: StallCause;
  /** Stalls that ended with a new connection since the start. */
  readonly stallsHealed: number;
  /** Those that nobody has accepted, oldest first. */
  readonly gaps: readonly Gap[];
  /** Of all histories that parted from the log's, as far as is on record; undefined: not read yet. */
  readonly lostHistories?: LostHistories;
  /** Those that are not over, newest first; undefined: not read yet. */
  readonly backfills?: readonly BackfillStatus[];
  /** What is left out or not as it should be, each of which degrades. */
  readonly warnings: readonly string[];
  /** What is worth knowing and degrades nothing: TLS that verifies nobody. */
  readonly notes: readonly string[];
  /** Of the publication's tables, how many a sink reads. */
  readonly tables: number;
  /** The tables that joined the publication last. */
  readonly joinedTables: readonly StreamedTable[];
  /** Where there are several hosts, and a slot that standbys take over: as they were asked last. */
  readonly standbys?: readonly StandbyStatus[];
};

/** What a sink is told to do: `paused` holds its place in the log, `disabled` holds nothing. */
export type WantedStatus = 'active' | 'paused' | 'disabled';

/** Changes that a sink never had, between two LSNs. */
export type SinkGap = {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
  /** How many, where that is known. */
  readonly changes?: number;
};

/** Of a sink whose consumers come to fetch. */
export type PullStatus = {
  /** Messages that the next request may take. */
  readonly available: number;
  /** Received and not acknowledged. */
  readonly outstanding: number;
  /** Requests that wait for messages. */
  readonly waiting: number;
  /** Leases that ended without an acknowledgement since the start. */
  readonly timedOut: number;
  /** Acknowledgements for ids that nobody knows (settled before, or made up) since the start. */
  readonly unknownAcks: number;
};

/**
 * Why a route does not get more. source: nothing more is there · destination: more requests in flight bring no more · order: what is there
 * waits for earlier messages of its groups · lanes: the configuration allows no more · throttled: it said that it takes less.
 */
export type RouteLimit = 'source' | 'destination' | 'order' | 'lanes' | 'throttled';
export const ROUTE_LIMITS: readonly RouteLimit[] = ['source', 'destination', 'order', 'lanes', 'throttled'];

export type SinkStatus = Condition &
  Readonly<SinkCounts> & {
    readonly name: string;
    readonly database: string;
    readonly type: string;
    /** `starting`, `running`, `paused`, `disabled`, `halted`, `stopped`. */
    readonly state: string;
    /** LSN up to which everything is settled. */
    readonly settled: string;
    /** Log bytes not yet settled. */
    readonly lagBytes: number;
    /** Seconds since the commit of the oldest unsettled change; 0 when there is none. */
    readonly lagSeconds: number;
    /** Dead letters kept now; of these, how many are being sent again; and how many a limit has dropped, ever. */
    readonly deadLetters: number;
    readonly replaying: number;
    readonly deadLettersDropped: number;
    readonly inFlight: number;
    readonly buffered: number;
    readonly parked: number;
    readonly markers: MarkerStatus;
    /** Groups held back by a failing message: at most ten names. */
    readonly blockedGroups: readonly string[];
    /** So many routes that rows have named are open, and in use: nothing is sent to others until one of them is idle, and that lasts. */
    readonly routesInUse?: number;
    /** Of all that are open, how many there are; undefined: `routes` has all. */
    readonly routeCounts?: Readonly<Record<Health, number>>;
    /** At most fifty, those that are not healthy first. */
    readonly routes: readonly {
      readonly id: string;
      readonly health: Health;
      readonly reason?: string;
      readonly cure?: string;
      readonly retryAt?: string;
      /** Requests that it may have in flight, and those that it has. */
      readonly lanes: number;
      readonly lanesInUse: number;
      /** Of a request, milliseconds, on average lately; undefined: none was answered. */
      readonly answerMs?: number;
      /** Messages a second that it is given, where it has said that it takes less. */
      readonly pace?: number;
      readonly limitedBy: RouteLimit;
    }[];
    readonly rewinds: number;
    /** A rewind of rows under way. */
    readonly rowRewind?: RowRewindStatus;
    /** The latest ones. */
    readonly gaps: readonly SinkGap[];
    /** Commit to accepted, milliseconds, over the last minute at most. */
    readonly latency?: { readonly p50: number; readonly p99: number; readonly max: number };
    readonly pull?: PullStatus;
  };

export type ServiceStatus = {
  readonly status: Health;
  readonly version: string;
  readonly startedAt: string;
  readonly pid: number;
  readonly dataDir: string;
  /** By the listeners, since the start: more were open than they take, or no file descriptor was left for clients. */
  readonly refusedConnections: number;
  readonly databases: readonly DatabaseStatus[];
  readonly sinks: readonly SinkStatus[];
};
