// What a pretended primary consists of: its WAL of commits, its one slot, its publications with their row versions.
import type { Lsn } from '../../src/core/lsn.ts';
import type { TimelineSwitch } from '../../src/core/timeline.ts';

export const TABLES = ['a', 'b', 'c'] as const;
/** Published by one of the two publications, and wanted by nobody: it makes the two number rows otherwise. */
export const NOISE = 'noise';
export const PUBLICATIONS = ['pub_first', 'pub_second'] as const;
export const ACTIONS = ['insert', 'update', 'delete', 'truncate'];

export type Row = { readonly id: number; readonly table: string; readonly oid: number; readonly key: number };

export type Transaction = {
  /** Counts the commits of the whole world, over all its servers. */
  readonly number: number;
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly xid: number;
  readonly timeUs: bigint;
  readonly rows: readonly Row[];
  /** By publication: the ids that it published; undefined: it was missing. */
  readonly published: Readonly<Record<string, readonly number[] | undefined>>;
  /** Tables that were in our publication at some time before, so that somebody counts on them. */
  readonly counted: readonly string[];
};

export type Publication = {
  readonly oid: number;
  xmin: number;
  publishes: readonly string[];
  /** By the table's oid. */
  readonly members: Map<number, { oid: number; xmin: number }>;
};

export type ServerState = {
  /** Another one whenever commits are lost. */
  history: number;
  timeline: number;
  switches: TimelineSwitch[];
  walEnd: bigint;
  wal: Transaction[];
  nextXid: number;
  nextOid: number;
  startedAt: number;
  address: number;
  slot: { confirmed: Lsn; persisted: Lsn } | undefined;
  tables: Map<string, number>;
  publications: Map<string, Publication>;
  /** Oids of tables that were members at some time. */
  counted: Set<number>;
};
