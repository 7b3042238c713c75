// Gaps: ranges of the write-ahead log of which not every change is ours to have; which sinks they concern, what ends them. Pure.
import { parseLsn } from './lsn.ts';
import { selects, type Selection, type TableName } from './selection.ts';

/**
 * slot_remade, slot_moved: what the slot no longer gives us · log_damaged: durable bytes are gone that the slot gives no more ·
 * publication_missing: nothing could be decoded · publication_changed: it may have published less for a while ·
 * member_changed, member_lost: the same, of one table · table_dropped: a table went, and its membership with it ·
 * root_unknown: rows of a partition came whose root is not known · partition_unseen: rows of a partition may not have been streamed ·
 * transaction_differs: a transaction that the log had in part came again with other rows ·
 * place_lost: the log does not reach back to what one sink had settled.
 */
export type GapCause =
  | 'slot_remade'
  | 'slot_moved'
  | 'log_damaged'
  | 'publication_missing'
  | 'publication_changed'
  | 'member_changed'
  | 'member_lost'
  | 'table_dropped'
  | 'root_unknown'
  | 'partition_unseen'
  | 'transaction_differs'
  | 'place_lost';

/** What a gap waits for that has no end yet: a later look at the catalog tells. */
export type GapEnd =
  | { readonly when: 'publication_present' }
  | { readonly when: 'actions_published'; readonly actions: readonly string[] }
  | { readonly when: 'table_published'; readonly oid: number }
  | { readonly when: 'entry_is'; readonly oid: number; readonly entry: string };

export type Gap = {
  readonly id: number;
  readonly cause: GapCause;
  /** LSN text: what was written up to it is ours. */
  readonly from: string;
  /** LSN text: what was written after it is ours again; undefined while the cause lasts. */
  readonly to?: string;
  readonly reason: string;
  /** The tables whose changes may be missing; undefined: any. */
  readonly tables?: readonly TableName[];
  /** The sink that it concerns alone; undefined: every one that reads its tables. */
  readonly sink?: string;
  /** ISO 8601, when it was declared. */
  readonly since: string;
  /** Is it for somebody to decide whether deliveries go on? */
  readonly halts: boolean;
  /** The stream goes on behind it: the slot gives nothing before its end. */
  readonly skips: boolean;
  /** ISO 8601. */
  readonly acceptedAt?: string;
  /** The backfill that reads again what may be missing, by its id. */
  readonly repair?: string;
};

/** A gap as it is declared. `ends` is empty unless its end is still to come. */
export type GapDeclaration = Omit<Gap, 'id' | 'since' | 'acceptedAt' | 'repair'> & {
  readonly ends: readonly GapEnd[];
};

/** What a sink does about a gap that concerns it, until that is accepted. */
export type OnGap = 'halt' | 'resume';

/** Under which name a gap is accepted in a configuration. One that grows has another name then. */
export const gapName = ({ from, to = '' }: Pick<Gap, 'from' | 'to'>): string => `${from}..${to}`;

/** Reads a gap's name into its canonical form; undefined when it is none. */
export function parseGapName(text: string): string | undefined {
  const [from, to, ...rest] = text.trim().split('..');
  if (from === undefined || to === undefined || rest.length > 0) return undefined;
  if (parseLsn(from) === undefined || (to !== '' && parseLsn(to) === undefined)) return undefined;
  return gapName({ from: from.toUpperCase(), to: to.toUpperCase() });
}

/** A sink, as far as a gap is concerned. */
export type GapReader = { readonly name: string; readonly selection: Selection };

/** Can changes that a sink reads be missing? */
export const concerns = ({ tables, sink }: Pick<Gap, 'tables' | 'sink'>, reader: GapReader): boolean =>
  (sink === undefined || sink === reader.name) &&
  (tables === undefined || tables.some((table) => selects(reader.selection, table)));

/** The gap that keeps a sink from delivering; undefined when there is none. */
export const haltingGap = (gaps: readonly Gap[], reader: GapReader, onGap: OnGap): Gap | undefined =>
  onGap === 'resume'
    ? undefined
    : gaps.find((gap) => gap.halts && gap.acceptedAt === undefined && concerns(gap, reader));

/** Tables that are named, of many. */
const MAX_NAMED = 5;

/** Of what changes may be missing, in words, for people. */
function describeSubject({ tables, sink }: Pick<Gap, 'tables' | 'sink'>): string {
  if (sink !== undefined) return `sink "${sink}"`;
  if (tables === undefined) return 'any table';
  const named = tables.slice(0, MAX_NAMED).map(({ schema, table }) => `${schema}.${table}`);
  const more = tables.length - named.length;
  return `${named.join(', ')}${more === 0 ? '' : ` and ${more} more`}`;
}

/** The gap in one line, for people. */
export const describeGap = (gap: Gap): string =>
  `changes written between ${gap.from} and ${gap.to ?? 'now'} may be missing (${describeSubject(gap)}): ${gap.reason}`;

/** How to let deliveries go on. */
export const acceptHint = (database: string, gap: Gap): string =>
  `compare the consumers with the tables ("tailrace gaps show ${gap.id}" has the SQL), then accept the gap: tailrace gaps accept ${gap.id}, or POST /api/databases/${encodeURIComponent(database)}/gaps/${gap.id}/accept, or write "${gapName(gap)}" under databases[].accepted_gaps and start again`;
