// The `source` of Debezium's messages: where a change comes from. The same for all rows of a transaction, as a log of transactions has it.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-change-event-values
import type { TransactionContext } from '../../core/change.ts';
import { jsonText } from '../../core/json.ts';
import { constant, integer, NULL_TYPE, STRING, type JsonType } from '../../core/json-type.ts';
import { ZERO_LSN } from '../../core/lsn.ts';
import type { SourceField } from './options.ts';

/** The version whose messages these are. */
export const DEBEZIUM_VERSION = '3.6.1.Final';

export type SourceOf = {
  /** `topic.prefix`. */
  readonly name: string;
  readonly db: string;
  readonly schema: string;
  readonly table: string;
};

type Fields = Readonly<Record<SourceField, string>>;

/** The JSON of what is the same for all rows of a table. */
const constantFields = ({ name, db, schema, table }: SourceOf) => ({
  version: jsonText(DEBEZIUM_VERSION),
  connector: '"postgresql"',
  name: jsonText(name),
  db: jsonText(db),
  schema: jsonText(schema),
  table: jsonText(table),
  xmin: 'null',
  origin: 'null',
  origin_lsn: 'null',
});

/** The JSON of what is the same for all rows of a transaction. `isRead`: of rows that a backfill has read, which no transaction of the stream wrote. */
function commitFields(
  { commitTimeUs, commitLsn, previousEndLsn, xid }: TransactionContext,
  isRead: boolean,
): Omit<Fields, keyof ReturnType<typeof constantFields>> {
  const microseconds = String(commitTimeUs);
  const lsn = String(commitLsn);
  const previous = previousEndLsn === ZERO_LSN ? 'null' : `\\"${previousEndLsn}\\"`;
  return {
    ts_ms: microseconds.slice(0, -3),
    snapshot: isRead ? '"incremental"' : '"false"',
    sequence: `"[${previous},\\"${lsn}\\"]"`,
    ts_us: microseconds,
    ts_ns: `${microseconds}000`,
    txId: isRead ? 'null' : String(xid),
    lsn,
  };
}

/** What each field is. `isRead`: as above. */
export const sourceTypes = (
  { schema, table }: Pick<SourceOf, 'schema' | 'table'>,
  isRead: boolean,
): Readonly<Record<SourceField, JsonType>> => ({
  version: STRING,
  connector: constant('postgresql'),
  name: STRING,
  ts_ms: integer(53),
  snapshot: constant(isRead ? 'incremental' : 'false'),
  db: STRING,
  sequence: STRING,
  ts_us: integer(53),
  ts_ns: integer(64),
  schema: constant(schema),
  table: constant(table),
  txId: isRead ? NULL_TYPE : integer(53),
  lsn: integer(64),
  xmin: NULL_TYPE,
  origin: NULL_TYPE,
  origin_lsn: NULL_TYPE,
});

/** What a table's rows say of where they come from. */
export class Source {
  readonly #constant: ReturnType<typeof constantFields>;
  /** The members in front of what is a commit's, and behind it. A table has many commits: these are put together once. */
  readonly #parts: Readonly<Record<'first' | 'db' | 'table' | 'last', string>>;

  constructor(of: SourceOf) {
    const constant = constantFields(of);
    const { version, connector, name, db, schema, table, xmin, origin, origin_lsn: originLsn } = constant;
    this.#constant = constant;
    this.#parts = {
      first: `{"version":${version},"connector":${connector},"name":${name},"ts_ms":`,
      db: `,"db":${db},"sequence":`,
      table: `,"schema":${schema},"table":${table},"txId":`,
      last: `,"xmin":${xmin},"origin":${origin},"origin_lsn":${originLsn}}`,
    };
  }

  /** The JSON of each field. */
  fields(transaction: TransactionContext, isRead: boolean): Fields {
    return { ...this.#constant, ...commitFields(transaction, isRead) };
  }

  /** The JSON of the whole. */
  json(transaction: TransactionContext, isRead: boolean): string {
    const { first, db, table, last } = this.#parts;
    const commit = commitFields(transaction, isRead);
    const times = `,"ts_us":${commit.ts_us},"ts_ns":${commit.ts_ns}`;
    return `${first}${commit.ts_ms},"snapshot":${commit.snapshot}${db}${commit.sequence}${times}${table}${commit.txId},"lsn":${commit.lsn}${last}`;
  }
}
