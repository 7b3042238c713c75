// Repair of a gap: what may be missing is read again, as a backfill of the rows that its transactions may have written.
import { isOver, type BackfillTableRequest } from '../../core/backfill.ts';
import { TailraceError, refused } from '../../core/errors.ts';
import { writtenBy } from '../../core/gap-rows.ts';
import type { Gap } from '../../core/gaps.ts';
import { readLsn } from '../../core/lsn.ts';
import type { Partings } from '../../core/partings.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import type { Store } from '../../store/sqlite.ts';
import type { CheckedBackfill } from './backfill-check.ts';
import type { LostKeys } from '../sink/rows/lost-keys.ts';
import type { BackfillControl, BackfillStart } from './backfills.ts';
import { lossy, withOrphans } from './orphaned-rows.ts';

export type RepairPlan = {
  /** Null: of no gap, but of what a lost history has left. */
  readonly gap: number | null;
  /** By name. */
  readonly sinks: readonly string[];
  readonly tables: readonly {
    /** `schema.table`. */
    readonly table: string;
    /** Of which rows, in SQL, or how many keys; null: every row, because nothing says which. */
    readonly where: string | null;
    /** Rows of the table, which is read to its end whatever the condition; null: the planner has no statistics. */
    readonly estimated_rows: number | null;
    /** Keys that are looked for: those that the table does not have are sent as deletes. */
    readonly looked_for: number;
  }[];
  readonly notes: readonly string[];
};

export type KeysOfTable = TableName & { readonly keys: readonly (readonly string[])[] };

export type StartedRepair = RepairPlan & {
  /** The id of the backfill; null: it was only planned. */
  readonly backfill: string | null;
};

/** Errors: GAP_UNKNOWN, GAP_GOES_ON, GAP_IN_REPAIR, KEYS_ELSEWHERE, and what a backfill is refused with. */
export interface RepairControl {
  /** `isDry`: what would be read, and nothing is begun. `isWhole`: every row, whatever is known. Durable when it resolves. */
  repair(
    database: string,
    gap: number,
    how: {
      readonly isDry: boolean;
      readonly isWhole: boolean;
      /** Keys that the consumers have of one of its tables. */
      readonly keys?: KeysOfTable | undefined;
    },
  ): Promise<StartedRepair>;
  /** What the lost histories have changed, of all partings. Errors: NO_ORPHANS, SINK_NOT_READY. */
  repairOrphans(database: string, how: { readonly isDry: boolean }): Promise<StartedRepair>;
}

export type RepairPorts = {
  readonly store: Pick<Store, 'gaps' | 'looks' | 'backfills' | 'partings'>;
  readonly backfills: BackfillControl;
  /** Throws GAP_UNKNOWN. */
  readonly gap: (database: string, id: number) => Gap;
  /** Looks through the log. */
  readonly lostKeys: (database: string, partings: Partings) => Promise<LostKeys>;
};

