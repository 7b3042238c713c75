// The `source` of Debezium's messages: where a change comes from. The same for all rows of a transaction, as a log of transactions has it.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-change-event-values
import type { TransactionContext } from '../../core/change.ts';
import { jsonText } from '../../core/json.ts';
import { ZERO_LSN } from '../../core/lsn.ts';
import { SOURCE_FIELDS, type SourceField } from './options.ts';

/** The version whose messages these are. */
export const DEBEZIUM_VERSION = '3.6.1.Final';

export type SourceOf = {
  /** `topic.prefix`. */
  readonly name: string;
  readonly db: string;
  readonly schema: string;
  readonly table: string;
};

/** The JSON of each field. `isRead`: of rows that a backfill has read, which no transaction of the stream wrote. */
export function sourceFields(
  { name, db, schema, table }: SourceOf,
  { commitTimeUs, commitLsn, previousEndLsn, xid }: TransactionContext,
  isRead: boolean,
): Readonly<Record<SourceField, string>> {
  const previous = previousEndLsn === ZERO_LSN ? 'null' : `"${previousEndLsn}"`;
  return {
    version: jsonText(DEBEZIUM_VERSION),
    connector: '"postgresql"',
    name: jsonText(name),
    ts_ms: String(commitTimeUs / 1000n),
    snapshot: isRead ? '"incremental"' : '"false"',
    db: jsonText(db),
    sequence: jsonText(`[${previous},"${commitLsn}"]`),
    ts_us: String(commitTimeUs),
    ts_ns: `${commitTimeUs}000`,
    schema: jsonText(schema),
    table: jsonText(table),
    txId: isRead ? 'null' : String(xid),
    lsn: String(commitLsn),
    xmin: 'null',
    origin: 'null',
    origin_lsn: 'null',
  };
}

export const sourceJson = (fields: Readonly<Record<SourceField, string>>): string =>
  `{${SOURCE_FIELDS.map((field) => `"${field}":${fields[field]}`).join(',')}}`;
