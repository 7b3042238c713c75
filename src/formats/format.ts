// The contract of a message format: compiled once per relation and sink, then run for every row.
import type { z } from 'zod';
import type { ByteWriter } from '../core/byte-writer.ts';
import type { MessageEncoding } from '../core/encoding.ts';
import type {
  Action,
  Moved,
  Relation,
  RowAction,
  RowEvent,
  TransactionContext,
  TransactionEnd,
} from '../core/change.ts';
import type { JsonObject, JsonType } from '../core/json-type.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Media, Message } from '../core/message.ts';
import type {
  ColumnForm,
  MaskedTexts,
  RenderOptions,
  SpreadInput,
  SpreadRenderer,
  ValueOptions,
} from '../core/render.ts';
import type { SchemaChange } from '../core/schema-change.ts';
import type { TableName } from '../core/selection.ts';
import type { ColumnPart } from '../core/template.ts';

/** What every message of one sink says of where it comes from. */
export type Envelope = {
  readonly sinkName: string;
  readonly sinkId: string;
  readonly sinkAnnotations: Readonly<Record<string, unknown>>;
  /** The database's name in the configuration. */
  readonly databaseName: string;
  readonly databaseId: string;
  readonly databaseAnnotations: Readonly<Record<string, unknown>>;
  /** The database's name in Postgres. */
  readonly postgresDatabase: string;
  readonly hostname: string;
};

/** `render` writes what is told of the value, which is not the value where the column is masked. */
export type MessageColumn = ColumnForm & {
  /** The place in `relation.columns`. */
  readonly index: number;
  /** In the message: in Postgres it may be called otherwise. */
  readonly name: string;
  /** Set where the members of its values are members of the message. */
  readonly spread?: ((message: SpreadInput) => SpreadRenderer) | undefined;
  /** What members those are, each of which may be missing. */
  readonly spreadType?: JsonObject | undefined;
};

/** A member of a message's row that is no column's. */
export type AddedMember = {
  readonly name: string;
  /** `isOld`: of the row before an update. */
  readonly write: (event: RowEvent, isOld: boolean, writer: ByteWriter) => boolean;
  /** Of a value that is not NULL. */
  readonly type: JsonType;
  /** What it is made of, without which it is NULL or absent. */
  readonly needs: readonly ColumnPart[];
};

export type CompileInput<Options = unknown> = {
  readonly relation: Relation;
  /** The partition that holds the rows, where `relation` has the name of a table above it. Of rows nothing is said of it. */
  readonly partition?: TableName | undefined;
  /** The columns that the message has, in order. */
  readonly columns: readonly MessageColumn[];
  /** What the row has beside its columns, behind them. */
  readonly added?: readonly AddedMember[];
  /** What else says a value of the row (its key) says it as these do. */
  readonly masks: MaskedTexts;
  readonly envelope: Envelope;
  /** What stands for columns of old rows that Postgres did not send. */
  readonly values: Pick<ValueOptions, 'absent'>;
  /** What the format's own schema made of the keys that the sink writes. */
  readonly options: Options;
  /** The actions whose changes come out where those of `action` do; none: the table's are not taken. */
  readonly actionsAt: (action: Action) => readonly Action[];
  /** Milliseconds since 1970: when a message is made. */
  readonly wallMs: () => number;
  /** How the messages are to lie in memory. */
  readonly encoding: MessageEncoding;
};

/** What differs from message to message besides the row itself. */
export type RenderContext = {
  transaction: TransactionContext;
  index: number;
  /** Appends its idempotency key. */
  key: Pick<Message, 'writeKey'>;
  /** The event is half of an update that changed the key: the delete of the old one, or the insert of the new one. */
  keyChange: boolean;
  /** The event was an update that took its row out of what the sink's filter names, or into it. */
  moved: Moved | undefined;
  /** The event is a row that a backfill has read. */
  read: boolean;
  /** Set by `render`: where in the writer what `renderOwn` would write begins and ends, and the escapes in it. Undefined: nowhere. */
  own?: { start: number; end: number; escapes: number } | undefined;
};

/** What is known of a table's rows beside its relation, for who describes messages of them. A column is its place in the relation. */
export type RowKnowledge = {
  readonly mayBeNull: (column: number) => boolean;
  /** May the new row be without it, as it did not change and was not sent again? */
  readonly mayBeUnchanged: (column: number, action: Action) => boolean;
  /** Where there is an old row: is it in there? */
  readonly inOldRow: (column: number, action: Action) => 'always' | 'sometimes' | 'never';
  /** Is there an old row with every update? */
  readonly updatesHaveOld: boolean;
  /** May a delete or an insert be half of an update that changed its key or route? */
  readonly halves: boolean;
  /** May it be an update whose row left what a filter names, or entered it? */
  readonly moves: boolean;
  /** It has partitions, which may have keys where it has none. */
  readonly isPartitioned: boolean;
};

