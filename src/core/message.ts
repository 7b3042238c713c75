// A message: one change rendered for a consumer, as a sink sees it.
import type { Action } from './change.ts';
import type { Position } from './position.ts';

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
  readonly action: Action;
  readonly schema: string;
  readonly table: string;
  /** Identifies the change for ever; at most 128 characters of `[A-Za-z0-9_-]`. */
  readonly idempotencyKey: string;
  /** The sink's own group id where it has a template (SQS `group_id`); undefined: use `group`. */
  readonly groupId: string | undefined;
}
