// A message: one change rendered for a consumer, as a sink sees it.
import type { ByteWriter } from './byte-writer.ts';
import type { MessageAction } from './change.ts';
import type { Position } from './position.ts';

/** A column's value as Postgres' text; null: NULL. */
export type ColumnText = { readonly name: string; readonly text: string | null };

/** What the row itself says, besides the message's body. */
export type RowFacts = {
  /** The key's columns in key order, of a delete as the row was; what was not sent is left out. Empty: the table has no key. */
  readonly key: readonly ColumnText[];
  /** Columns that are absent from the body because they did not change and Postgres did not send them again (TOAST). */
  readonly unchangedColumns: readonly string[];
};

export interface Message {
  readonly position: Position;
  /** The rendered JSON is `buffer[start, end)`, UTF-8, in the sink's encoding. Valid until `deliver` settles. */
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** Length of the JSON in bytes, without what the encoding has added. */
  readonly jsonBytes: number;
  /** The message group: order holds inside it. Any text, any length. */
  readonly group: string;
  /** Where it goes: queue URL, topic, … Set from `Sink.routeOf`. */
  readonly route: string;
  readonly action: MessageAction;
  /** Both are empty where the message is of no table. */
  readonly schema: string;
  readonly table: string;
  /** Identifies the change for ever; at most 128 characters of `[A-Za-z0-9_-]`. */
  readonly idempotencyKey: string;
  /** Appends that key, without making a text of it. */
  writeKey(writer: ByteWriter): void;
  /** Where a rewind of rows sends the change again: what makes this another delivery than those before, in characters of the key. */
  readonly repeat?: string | undefined;
  /** Microseconds since 1970, by the server's clock. Undefined: a dead letter that is sent again, which does not know. */
  readonly commitTimeUs: bigint | undefined;
  /** Only where the sink asks for it (`Sink.wantsRow`). Undefined also of a TRUNCATE, and of a dead letter that is sent again. */
  readonly row: RowFacts | undefined;
  /** The sink's own group id where it has a template (SQS `group_id`); undefined: use `group`. */
  readonly groupId: string | undefined;
}

/** What HTTP calls messages: content types of one, and of several in a JSON array. */
export type Media = {
  readonly message: string;
  readonly batch: string;
  /** Set where the members in front of `data`, texts all of them, go into headers with this prefix, and `data` alone into the body. */
  readonly headerPrefix?: string;
};