export interface RenderPlan {
  /** Appends the message of a row event. */
  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void;
  /**
   * Appends the part of a row's message that is not the same in every sink with the same settings, or that is made faster than copied.
   * Undefined: no two sinks' messages are alike.
   */
  readonly renderOwn?: (action: RowAction, context: RenderContext, writer: ByteWriter) => void;
  /** Can it say that only a partition was emptied? Without `partition` true. */
  readonly tellsPartition: boolean;
  /** Appends the message of a TRUNCATE of this relation, or of the partition of it that the rows are in, which it names. */
  renderTruncate(context: RenderContext, writer: ByteWriter): void;
  /** Appends the message of a changed schema of this relation. */
  renderSchema(change: SchemaChange, context: RenderContext, writer: ByteWriter): void;
  /** What its messages of an action are, which the sink takes. */
  describe(action: Action, rows: RowKnowledge): JsonType;
}

/** The messages that begin and end a transaction. */
export interface TransactionForm {
  /** Appends the message that stands before its first change. */
  begin(transaction: TransactionContext, writer: ByteWriter): void;
  /** Appends the one behind its last. `endLsn`: what is committed later begins there. */
  commit(transaction: TransactionContext, endLsn: Lsn, writer: ByteWriter): void;
  describe(end: TransactionEnd): JsonType;
}

/** Of a sink's configuration, what a format may have no words for. */
export type SinkWish = {
  readonly actions: readonly string[];
  readonly ddl: 'ignore' | 'events';
  readonly destination: Readonly<Record<string, unknown>>;
  readonly tables: readonly {
    readonly flatten?: object | undefined;
    readonly add?: object | undefined;
    readonly rename?: Readonly<Record<string, string>> | undefined;
  }[];
};

export type FormatFault = { readonly path: readonly (string | number)[]; readonly message: string };

/** A format's whole definition: the configuration's schema, its documentation and the command line derive from it. */
export interface MessageFormat<Options = unknown> {
  readonly name: string;
  /** Keys of its own, which a sink of this format may write beside `format`. Each is optional; their names are no other format's. */
  readonly options?: z.ZodObject & z.ZodType<Options>;
  /** How values are written where the sink's configuration does not say. */
  readonly values: ValueOptions;
  /** Do timestamps without time zone get a `Z`? */
  readonly zonelessTimestampZ: boolean;
  /** What its own keys say of values, so that `values` cannot be written beside them; undefined: nothing. */
  readonly valuesOf?: (options: Options) => Partial<RenderOptions>;
  /** Its messages have the members that Sequin's path transforms begin with. */
  readonly takesPaths?: boolean;
  /** Its messages list the table's columns: there is no place for members that are none. */
  readonly listsColumns?: boolean;
  /** It puts members of its own beside the row's, which the table's columns may be called like. */
  readonly writesBeside?: boolean;
  /** What HTTP calls its messages; undefined: plain JSON. */
  readonly mediaOf?: (options: Options) => Media;
  /** How a changed key is told where the sink does not say. Default: as one update. */
  readonly keyChanges?: 'split';
  /** Set where it has messages that begin and end a transaction; undefined: with these options it has none. */
  readonly transactions?: (options: Options, encoding: MessageEncoding) => TransactionForm | undefined;
  /** What in a sink this format cannot do, with the cure. `path`: of the key in the sink. */
  readonly faultsOf?: (sink: SinkWish, options: Options) => readonly FormatFault[];
  /** What is no fault of a configuration, but may be one: said once at start, and by `check`. */
  readonly notesOf?: (options: Options) => readonly string[];
  /** Throws TailraceError (fatal) when the table cannot be rendered, e.g. a column clashes with a field of the format. */
  compile(input: CompileInput<Options>): RenderPlan;
}

/** How values are written in a sink of this format. `values`: as the sink chose them; `options`: what the format's schema made of its keys. */
export const renderOptions = (
  format: MessageFormat,
  values: ValueOptions,
  options: unknown,
): RenderOptions => ({
  ...values,
  zonelessTimestampZ: format.zonelessTimestampZ,
  ...format.valuesOf?.(options),
});

/** Has it messages that begin and end a transaction, with these options? */
export const tellsTransactions = (
  { transactions }: MessageFormat,
  options: unknown,
  encoding: MessageEncoding = 'json',
): boolean => transactions?.(options, encoding) !== undefined;
