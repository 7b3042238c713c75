// A gap as the API, `tailrace gaps` and scripts see it, whether the service runs or only its store is there.
import { gapName, type Gap } from '../../core/gaps.ts';
import { rowsOf, type GapRows } from '../../core/gap-rows.ts';
import { readLsn } from '../../core/lsn.ts';
import { progressOf } from '../../core/backfill-progress.ts';
import type { Backfill, BackfillState } from '../../core/backfill.ts';
import type { Store } from '../../store/sqlite.ts';

export type GapDocument = GapRows & {
  readonly id: number;
  /** Under which it is accepted in the configuration. */
  readonly name: string;
  readonly cause: string;
  readonly reason: string;
  /** LSN texts; null: it goes on. */
  readonly from: string;
  readonly to: string | null;
  /** `schema.table`; null: any. */
  readonly tables: readonly string[] | null;
  readonly sink: string | null;
  readonly since: string;
  readonly halts: boolean;
  readonly accepted_at: string | null;
  /** What reads its rows again; null: nobody has asked for that. */
  readonly repair: GapRepair | null;
};

export type GapRepair = {
  /** The id of a backfill. */
  readonly backfill: string;
  /** `completed`: the gap is repaired. */
  readonly state: BackfillState;
  /** Rows that its sinks get. */
  readonly rows: number;
  /** ISO 8601. */
  readonly ended_at: string | null;
};

/** The database that a gap is of. */
export type GapDatabase = { readonly name: string; readonly publication: string };

export function gapDocument(
  gap: Gap,
  database: GapDatabase,
  { looks, backfills }: Pick<Store, 'looks' | 'backfills'>,
): GapDocument {
  const to = gap.to === undefined ? undefined : readLsn(gap.to);
  const xids = looks.xidsBetween(database.name, readLsn(gap.from), to);
  return {
    id: gap.id,
    name: gapName(gap),
    cause: gap.cause,
    reason: gap.reason,
    from: gap.from,
    to: gap.to ?? null,
    tables: gap.tables?.map(({ schema, table }) => `${schema}.${table}`) ?? null,
    sink: gap.sink ?? null,
    since: gap.since,
    halts: gap.halts,
    accepted_at: gap.acceptedAt ?? null,
    repair: gap.repair === undefined ? null : repairOf(backfills.find(database.name, gap.repair)),
    ...rowsOf(gap, { publication: database.publication, xids }),
  };
}

const repairOf = (backfill: Backfill | undefined): GapRepair | null =>
  backfill === undefined
    ? null
    : {
        backfill: backfill.id,
        state: backfill.state,
        rows: progressOf(backfill).appended,
        ended_at: backfill.endedAt ?? null,
      };
