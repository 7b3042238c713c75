// Flattened columns: the members of a JSON object as members of the message, `address_city`. Pure; hot where a column is flattened
// (bench/micro/render.ts). A value stays whole, under its column's name, where it is no object, or where a name would stand twice.
import { ByteWriter } from '../../core/byte-writer.ts';
import { isJson } from '../../core/json-grammar.ts';
import { afterBlanks, afterString, afterValue, JSON_BYTES } from '../../core/json-steps.ts';
import {
  ANY,
  object,
  unnamed,
  withoutNull,
  type JsonMember,
  type JsonObject,
  type JsonType,
} from '../../core/json-type.ts';
import { jsonText } from '../../core/json.ts';
import type { SpreadRenderer, ValueRenderer } from '../../core/render.ts';
import type { FlattenRule } from './rules.ts';

/** Objects in objects: deeper ones stay whole. */
export const MAX_DEPTH = 16;
/** Of one value; with more it stays whole. */
const MAX_MEMBERS = 1000;
const MAX_SCRATCH_KEPT_BYTES = 1024 * 1024;

const { backslash: BACKSLASH, comma: COMMA, openBrace: OPEN_BRACE, closeBrace: CLOSE_BRACE } = JSON_BYTES;
const LAST_ASCII = 0x7f;

/** A value of the document is `bytes[start, end)`. */
type Member = { readonly name: string; readonly start: number; readonly end: number };

/**
 * Writes what `render` makes of a value, member by member. `name`: of the column in the message; `taken`: names that stand in the
 * message otherwise.
 */
export function spreadWith(
  render: ValueRenderer,
  {
    name,
    rule,
    taken,
  }: { readonly name: string; readonly rule: FlattenRule; readonly taken: ReadonlySet<string> },
): SpreadRenderer {
  let scratch = new ByteWriter(1024);
  const labels = new Map<string, Buffer>();
  const labelOf = (member: string): Buffer => {
    const known = labels.get(member);
    if (known !== undefined) return known;
    if (labels.size === MAX_MEMBERS) labels.clear();
    const label = Buffer.from(`${jsonText(member)}:`);
    labels.set(member, label);
    return label;
  };
  return (bytes, start, length, isFirst, writer) => {
    if (scratch.buffer.length > MAX_SCRATCH_KEPT_BYTES) scratch = new ByteWriter(1024);
    scratch.reset();
    render(bytes, start, length, scratch);
    const { buffer, length: end } = scratch;
    if (!isJson(buffer, 0, end)) return false;
    const members = flatMembers(buffer, end, { name, rule });
    if (members === undefined || members.some((member) => taken.has(member.name))) return false;
    let first = isFirst;
    for (const member of members) {
      if (!first) writer.byte(COMMA);
      first = false;
      writer.bytes(labelOf(member.name));
      writer.bytes(buffer, member.start, member.end);
    }
    return true;
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

/** Of the document `bytes[0, end)`; undefined: it is no object, is empty, has too many members, or a name twice. */
function flatMembers(
  bytes: Buffer,
  end: number,
  { name, rule }: { readonly name: string; readonly rule: FlattenRule },
): readonly Member[] | undefined {
  const found: Member[] = [];
  const names = new Set<string>();
  const isComplete = collect(afterBlanks(bytes, 0, end), name, rule.depth);
  return isComplete && found.length > 0 ? found : undefined;

  /** `at`: where a value begins. Its members go in; false: they cannot. */
  function collect(at: number, prefix: string, depth: number): boolean {
    if (bytes[at] !== OPEN_BRACE) return false;
    let next = afterBlanks(bytes, at + 1, end);
    while (bytes[next] !== CLOSE_BRACE) {
      const keyEnd = afterString(bytes, next);
      const key = prefix + rule.separator + nameAt(bytes, next, keyEnd);
      const valueStart = afterBlanks(bytes, afterBlanks(bytes, keyEnd, end) + 1, end);
      const valueEnd = afterValue(bytes, valueStart);
      const isSpread = depth > 1 && isFilledObject(bytes, valueStart, valueEnd);
      if (isSpread) {
        if (!collect(valueStart, key, depth - 1)) return false;
      } else {
        if (names.has(key) || names.size === MAX_MEMBERS) return false;
        names.add(key);
        found.push({ name: key, start: valueStart, end: valueEnd });
      }
      next = afterBlanks(bytes, valueEnd, end);
      if (bytes[next] === COMMA) next = afterBlanks(bytes, next + 1, end);
    }
    return true;
  }
}

const isFilledObject = (bytes: Buffer, start: number, end: number): boolean =>
  bytes[start] === OPEN_BRACE && bytes[afterBlanks(bytes, start + 1, end)] !== CLOSE_BRACE;

// Below the document is known to be JSON.

/** Of the string `bytes[start, end)`. */
function nameAt(bytes: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH || byte > LAST_ASCII)
      return JSON.parse(bytes.toString('utf8', start, end)) as string;
  }
  return bytes.toString('latin1', start + 1, end - 1);
}
