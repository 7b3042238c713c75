// Rewinds of rows: what the log has of some rows is sent again to a sink, and what it has not comes as it is in the table now.
import { wallTime } from '../../core/clock.ts';
import { TailraceError, refused } from '../../core/errors.ts';
import type { RowRewind, RowRewindState } from '../../core/row-rewind.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { lineAndColumn } from '../../functions/where/fault.ts';
import { parseFilters } from '../../functions/where/parsing.ts';
import { besidesKeys } from '../../postgres/backfill/conditions.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import type { PlacedFilter, SinkSettings } from '../settings.ts';
import type { Surveyed } from '../sink/rows/survey.ts';
import type { SinkThread } from '../sink/thread.ts';
import type { BackfillControl } from './backfills.ts';
import { checkRows, type CheckedRows, type RowWish } from './row-check.ts';

export type PlannedRowRewind = {
  /** `schema.table`. */
  readonly table: string;
  /** Rows that the log has changes of, how many changes, and when the first of them was committed (ISO 8601). */
  readonly rows: number;
  readonly changes: number;
  readonly since: string | null;
  /** What the log does not have from its beginning on, and so comes as it is now: rows by their keys, and those that the SQL is true of. */
  readonly read: { readonly keys: number; readonly where: string | null } | null;
  readonly notes: readonly string[];
};

export type StartedRowRewind = PlannedRowRewind & {
  /** Null: nothing comes from the log, or it was only planned. */
  readonly id: number | null;
  /** Ids of what reads the others. */
  readonly backfills: readonly string[];
};

/** As the API shows one. */
export type RowRewindDocument = {
  readonly id: number;
  readonly table: string;
  readonly state: RowRewindState;
  /** Why it failed. */
  readonly reason: string | null;
  readonly rows: number;
  readonly changes: number;
  readonly sent: number;
  readonly asked_at: string;
  readonly ended_at: string | null;
};

/** Errors: SINK_NOT_READY, FILTER_REFUSED, TOO_MANY_ROWS, ROW_UNKNOWN, NOTHING_TO_REWIND, and what `checkRows` refuses with. */
export interface RowRewindControl {
  /** `isDry`: what would be sent, and nothing is begun. Durable when it resolves. */
  rewind(id: SinkId, wish: RowWish, how: { readonly isDry: boolean }): Promise<StartedRowRewind>;
  /** Newest first; of those that are over, the last ones. */
  list(id: SinkId): readonly RowRewindDocument[];
  /** What is on its way is delivered, and nothing more. Answers how many were ended. Durable when it resolves. */
  cancel(id: SinkId): Promise<{ readonly cancelled: number }>;
}

export type RowRewindPorts = {
  readonly store: Pick<Store, 'rowRewinds'>;
  readonly backfills: Pick<BackfillControl, 'begin'>;
  /** Throws where the sink does not run yet. */
  readonly thread: (id: SinkId) => Pick<SinkThread, 'request'>;
  readonly database: (name: string) => DatabaseSettings;
  readonly settings: (id: SinkId) => SinkSettings;
  /** Undefined: the server is asked. */
  readonly check?: typeof checkRows | undefined;
};

export function createRowRewindControl(ports: RowRewindPorts): RowRewindControl {
  const { store, backfills, thread, check = checkRows } = ports;
  return {
    rewind: async (id, wish, { isDry }) => {
      const running = thread(id);
      const filter = 'where' in wish ? await parsed(wish.where) : undefined;
      const checked = await check(ports.database(id.database), ports.settings(id), wish);
      const { schema, table } = wish;
      const key = checked.key.map(({ name }) => name);
      const choice = { schema, table, key };
      const survey = await running.request(id.sink, {
        type: 'survey_rows',
        choice: filter === undefined ? { ...choice, keys: [checked.row!.key] } : { ...choice, filter },
      });
      const { plan, tables } = planned(wish, checked, survey);
      if (isDry) return { ...plan, id: null, backfills: [] };
      const { rows, changes, keys } = survey;
      const request = { ...choice, keys };
      const rewind =
        changes === 0 ? undefined : store.rowRewinds.create(id, { request, rows, changes }, wallTime());
      const begun = tables.map((one) =>
        backfills.begin({ database: id.database }, { sinks: [id.sink], tables: [one] }),
      );
      if (rewind !== undefined) await running.request(id.sink, { type: 'rewind_rows' });
      return { ...plan, id: rewind?.id ?? null, backfills: begun.map((backfill) => backfill.id) };
    },
    list: (id) => store.rowRewinds.list(id).map(toDocument),
    cancel: async (id) => {
      const ended = store.rowRewinds
        .open(id)
        .filter((rewind) => store.rowRewinds.end(rewind.id, 'cancelled', wallTime()));
      await thread(id).request(id.sink, { type: 'rewind_rows' });
      return { cancelled: ended.length };
    },
  };
}

