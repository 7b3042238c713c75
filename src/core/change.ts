// A change as it stands in the log: relations with their types, and row events as byte ranges of a buffer.
// Hot file: a RowEvent and its tuples are scratch objects, filled again for every row (bench/micro).
import type { Lsn } from './lsn.ts';
import type { SchemaChange, ShapeDifference } from './schema-change.ts';
import type { TableName } from './selection.ts';

export type Action = 'insert' | 'update' | 'delete' | 'truncate' | 'read' | 'schema';
/** The messages around the changes of a transaction: they are of no table. */
export type TransactionEnd = 'begin' | 'commit';
export type MessageAction = Action | TransactionEnd;
export type RowAction = 'insert' | 'update' | 'delete';
/** The two messages of an update that changed its key (`key_changes: split`). */
export type Half = 'delete' | 'insert';
/**
 * What is settled by itself of a change that is several messages: a half, what tells of the schema that it is the first row of, or what
 * begins the transaction that it is the first row event of.
 */
export type Part = Half | 'schema' | 'begin';
/** What the ledger says of a change that is settled in part. `row`: the row itself, where what begins its transaction is not. */
export type SettledPart = Part | 'row';
/** An update that took a row out of the set that a sink's filter names, or into it (`where_moves: convert`). */
export type Moved = 'out' | 'in';
export const SETTLED_PARTS: readonly SettledPart[] = ['delete', 'insert', 'schema', 'begin', 'row'];
export const ROW_ACTIONS: readonly RowAction[] = ['insert', 'update', 'delete'];

/** What the renderer must know of a type that is not built in (found in the catalog, logged with the relation). */
export type TypeInfo =
  | { readonly kind: 'base'; readonly name: string }
  /** `labels`: in their order, as they were when the relation was logged; undefined: not known. */
  | { readonly kind: 'enum'; readonly name: string; readonly labels?: readonly string[] }
  /** `modifier`: of the base; undefined: there is none, or it is not known. */
  | { readonly kind: 'domain'; readonly name: string; readonly base: number; readonly modifier?: number }
  | { readonly kind: 'array'; readonly name: string; readonly element: number; readonly delimiter: string }
  | {
      readonly kind: 'composite';
      readonly name: string;
      readonly attributes: readonly { readonly name: string; readonly type: number }[];
    }
  | { readonly kind: 'range'; readonly name: string }
  | { readonly kind: 'multirange'; readonly name: string };

/** Types by OID. Built-in OIDs need no entry. */
export type TypeCatalog = ReadonlyMap<number, TypeInfo>;

/**
 * Which characters beyond ASCII `lower` and `upper` map otherwise than Unicode does, one by one; written as
 * src/functions/where/letters/runs.ts does it.
 */
export type CaseTable = { readonly lower: string; readonly upper: string };

/** What must be known of a collation to judge texts as the server does. https://www.postgresql.org/docs/current/collation.html */
export type CollationFacts = {
  /** Are equal texts equal bytes? */
  readonly isDeterministic: boolean;
  /** Is its order that of the bytes? */
  readonly isByteOrder: boolean;
  /** Which letters `lower` and `upper` know: only ASCII's; others too; or even ASCII's in their own way (Turkish). */
  readonly letters: 'ascii' | 'more' | 'own';
  /** Of `more`: which, where the server has said so. */
  readonly cases?: CaseTable;
};

/** What texts are counted, cut and ordered by. */
export type TextUnit = 'bytes' | 'characters';

/** The collations of a table's columns. */
export type Collations = {
  /** Of texts that come as UTF-8, what is another in the database: its bytes in other encodings, its characters in SQL_ASCII; undefined: it is UTF8. */
  readonly foreignUnit?: TextUnit;
  /** The database's own, of every column that `own` does not name. */
  readonly default: CollationFacts;
  readonly own: Readonly<Record<string, CollationFacts & { readonly name: string }>>;
};

/** https://www.postgresql.org/docs/current/catalog-pg-class.html (relreplident) */
export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index';

export type Column = {
  readonly name: string;
  readonly type: number;
  readonly typeModifier: number;
  /** Flagged in the Relation message as part of the replica identity (every column under FULL). */
  readonly identity: boolean;
  /** A generated column that is only sent because some table's key has one: in messages where it is asked for. */
  readonly generated?: true;
};

/** A partitioned table above a partition. `published`: by its own entry, its schema, or with all. */
export type Ancestor = TableName & { readonly oid: number; readonly published: boolean };

/** How a relation belongs to others. */
export type Lineage = {
  /** It is partitioned: rows come under its id only as those of its partitions, whose identities may be less than its own. */
  readonly partitioned?: true;
  /** Of a partition: the root first, its parent last. */
  readonly ancestors?: readonly Ancestor[];
  /** The catalog did not have it any more: whose partition it was is not known. */
  readonly gone?: true;
};