export const createRepairControl = ({
  store,
  backfills,
  gap: gapWith,
  lostKeys,
}: RepairPorts): RepairControl => ({
  repair: async (database, id, { isDry, isWhole, keys }) => {
    const gap = gapWith(database, id);
    const to = requireEnd(gap);
    requireNoRepair(database, gap, store);
    const xids = isWhole ? undefined : store.looks.xidsBetween(database, readLsn(gap.from), to);
    // A row stands under this name there.
    const where = xids && writtenBy(xids, 'r');
    const sinks = gap.sink === undefined ? ('all' as const) : [gap.sink];
    const checked = await backfills.check({ database, sinks, tables: gap.tables });
    const gone = keys && (await findable(keys, checked, { database, sinks }, backfills));
    const own = checked.tables.map((table) => ({
      ...table,
      ...(where === undefined ? {} : { where }),
      ...(gone !== undefined && isSame(table, gone) && { gone: gone.keys }),
    }));
    const partings = lossy(store.partings.list(database)).filter(
      ({ lsn }) => lsn >= readLsn(gap.from) && lsn <= to,
    );
    const orphans =
      partings.length === 0
        ? undefined
        : await withOrphans(await lostKeys(database, partings), own, { database, sinks }, backfills);
    const tables = orphans?.tables ?? own;
    const plan: RepairPlan = {
      gap: id,
      sinks: checked.sinks,
      tables: tables.map((request, i) => planned(request, checked.estimates[i])),
      notes: [
        ...checked.notes,
        ...(where === undefined ? [EVERY_ROW] : []),
        ...(orphans === undefined ? [] : [orphansNote(orphans.keys), ...orphans.notes]),
        ...unfound(own),
      ],
    };
    if (isDry) return { ...plan, backfill: null };
    const { id: backfill } = backfills.begin({ database }, { ...checked, tables });
    store.gaps.repair(database, id, backfill);
    return { ...plan, backfill };
  },
  repairOrphans: async (database, { isDry }) => {
    const partings = lossy(store.partings.list(database));
    if (partings.length === 0) throw noOrphans(database);
    const whose = { database, sinks: 'all' as const };
    const { keys, tables, notes } = await withOrphans(
      await lostKeys(database, partings),
      [],
      whose,
      backfills,
    );
    if (tables.length === 0) throw noOrphans(database);
    const checked = await backfills.check({ ...whose, tables });
    const plan: RepairPlan = {
      gap: null,
      sinks: checked.sinks,
      tables: checked.tables.map((request, i) => planned(request, checked.estimates[i])),
      notes: [orphansNote(keys), ...checked.notes, ...notes],
    };
    return isDry
      ? { ...plan, backfill: null }
      : { ...plan, backfill: backfills.begin({ database }, checked).id };
  },
});

const planned = (
  request: BackfillTableRequest,
  estimate: number | undefined,
): RepairPlan['tables'][number] => ({
  table: formatTableName(request),
  where: request.keys === undefined ? (request.where ?? null) : `${request.keys.length} keys`,
  estimated_rows: estimate ?? null,
  looked_for: request.gone?.length ?? 0,
});

const orphansNote = (keys: number): string =>
  `a history parted: ${keys} keys that the lost one had changed are read again, and those that the table does not have are deleted`;

const noOrphans = (database: string): TailraceError =>
  refused(
    'NO_ORPHANS',
    `no history of database "${database}" has parted that left a change in the log which the server does not have`,
    'tailrace status --orphans lists what was delivered of lost histories',
  );

const EVERY_ROW = 'nothing tells which rows the gap can concern, so every row is sent again';

/** Rows that were deleted are not there to be read. */
function unfound(tables: readonly BackfillTableRequest[]): readonly string[] {
  const without = tables.filter(({ gone }) => gone === undefined).map(formatTableName);
  const named = without.length > MAX_NAMED ? `${without.length} tables` : without.join(', ');
  return without.length === 0
    ? []
    : [
        `what was deleted of ${named}, or taken by a TRUNCATE, cannot be found by reading: give the keys that the consumer has, with --keys and --table`,
      ];
}

const MAX_NAMED = 5;

const isSame = (a: TableName, b: TableName): boolean => a.schema === b.schema && a.table === b.table;

/** The keys as Postgres writes them. */
async function findable(
  { keys, schema, table }: KeysOfTable,
  { tables }: CheckedBackfill,
  whose: Pick<BackfillStart, 'database' | 'sinks'>,
  backfills: BackfillControl,
): Promise<KeysOfTable> {
  const name = { schema, table };
  if (!tables.some((one) => isSame(one, name))) {
    throw refused(
      'KEYS_ELSEWHERE',
      `the gap does not concern ${formatTableName(name)}`,
      `name one of ${tables.map(formatTableName).join(', ')}`,
    );
  }
  const checked = await backfills.check({ ...whose, tables: [{ ...name, gone: keys }] });
  return { ...name, keys: checked.tables[0]?.gone ?? keys };
}

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
