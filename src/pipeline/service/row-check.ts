// Can rows of a table be sent again to a sink? The server is asked for the table, its key and the row, before anything begins.
import { optionsFor, type TableName } from '../../core/selection.ts';
import { findRow, withoutKey } from '../../postgres/backfill/one-row.ts';
import { inspectBackfillTable } from '../../postgres/backfill/requirements.ts';
import type { KeyColumn } from '../../postgres/backfill/table.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { nameFor } from '../../core/partitions.ts';
import type { SinkSettings } from '../settings.ts';
import { askServer, takenByNone, takes } from './backfill-check.ts';

/** Rows by their key, or by a filter: one of them. */
export type RowWish = TableName & ({ readonly row: readonly string[] } | { readonly where: string });

export type CheckedRows = {
  readonly key: readonly KeyColumn[];
  /** Where a row is asked for: its key as Postgres writes it, and whether the table has it. */
  readonly row: { readonly key: readonly string[]; readonly isThere: boolean } | undefined;
  /** Does the sink take rows that are read? */
  readonly takesReads: boolean;
  /** Do values of its key stay here? */
  readonly isKeyMasked: boolean;
};

/**
 * Rejects with TailraceError: TABLE_UNKNOWN, TABLE_NOT_PUBLISHED, TABLE_NOT_READ, KEY_MISSING, KEY_REFUSED, DATABASE_NOT_REACHED, and
 * what else `inspectBackfillTable` refuses with.
 */
export const checkRows = (
  database: DatabaseSettings,
  sink: SinkSettings,
  wish: RowWish,
): Promise<CheckedRows> =>
  askServer(database, async (client, context) => {
    const { schema, table } = wish;
    const asked = 'row' in wish ? { keys: [wish.row] } : { where: wish.where };
    const { placed, key } = await inspectBackfillTable(client, { schema, table, ...asked }, context);
    const name = nameFor(sink.selection, placed);
    if (name === undefined) throw takenByNone([sink], wish, placed);
    if (key.length === 0) throw withoutKey(wish);
    const row = 'row' in wish ? await findRow(client, wish, { columns: key, key: wish.row }) : undefined;
    const { mask } = optionsFor(name, sink.tables)?.rules ?? {};
    const isKeyMasked = key.some((column) => mask?.has(column.name) === true);
    return { key, row, takesReads: takes(sink, placed), isKeyMasked };
  });
