// Rendering one column: Postgres text in, JSON bytes out.
import type { ByteWriter } from './byte-writer.ts';
import type { MessageEncoding } from './encoding.ts';
import type { JsonType } from './json-type.ts';

/** Appends the JSON of the value whose Postgres text is `bytes[start, start + length)`. Never called for NULL. */
export type ValueRenderer = (bytes: Buffer, start: number, length: number, writer: ByteWriter) => void;

/** What must be known of a message to write members that stand for a value. */
export type SpreadInput = {
  /** Names that stand in the message otherwise. */
  readonly taken: ReadonlySet<string>;
  readonly encoding: MessageEncoding;
};

/**
 * Appends the members that stand for a value, `"a_x":1,"a_y":2`, in the message's encoding, behind a comma unless they are the first;
 * false: it has none, and nothing is written. Never called for NULL.
 */
export type SpreadRenderer = (
  bytes: Buffer,
  start: number,
  length: number,
  isFirst: boolean,
  writer: ByteWriter,
) => boolean;

/** Appends the JSON of a member that is no column's; false: it is absent, and nothing is written. */
export type MemberRenderer<Row> = (row: Row, writer: ByteWriter) => boolean;

/** What is told of a value whose Postgres text is `bytes[start, start + length)`. Never called for NULL. */
export type TextOf<Text extends string | null = string> = (
  bytes: Buffer,
  start: number,
  length: number,
) => Text;

/** How a value is written, and what JSON that gives. */
export type ValueForm = { readonly render: ValueRenderer; readonly type: JsonType };

/** What is told in the place of a value that stays here. */
export type MaskedText = ValueForm & {
  /** The same as a text. null: NULL. */
  readonly textOf: TextOf<string | null>;
};

/** Columns whose values stay here, by their names in Postgres. */
export type MaskedTexts = ReadonlyMap<string, MaskedText>;

/** The forms of values that can be chosen: a format is a set of defaults for them. */
export type ValueOptions = {
  /** numeric → `string` (exact text), `number` (exact digits as a JSON number), `float` (a double; NaN, ±Infinity → null). */
  readonly numeric: 'string' | 'number' | 'float';
  readonly json: 'embed' | 'string';
  readonly bytea: 'hex' | 'base64';
  /** interval → `iso8601` (a duration), `object` (`{"months","days","microseconds"}`). */
  readonly interval: 'iso8601' | 'object';
  /** Composites → an `object` by attribute, or Postgres' `text`. */
  readonly composite: 'object' | 'text';
  readonly hstore: 'object' | 'text';
  /** pgvector's types → an `array` of numbers, or Postgres' `text`. */
  readonly vector: 'array' | 'text';
  readonly halfvec: 'array' | 'text';
  /** timestamp and timestamptz → ISO 8601, or whole microseconds since 1970. */
  readonly timestamps: 'iso8601' | 'unix_microsecond';
  /** Fraction digits of timestamps: always 6, or those that are not zero at the end. */
  readonly timestampDigits: 6 | 'as_needed';
  /** A column of a deleted row that Postgres did not send → left out (`omit`), or `null`. */
  readonly absent: 'omit' | 'null';
  /** An unchanged TOAST value that Postgres did not send → left out (`omit`), or the `text` "unchanged_toast". */
  readonly unchanged: 'omit' | 'text';
};

/** Values as Debezium's connector writes them, where its options leave a choice. Names and words are Debezium's. */
export type DebeziumValues = {
  readonly time:
    'adaptive' | 'adaptive_time_microseconds' | 'connect' | 'isostring' | 'microseconds' | 'nanoseconds';
  readonly decimal: 'precise' | 'double' | 'string';
  readonly interval: 'numeric' | 'string';
  readonly binary: 'bytes' | 'base64' | 'base64-url-safe' | 'hex';
  readonly hstore: 'json' | 'map';
  /** Digits that `money` has behind its point. */
  readonly moneyFractionDigits: number;
  /** What stands for an unchanged value that Postgres did not send. */
  readonly unavailable: string;
};

/** Values as wal2json writes them. */
export type Wal2jsonValues = { readonly numbersAsString: boolean };

/** All that decides how a value is written. */
export type RenderOptions = ValueOptions & {
  /** Do timestamps without time zone get a `Z`? */
  readonly zonelessTimestampZ: boolean;
  /** Set where values are written as Debezium does: then nothing else counts but `absent`. */
  readonly debezium?: DebeziumValues | undefined;
  /** The same of wal2json. */
  readonly wal2json?: Wal2jsonValues | undefined;
};

/** How a message has one column. `type`: of a value that is not NULL. */
export type ColumnForm = ValueForm & {
  /** The JSON that stands for an unchanged value which Postgres did not send; undefined: the column is left out. */
  readonly unchanged: string | undefined;
};
