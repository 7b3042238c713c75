// Repair of a gap: what may be missing is read again, as a backfill of the rows that its transactions may have written.
import { isOver } from '../../core/backfill.ts';
import { TailraceError } from '../../core/errors.ts';
import { writtenBy } from '../../core/gap-rows.ts';
import type { Gap } from '../../core/gaps.ts';
import { readLsn } from '../../core/lsn.ts';
import { formatTableName } from '../../core/selection.ts';
import type { Store } from '../../store/sqlite.ts';
import type { BackfillControl } from './backfills.ts';

export type RepairPlan = {
  readonly gap: number;
  /** By name. */
  readonly sinks: readonly string[];
  readonly tables: readonly {
    /** `schema.table`. */
    readonly table: string;
    /** Of which rows, in SQL; null: every row, because nothing says which the gap can concern. */
    readonly where: string | null;
    /** Rows of the table, which is read to its end whatever the condition; null: the planner has no statistics. */
    readonly estimated_rows: number | null;
  }[];
  readonly notes: readonly string[];
};

export type StartedRepair = RepairPlan & {
  /** The id of the backfill; null: it was only planned. */
  readonly backfill: string | null;
};

/** Errors: GAP_UNKNOWN, GAP_GOES_ON, GAP_IN_REPAIR, and what a backfill is refused with. */
export interface RepairControl {
  /** `isDry`: what would be read, and nothing is begun. `isWhole`: every row, whatever is known. Durable when it resolves. */
  repair(
    database: string,
    gap: number,
    how: { readonly isDry: boolean; readonly isWhole: boolean },
  ): Promise<StartedRepair>;
}

export type RepairPorts = {
  readonly store: Pick<Store, 'gaps' | 'looks' | 'backfills'>;
  readonly backfills: BackfillControl;
  /** Throws GAP_UNKNOWN. */
  readonly gap: (database: string, id: number) => Gap;
};

export const createRepairControl = ({ store, backfills, gap: gapWith }: RepairPorts): RepairControl => ({
  repair: async (database, id, { isDry, isWhole }) => {
    const gap = gapWith(database, id);
    const to = requireEnd(gap);
    requireNoRepair(database, gap, store);
    const xids = isWhole ? undefined : store.looks.xidsBetween(database, readLsn(gap.from), to);
    // A row stands under this name there.
    const where = xids && writtenBy(xids, 'r');
    const sinks = gap.sink === undefined ? 'all' : [gap.sink];
    const checked = await backfills.check({ database, sinks, tables: gap.tables });
    const tables = checked.tables.map((table) => (where === undefined ? table : { ...table, where }));
    const plan: RepairPlan = {
      gap: id,
      sinks: checked.sinks,
      tables: tables.map((request, i) => ({
        table: formatTableName(request),
        where: where ?? null,
        estimated_rows: checked.estimates[i] ?? null,
      })),
      notes: [...checked.notes, ...(where === undefined ? [EVERY_ROW] : []), NOT_FOUND],
    };
    if (isDry) return { ...plan, backfill: null };
    const { id: backfill } = backfills.begin({ database }, { ...checked, tables });
    store.gaps.repair(database, id, backfill);
    return { ...plan, backfill };
  },
});

const EVERY_ROW = 'nothing tells which rows the gap can concern, so every row is sent again';
const NOT_FOUND =
  'rows that were deleted meanwhile are not there to be read: compare the consumers’ keys with the table’s';

function requireEnd({ id, to, reason }: Gap): ReturnType<typeof readLsn> {
  if (to !== undefined) return readLsn(to);
  throw refused(
    'GAP_GOES_ON',
    `gap ${id} goes on: what is written now may be missing, too (${reason})`,
    'mend its cause; when the gap has an end ("tailrace gaps show"), repair it',
  );
}

function requireNoRepair(database: string, { id, repair }: Gap, { backfills }: RepairPorts['store']): void {
  const known = repair === undefined ? undefined : backfills.find(database, repair);
  if (known === undefined || isOver(known.state)) return;
  throw refused(
    'GAP_IN_REPAIR',
    `backfill ${known.id}, which is ${known.state}, repairs gap ${id}`,
    `tailrace backfill show ${known.id} says how far it is; cancel it to begin anew`,
  );
}

const refused = (code: string, message: string, hint: string): TailraceError =>
  new TailraceError(message, { code, kind: 'fatal', hint });
