// A server's timelines: which one owns an LSN, and whether a log's end still belongs to the server's history.
// https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES
import { parseLsn, type Lsn } from './lsn.ts';

/** Timeline `timeline` ended at `switchLsn`, where its successor began. */
export type TimelineSwitch = { readonly timeline: number; readonly switchLsn: Lsn };

export type TimelineHistory = {
  readonly current: number;
  /** Oldest first. */
  readonly switches: readonly TimelineSwitch[];
};

const HISTORY_LINE = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/;

/** Reads the content of a timeline history file: lines of `timeline <tab> switch LSN <tab> reason`, `#` comments. */
export function parseTimelineHistory(current: number, text: string): TimelineHistory {
  const switches: TimelineSwitch[] = [];
  for (const line of text.split('\n')) {
    const match = HISTORY_LINE.exec(line);
    const switchLsn = match === null ? undefined : parseLsn(match[2]!);
    if (switchLsn !== undefined) switches.push({ timeline: Number(match![1]), switchLsn });
  }
  return { current, switches };
}

/** The timeline that owns the record at `lsn`: a record at a switch point is the successor's. */
export function timelineOf(history: TimelineHistory, lsn: Lsn): number {
  for (const { timeline, switchLsn } of history.switches) if (lsn < switchLsn) return timeline;
  return history.current;
}

export type HistoryVerdict =
  | { readonly verdict: 'same' }
  /** The server was promoted after our log's end: everything we hold is its history too. */
  | { readonly verdict: 'promoted' }
  /** The server never had what we hold above `lsn` (undefined: unknown). */
  | { readonly verdict: 'parted'; readonly lsn: Lsn | undefined };

/** May a log that ends at `endLsn` on `timeline` be continued from a server with this history and WAL end? */
export function judgeHistory(
  log: { readonly timeline: number; readonly endLsn: Lsn },
  server: TimelineHistory & { readonly walEnd: Lsn },
): HistoryVerdict {
  if (server.current < log.timeline) return { verdict: 'parted', lsn: undefined };
  if (server.current === log.timeline) {
    return server.walEnd < log.endLsn ? { verdict: 'parted', lsn: server.walEnd } : { verdict: 'same' };
  }
  const left = server.switches.find((entry) => entry.timeline === log.timeline);
  if (left === undefined) return { verdict: 'parted', lsn: undefined };
  return left.switchLsn < log.endLsn ? { verdict: 'parted', lsn: left.switchLsn } : { verdict: 'promoted' };
}
