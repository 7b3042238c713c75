// A format of which every message is one value of what another one would say: a path into it, as Sequin's path transforms have them.
// https://sequinstream.com/docs/reference/transforms#path-transform Hot (bench/micro/render.ts).
import { ByteWriter } from '../core/byte-writer.ts';
import type { Action, RowEvent } from '../core/change.ts';
import { escapeFrom, literal, type MessageEncoding } from '../core/encoding.ts';
import { narrowToMember, type JsonRange } from '../core/json-member.ts';
import { typeAt, type JsonType } from '../core/json-type.ts';
import type { SchemaChange } from '../core/schema-change.ts';
import type { MessageFormat, RenderContext, RenderPlan, RowKnowledge } from './format.ts';

/** Names, from the message itself inwards: `record`, `address`, `city`. */
export type MessagePath = readonly string[];

const NULL = literal('null', 'json');
/** A message's own members, and columns: no two have the same name. */
const UNIQUE_DEPTH = 2;

/** Where a message has nothing at the path, `null` is sent. */
export const atPath = (format: MessageFormat, path: MessagePath): MessageFormat => ({
  ...format,
  compile: (input) => new PathPlan(format.compile({ ...input, encoding: 'json' }), path, input.encoding),
});

class PathPlan implements RenderPlan {
  readonly #whole: RenderPlan;
  readonly #path: MessagePath;
  readonly #names: readonly Buffer[];
  readonly #encoding: MessageEncoding;
  readonly #scratch = new ByteWriter();
  readonly #range: JsonRange = { start: 0, end: 0 };
  readonly tellsPartition: boolean;

  constructor(whole: RenderPlan, path: MessagePath, encoding: MessageEncoding) {
    this.#whole = whole;
    this.#path = path;
    this.#names = path.map((name) => Buffer.from(name));
    this.#encoding = encoding;
    const [, member] = path;
    this.tellsPartition =
      whole.tellsPartition && path[0] === 'metadata' && (member === undefined || member === 'partition');
  }

  render(event: RowEvent, context: RenderContext, writer: ByteWriter): void {
    this.#scratch.reset();
    this.#whole.render(event, context, this.#scratch);
    this.#narrow(writer);
  }

  renderTruncate(context: RenderContext, writer: ByteWriter): void {
    this.#scratch.reset();
    this.#whole.renderTruncate(context, this.#scratch);
    this.#narrow(writer);
  }

  renderSchema(change: SchemaChange, context: RenderContext, writer: ByteWriter): void {
    this.#scratch.reset();
    this.#whole.renderSchema(change, context, this.#scratch);
    this.#narrow(writer);
  }

  describe(action: Action, rows: RowKnowledge): JsonType {
    return this.#path.reduce(typeAt, this.#whole.describe(action, rows));
  }

  #narrow(writer: ByteWriter): void {
    const range = this.#range;
    range.start = 0;
    range.end = this.#scratch.length;
    const { buffer } = this.#scratch;
    for (let depth = 0; depth < this.#names.length; depth++) {
      if (!narrowToMember(buffer, range, this.#names[depth]!, depth < UNIQUE_DEPTH))
        return writer.literal(NULL);
    }
    const start = writer.length;
    writer.bytes(buffer, range.start, range.end);
    if (this.#encoding === 'json-string') escapeFrom(start, writer);
  }
}
