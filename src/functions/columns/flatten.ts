// Flattened columns: the members of a JSON object as members of the message, `address_city`. Pure; hot where a column is flattened
// (bench/micro/render.ts). A value stays whole, under its column's name, where it is no object, or where a name would stand twice.
import { ByteWriter } from '../../core/byte-writer.ts';
import { escapeFrom } from '../../core/encoding.ts';
import { isJson } from '../../core/json-grammar.ts';
import { afterBlanks, afterValue, JSON_BYTES } from '../../core/json-steps.ts';
import {
  ANY,
  object,
  unnamed,
  withoutNull,
  type JsonMember,
  type JsonObject,
  type JsonType,
} from '../../core/json-type.ts';
import { writeJsonDocument } from '../../core/json.ts';
import type { SpreadInput, SpreadRenderer, ValueRenderer } from '../../core/render.ts';
import { MemberNames, type KnownKeys } from './member-names.ts';
import type { FlattenRule } from './rules.ts';

/** Objects in objects: deeper ones stay whole. */
export const MAX_DEPTH = 16;
/** Of one value; with more it stays whole. */
const MAX_MEMBERS = 1000;
const MAX_SCRATCH_KEPT_BYTES = 1024 * 1024;

const { comma: COMMA, openBrace: OPEN_BRACE, closeBrace: CLOSE_BRACE, quote: QUOTE } = JSON_BYTES;
const COLON = 0x3a;

/** What `spreadWith` is told of a column. */
type Flattened = SpreadInput & {
  /** In the message. */
  readonly name: string;
  readonly rule: FlattenRule;
};

/** Writes what `render` makes of a value, member by member. */
export function spreadWith(render: ValueRenderer, column: Flattened): SpreadRenderer {
  const members = new MemberWriter(column);
  // The text is what would be written: the server says that it is JSON.
  if (render === writeJsonDocument)
    return (bytes, start, length, isFirst, writer) =>
      members.write(bytes, start, start + length, isFirst, writer);
  let scratch = new ByteWriter(1024);
  return (bytes, start, length, isFirst, writer) => {
    if (scratch.buffer.length > MAX_SCRATCH_KEPT_BYTES) scratch = new ByteWriter(1024);
    scratch.reset();
    render(bytes, start, length, scratch);
    const { buffer, length: end } = scratch;
    return isJson(buffer, 0, end) && members.write(buffer, 0, end, isFirst, writer);
  };
}

/** What members the values of `type` can give. Each may be missing, as a value may stay whole. */
export function spreadType(type: JsonType, name: string, rule: FlattenRule): JsonObject {
  const members: JsonMember[] = [];
  const others: { readonly prefix: string; readonly type: JsonType }[] = [];
  collect(type, name, rule.depth);
  return object(members, others);

  function collect(at: JsonType, prefix: string, depth: number): void {
    const whole = unnamed(withoutNull(at));
    if (whole.kind === 'any') others.push({ prefix: prefix + rule.separator, type: ANY });
    if (whole.kind !== 'object') return;
    for (const each of whole.members) {
      const key = prefix + rule.separator + each.name;
      members.push({ ...each, name: key });
      if (depth > 1) collect(each.type, key, depth - 1);
    }
  }
}

class MemberWriter {
  readonly #names: MemberNames;
  readonly #depth: number;
  readonly #isEscaped: boolean;
  /** Of the value in hand. */
  #value = 0;
  #count = 0;
  #isFirst = true;
  /** Where the object that was written last ends. */
  #at = 0;

  constructor({ name, rule, taken, encoding }: Flattened) {
    this.#names = new MemberNames({ name, separator: rule.separator, taken, encoding });
    this.#depth = rule.depth;
    this.#isEscaped = encoding === 'json-string';
  }

  /** Of the document `bytes[start, end)`. False, and nothing is written: it is no object, is empty, has too many members, or a name twice. */
  write(bytes: Buffer, start: number, end: number, isFirst: boolean, writer: ByteWriter): boolean {
    const { length, escapes } = writer;
    this.#value++;
    this.#count = 0;
    this.#isFirst = isFirst;
    const at = afterBlanks(bytes, start, end);
    const isWritten = this.#writeObject(bytes, at, end, this.#names.beginValue(), this.#depth, writer);
    if (isWritten && this.#count > 0) return true;
    writer.truncate(length, escapes);
    return false;
  }

  #writeObject(
    bytes: Buffer,
    start: number,
    end: number,
    keys: KnownKeys,
    depth: number,
    writer: ByteWriter,
  ): boolean {
    if (bytes[start] !== OPEN_BRACE) return false;
    keys.next = 0;
    let at = afterBlanks(bytes, start + 1, end);
    while (bytes[at] === QUOTE) {
      const key = this.#names.keyAt(keys, bytes, at);
      if (key === undefined) return false;
      at = afterBlanks(bytes, at + key.written.length + 2, end);
      if (bytes[at] !== COLON) return false;
      const valueStart = afterBlanks(bytes, at + 1, end);
      if (depth > 1 && isFilledObject(bytes, valueStart, end)) {
        const members = this.#names.membersOf(key);
        if (!this.#writeObject(bytes, valueStart, end, members, depth - 1, writer)) return false;
        at = this.#at;
      } else {
        const { label } = key;
        if (label.written === undefined || label.seenIn === this.#value || ++this.#count > MAX_MEMBERS)
          return false;
        label.seenIn = this.#value;
        writer.literal(this.#isFirst ? label.written.first : label.written.next);
        this.#isFirst = false;
        at = afterValue(bytes, valueStart);
        const from = writer.length;
        writeJsonDocument(bytes, valueStart, at - valueStart, writer);
        if (this.#isEscaped) escapeFrom(from, writer);
      }
      at = afterBlanks(bytes, at, end);
      if (bytes[at] !== COMMA) break;
      at = afterBlanks(bytes, at + 1, end);
    }
    this.#at = at + 1;
    return at < end && bytes[at] === CLOSE_BRACE;
  }
}

const isFilledObject = (bytes: Buffer, start: number, end: number): boolean =>
  bytes[start] === OPEN_BRACE && bytes[afterBlanks(bytes, start + 1, end)] !== CLOSE_BRACE;
