// After a history has parted: which rows of which tables are read again, because what consumers have of them is of the lost one.
import type { BackfillTableRequest } from '../../core/backfill.ts';
import { TailraceError } from '../../core/errors.ts';
import { readLsn } from '../../core/lsn.ts';
import type { Partings } from '../../core/partings.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { amongKeys } from '../../postgres/backfill/conditions.ts';
import type { KeyColumn } from '../../postgres/backfill/table.ts';
import type { PartingRecord } from '../../store/partings.ts';
import type { LostKeys, LostTable } from '../sink/rows/lost-keys.ts';
import type { CheckedBackfill } from './backfill-check.ts';
import type { BackfillControl, BackfillStart } from './backfills.ts';

export type OrphanedRows = {
  /** Over all tables. */
  readonly keys: number;
  readonly tables: readonly BackfillTableRequest[];
  readonly notes: readonly string[];
};

/** So many are named in a condition, beside one of another kind: of more, the whole table is read. */
const MAX_NAMED = 10_000;

/** Partings that took something out of the log. */
export const lossy = (records: readonly PartingRecord[]): Partings =>
  records
    .map(({ epoch, lsn, logEnd }) => ({ epoch, lsn: readLsn(lsn), logEnd: readLsn(logEnd) }))
    .filter(({ lsn, logEnd }) => logEnd > lsn)
    .map(({ epoch, lsn }) => ({ epoch, lsn }));

/**
 * Adds the rows that are lost to what is read otherwise (`tables`: none of it without those). A row that went back to how it was has an
 * old xmin, so they are named by their keys; what the table does not have of them is sent as deletes.
 */
export async function withOrphans(
  { isRetained, tables: lost }: LostKeys,
  tables: readonly BackfillTableRequest[],
  whose: Pick<BackfillStart, 'database' | 'sinks'>,
  backfills: Pick<BackfillControl, 'check'>,
): Promise<OrphanedRows> {
  if (!isRetained) {
    const all = tables.length > 0 ? tables : (await backfills.check(whose)).tables;
    return { keys: 0, tables: all.map(whole), notes: [NOT_RETAINED] };
  }
  const named = new Map(tables.map((table) => [formatTableName(table), table]));
  const notes: string[] = [];
  let keys = 0;
  for (const one of lost) {
    const name = formatTableName(one);
    const known = named.get(name);
    const found = await requestFor(one, known, whose, backfills);
    if (found.request !== undefined) named.set(name, found.request);
    keys += found.request?.gone?.length ?? 0;
    notes.push(...found.notes);
  }
  return { keys, tables: [...named.values()], notes };
}

const NOT_RETAINED =
  'the log does not have all of the lost history any more, so every row of these tables is sent again; rows that only the lost history had are found by the keys that the consumer has';

const whole = ({ schema, table, gone }: BackfillTableRequest): BackfillTableRequest => ({
  schema,
  table,
  ...(gone === undefined ? {} : { gone }),
});

type Requested = { readonly request: BackfillTableRequest | undefined; readonly notes: readonly string[] };

async function requestFor(
  { schema, table, key: lostKey, keys }: LostTable,
  known: BackfillTableRequest | undefined,
  whose: Pick<BackfillStart, 'database' | 'sinks'>,
  backfills: Pick<BackfillControl, 'check'>,
): Promise<Requested> {
  const name: TableName = { schema, table };
  const text = formatTableName(name);
  const checked = await checkedTable(name, whose, backfills);
  if (checked === undefined) return { request: known, notes: [] };
  const columns = checked.keys[0] ?? [];
  const inOrder = keys === null ? undefined : reordered(keys, lostKey, columns);
  if (inOrder === undefined) {
    const why = `${text}: any of its rows may be one that the lost history changed, so every row is sent again`;
    return { request: whole(known ?? name), notes: [why] };
  }
  const base: BackfillTableRequest = known ?? name;
  const wanted = [
    ...new Map([...(base.gone ?? []), ...inOrder].map((one) => [JSON.stringify(one), one])).values(),
  ];
  const findable = await findableKeys({ ...name, gone: wanted }, whose, backfills);
  const gone = findable === undefined ? base.gone : findable;
  const notes =
    findable === undefined
      ? [
          `${text}: rows that only the lost history had are not found: ${inOrder.length} keys of it are read again, and no deletes are sent`,
        ]
      : [];
  const request: BackfillTableRequest = {
    ...whole(base),
    ...(gone === undefined ? {} : { gone }),
    ...rowsOf(known, columns, inOrder),
  };
  return { request, notes };
}

/** Which rows are read: all of a table where all are anyway. */
function rowsOf(
  known: BackfillTableRequest | undefined,
  columns: readonly KeyColumn[],
  keys: readonly (readonly string[])[],
): Pick<BackfillTableRequest, 'where' | 'keys'> {
  if (known === undefined) return { keys };
  if (known.where === undefined || keys.length > MAX_NAMED) return {};
  return { where: `(${known.where}\n) or ${amongKeys(columns, keys)}` };
}

/** In the order of the table's key; undefined: that is of other columns now. */
function reordered(
  keys: readonly (readonly string[])[],
  names: readonly string[],
  columns: readonly KeyColumn[],
): readonly (readonly string[])[] | undefined {
  const at = columns.map(({ name }) => names.indexOf(name));
  if (at.length === 0 || at.includes(-1) || at.length !== names.length) return undefined;
  return keys.map((key) => at.map((i) => key[i]!));
}

/** Undefined: nobody reads it, or it is not there any more. */
async function checkedTable(
  name: TableName,
  whose: Pick<BackfillStart, 'database' | 'sinks'>,
  backfills: Pick<BackfillControl, 'check'>,
): Promise<CheckedBackfill | undefined> {
  try {
    return await backfills.check({ ...whose, tables: [name] });
  } catch (error) {
    if (error instanceof TailraceError && NOBODYS.includes(error.code)) return undefined;
    throw error;
  }
}

const NOBODYS: readonly string[] = [
  'TABLE_UNKNOWN',
  'TABLE_NOT_READ',
  'TABLE_NOT_PUBLISHED',
  'NOTHING_TO_READ',
  'SINK_TAKES_NO_READS',
];

/** Undefined: of this table they cannot be found. */
async function findableKeys(
  table: BackfillTableRequest,
  whose: Pick<BackfillStart, 'database' | 'sinks'>,
  backfills: Pick<BackfillControl, 'check'>,
): Promise<readonly (readonly string[])[] | undefined> {
  try {
    return (await backfills.check({ ...whose, tables: [table] })).tables[0]?.gone;
  } catch (error) {
    if (error instanceof TailraceError && UNFINDABLE.includes(error.code)) return undefined;
    throw error;
  }
}

const UNFINDABLE: readonly string[] = ['KEYS_OF_PARTITIONS', 'KEY_NOT_PUBLISHED', 'KEY_MISSING'];