/** A table's shape at one place of the stream. */
export type Relation = Lineage & {
  readonly id: number;
  readonly schema: string;
  readonly table: string;
  readonly replicaIdentity: ReplicaIdentity;
  readonly columns: readonly Column[];
  /**
   * Names of the key columns, in key order: the primary key where there is one, else the replica identity's
   * columns; empty when the table has neither.
   */
  readonly key: readonly string[];
  /**
   * Where the catalog alone says the key (identity FULL): the xid that made it so, 0 for one that is older than everything.
   * The table had this key when a transaction after that wrote to it; of others nobody knows. Undefined: the stream says it.
   */
  readonly keySince?: number | 'unknown' | undefined;
  readonly types: TypeCatalog;
  /** The types of the columns as SQL writes them; null and undefined: not known when the relation was logged. */
  readonly typeNames?: readonly (string | null)[] | undefined;
  /** The rows that were written before it looked otherwise. */
  readonly schemaChange?: SchemaChange | undefined;
  /** What else came before and looked otherwise, which nobody is told of: where a backfill has read the rows, or reads these, or where the table was looked at before its first. */
  readonly untold?: readonly ShapeDifference[] | undefined;
  /** Undefined: not known when the relation was logged. */
  readonly collations?: Collations | undefined;
};

/**
 * What all changes of one transaction share. One object per transaction (another one from each marker in it on), never
 * one per row.
 */
export type TransactionContext = {
  readonly epoch: number;
  readonly commitLsn: Lsn;
  /** End LSN of the transaction logged before this one: everything up to it precedes this transaction. */
  readonly previousEndLsn: Lsn;
  /** Microseconds since 1970-01-01T00:00:00Z, as the server's clock said at commit. */
  readonly commitTimeUs: bigint;
  readonly xid: number;
  /** The timeline that owns `commitLsn` (architecture §3: idempotency keys). */
  readonly timeline: number;
  /** What the application said about the changes from here on: a JSON document. */
  readonly annotations?: string | undefined;
};

/** Column lengths with a meaning of their own, in `Tuple.lengths`. */
export const NULL_VALUE = -1;
export const UNCHANGED_TOAST = -2;
/** Not sent at all (a non-key column of an old key tuple). */
export const NOT_SENT = -3;

/** One row version: `starts[i]`, `lengths[i]` is the byte range of column i in `RowEvent.bytes`. */
export type Tuple = {
  columnCount: number;
  starts: Int32Array;
  lengths: Int32Array;
  /** `damaged[0, damagedCount)`: columns whose text the database could not read; U+FFFD stands for what is lost. */
  damagedCount: number;
  damaged: Int16Array;
};

/** A row event, as byte ranges. Scratch: valid until the next one is decoded. */
export type RowEvent = {
  action: RowAction;
  relationId: number;
  bytes: Buffer;
  /** The new row (insert, update). */
  hasNew: boolean;
  readonly newTuple: Tuple;
  /** The old row: 'key' has only the identity's columns, 'full' all of them, 'some' those that are not NOT_SENT. */
  oldKind: 'none' | 'key' | 'full' | 'some';
  readonly oldTuple: Tuple;
};

/** Was the text of this column damaged? Cold: a row with damage is rare. */
export const isDamaged = ({ damaged, damagedCount }: Tuple, index: number): boolean =>
  damagedCount > 0 && damaged.subarray(0, damagedCount).includes(index);

/**
 * Is a column's text the same in the old row and the new one? Equal bytes are an equal value (the reverse need not hold: `1.0` and
 * `1.00`); so are two NULLs. Asked where both rows have the column.
 */
export function hasSameText({ bytes, newTuple, oldTuple }: RowEvent, index: number): boolean {
  const length = newTuple.lengths[index]!;
  if (length !== oldTuple.lengths[index]) return false;
  const start = newTuple.starts[index]!;
  const oldStart = oldTuple.starts[index]!;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== bytes[oldStart + i]) return false;
  return true;
}

/** Postgres allows 1600 columns a table. https://www.postgresql.org/docs/current/limits.html */
export const MAX_COLUMNS = 1600;

export function createRowEvent(): RowEvent {
  const tuple = (): Tuple => ({
    columnCount: 0,
    starts: new Int32Array(MAX_COLUMNS),
    lengths: new Int32Array(MAX_COLUMNS),
    damagedCount: 0,
    damaged: new Int16Array(MAX_COLUMNS),
  });
  return {
    action: 'insert',
    relationId: 0,
    bytes: Buffer.alloc(0),
    hasNew: false,
    newTuple: tuple(),
    oldKind: 'none',
    oldTuple: tuple(),
  };
}
