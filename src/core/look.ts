// A look: what a server's catalog was like at one moment, small enough to keep many. What two of them prove is for others to say.
import type { Lsn } from './lsn.ts';
import type { TableName } from './selection.ts';
import type { TimelineSwitch } from './timeline.ts';

/** Which server answered. */
export type LookedAt = {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** Of the timelines before, oldest first. */
  readonly switches: readonly TimelineSwitch[];
  /** `host:port` as the server itself knows it, and when its postmaster started (µs since 1970). */
  readonly address: string;
  readonly startedAtUs: string;
};

/** A version of a catalog's rows: equal only while none of them was written, not even to the value that it had. */
export type Version = string;

/** What an entry in a publication says that names neither columns nor a row filter. */
export const ALL_OF_IT = 'all';

/** What a publication may publish. */
export const PUBLISHED_ACTIONS = ['insert', 'update', 'delete', 'truncate'] as const;

export type PublicationVersions = {
  readonly oid: number;
  readonly version: Version;
  readonly publishes: readonly string[];
};

/** A table that the publication carries: by name, through its schema, or because it carries all. */
export type TableVersions = TableName & {
  readonly oid: number;
  /** Of its own entry in the publication, and what that says (column list, row filter: ALL_OF_IT without); absent: it has none. */
  readonly member?: Version;
  readonly entry?: string;
  /** Of the entry of its schema. */
  readonly schemaMember?: Version;
  /** Of the table itself: columns, indexes, parents and partitions, the types of its columns. */
  readonly shape: Version;
  /** Its partitions, on every level. */
  readonly partitions?: readonly (TableName & {
    /** Absent: a look of an older version. */
    readonly oid?: number;
  })[];
  /** The partitioned tables above it: sinks on them read its rows, too. */
  readonly above?: readonly TableName[];
};

export type CatalogVersions = {
  /** Undefined: there was no such publication. */
  readonly publication?: PublicationVersions;
  readonly tables: readonly TableVersions[];
  /** By OID: of the types of their columns in which there is a composite, the versions of what they are made of. */
  readonly types?: Readonly<Record<string, Version>>;
};

export type Look = {
  /** ISO 8601, by our clock. */
  readonly at: string;
  /** Name of the publication that was looked for. */
  readonly publication: string;
  readonly server: LookedAt;
  /** Where the WAL ended before the snapshot was taken, and after. */
  readonly walBefore: Lsn;
  readonly walAfter: Lsn;
  /** Transactions with lower ids had ended at the snapshot. 64 bits wide. */
  readonly xmin: bigint;
  /**
   * No transaction with this id or a higher one had begun at `walBefore`. Higher than the snapshot's `xmax`, which counts those
   * that have ended: a commit may stand in the WAL long before that (it waits for a synchronous standby, say).
   */
  readonly begun: bigint;
  /** All of `catalog` in one word: equal when every version is. */
  readonly fold: Version;
  readonly catalog: CatalogVersions;
};