const toDocument = (rewind: RowRewind): RowRewindDocument => {
  const { id, request, state, reason, rows, changes, sent, askedAt, endedAt } = rewind;
  return {
    id,
    table: formatTableName(request),
    state,
    reason: reason ?? null,
    rows,
    changes,
    sent,
    asked_at: askedAt,
    ended_at: endedAt ?? null,
  };
};

type Read = TableName & ({ readonly where: string } | { readonly keys: readonly (readonly string[])[] });

/** So many rows that the log has are named one by one, so that a condition leaves them out. */
const MAX_NAMED = 1000;

/** Throws ROW_UNKNOWN, NOTHING_TO_REWIND. */
function planned(
  wish: RowWish,
  { key, row, takesReads, isKeyMasked }: CheckedRows,
  survey: Surveyed,
): { readonly plan: PlannedRowRewind; readonly tables: readonly Read[] } {
  const { schema, table } = wish;
  const name = formatTableName(wish);
  const { keys, whole, rows, changes, sinceUs, unjudged } = survey;
  const lacking = keys.filter((_, i) => !whole[i]);
  if (row !== undefined && !row.isThere && changes === 0) throw unknownRow(name, row.key);
  const missing = row === undefined ? lacking : row.isThere ? lacking : [];
  // Whoever looks at the backfill sees its condition.
  const isCut = keys.length > MAX_NAMED || (isKeyMasked && keys.length > 0);
  const where = 'where' in wish ? (isCut ? wish.where : besidesKeys(wish.where, key, keys)) : undefined;
  const tables: readonly Read[] = takesReads
    ? [
        ...(missing.length === 0 ? [] : [{ schema, table, keys: missing }]),
        ...(where === undefined ? [] : [{ schema, table, where }]),
      ]
    : [];
  if (changes === 0 && tables.length === 0) throw nothing(name);
  const plan: PlannedRowRewind = {
    table: name,
    rows,
    changes,
    since: sinceUs === undefined ? null : new Date(Number(sinceUs / 1000n)).toISOString(),
    read:
      tables.length === 0
        ? null
        : { keys: missing.length, where: 'where' in wish && takesReads ? wish.where : null },
    notes: [
      ...(takesReads || (missing.length === 0 && where === undefined) ? [] : [NO_READS]),
      ...(isCut && takesReads && where !== undefined ? [isKeyMasked ? UNNAMED : BOTH] : []),
      ...(unjudged === 0 ? [] : [unjudgedNote(unjudged)]),
    ],
  };
  return { plan, tables };
}

const NO_READS =
  'the sink takes no rows that are read: what the log does not have from its beginning on comes as far as the log has it';
const BOTH = `more than ${MAX_NAMED} rows: those that the condition is true of now come as they are, too, also where the log has all of them`;
const UNNAMED =
  'the key is masked, so that no condition names rows by it: those that the condition is true of now come as they are, too, also where the log has all of them';
const unjudgedNote = (count: number): string =>
  `the condition says nothing of ${count} changes: Postgres did not send what decides it, or it is an error for them`;

/** Throws FILTER_REFUSED. */
async function parsed(text: string): Promise<PlacedFilter> {
  const [result] = await parseFilters([text]);
  if (result?.kind === 'filter') return { ...result.filter, place: 'the condition' };
  const { message, at } = result!.fault;
  const { line, column } = lineAndColumn(text, at);
  throw refused(
    'FILTER_REFUSED',
    `the condition, line ${line}, column ${column} of it: ${message}`,
    'it is asked of changes in the log, and of rows in the table: write what filters (docs/filters.md) and Postgres both know',
  );
}

const unknownRow = (table: string, key: readonly string[]): TailraceError =>
  refused(
    'ROW_UNKNOWN',
    `neither the log nor ${table} has a row with the key ${JSON.stringify(key)}`,
    'what is older than the log, and was deleted since, cannot be sent again; log.retention says how far the log goes back',
  );

const nothing = (table: string): TailraceError =>
  refused(
    'NOTHING_TO_REWIND',
    `the log has no change of these rows of ${table} that the sink takes, and it takes no rows that are read`,
    'write "backfill: { reads: true }" into the sink, or insert into its actions, and start again',
  );
