// A gap as the API, `tailrace gaps` and scripts see it, whether the service runs or only its store is there.
import { gapName, type Gap } from '../../core/gaps.ts';
import { rowsOf, type GapRows } from '../../core/gap-rows.ts';
import { readLsn } from '../../core/lsn.ts';
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
};

/** The database that a gap is of. */
export type GapDatabase = { readonly name: string; readonly publication: string };

export function gapDocument(gap: Gap, database: GapDatabase, { looks }: Pick<Store, 'looks'>): GapDocument {
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
    ...rowsOf(gap, { publication: database.publication, xids }),
  };
}
