// Values made of values, as Postgres prints them: arrays, composites, hstore, vectors. A text that does not follow
// its grammar (none is known) is rendered as text, never refused: invariant 6.
// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX
import { ByteWriter } from '../../core/byte-writer.ts';
import { writeJsonString } from '../../core/json.ts';
import { NUMBER, nullable, object, STRING } from '../../core/json-type.ts';
import type { ValueForm, ValueRenderer } from '../../core/render.ts';
import { NULL } from './scalar.ts';

const QUOTE = 0x22;
const OPEN_PARENTHESIS = 0x28;
const CLOSE_PARENTHESIS = 0x29;
const COMMA = 0x2c;
const COLON = 0x3a;
const EQUALS = 0x3d;
const GREATER = 0x3e;
const SPACE = 0x20;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Appends the JSON of `bytes[start, end)`; false: the text does not follow the grammar, what was written is void. */
type NestedWriter = (bytes: Buffer, start: number, end: number, writer: ByteWriter) => boolean;

function orElseText(write: NestedWriter): ValueRenderer {
  return (bytes, start, length, writer) => {
    const mark = writer.length;
    if (write(bytes, start, start + length, writer)) return;
    writer.length = mark;
    writeJsonString(bytes, start, length, writer);
  };
}

/** `{1,NULL,"a b"}`, nested, perhaps behind bounds (`[0:1]=`) that JSON arrays cannot tell → `[1,null,"a b"]`. */
export function arrayRenderer(element: ValueRenderer, delimiter: string): ValueRenderer {
  const delimiterByte = delimiter.charCodeAt(0);
  return orElseText((bytes, start, end, writer) => {
    let at = afterBounds(bytes, start, end);
    let depth = 0;
    // Each turn reads one element or opens one dimension.
    while (at < end) {
      if (bytes[at] === OPEN_BRACE) {
        writer.byte(OPEN_BRACKET);
        depth++;
        at++;
        if (bytes[at] !== CLOSE_BRACE) continue;
      } else if (depth === 0) {
        return false;
      } else {
        at = writeElement(bytes, at, end, element, delimiterByte, writer);
        if (at === -1) return false;
      }
      while (depth > 0 && at < end && bytes[at] === CLOSE_BRACE) {
        writer.byte(CLOSE_BRACKET);
        depth--;
        at++;
      }
      if (depth === 0) return at === end;
      if (bytes[at] !== delimiterByte) return false;
      writer.byte(COMMA);
      at++;
    }
    return false;
  });
}

function afterBounds(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] !== OPEN_BRACKET) return start;
  const equals = bytes.subarray(start, end).indexOf(EQUALS);
  return equals === -1 ? end : start + equals + 1;
}

/** Answers where the element ends; -1: there is none. */
function writeElement(
  bytes: Buffer,
  start: number,
  end: number,
  element: ValueRenderer,
  delimiter: number,
  writer: ByteWriter,
): number {
  if (bytes[start] === QUOTE) return writeQuoted(bytes, start, end, element, writer);
  let stop = start;
  while (stop < end && bytes[stop] !== delimiter && bytes[stop] !== CLOSE_BRACE) stop++;
  if (stop === start) return -1;
  if (isNullWord(bytes, start, stop)) writer.bytes(NULL);
  else element(bytes, start, stop - start, writer);
  return stop;
}

export type AttributeRenderer = {
  /** `"name":` */
  readonly prefix: Buffer;
  readonly render: ValueRenderer;
};

/** `(1,,"a ""b""")` → `{"x":1,"y":null,"z":"a \"b\""}`. Another number of attributes than the catalog's: text. */
export function compositeRenderer(attributes: readonly AttributeRenderer[]): ValueRenderer {
  return orElseText((bytes, start, end, writer) => {
    if (bytes[start] !== OPEN_PARENTHESIS) return false;
    writer.byte(OPEN_BRACE);
    let at = start + 1;
    for (let i = 0; i < attributes.length; i++) {
      if (i > 0) {
        if (at >= end || bytes[at] !== COMMA) return false;
        writer.byte(COMMA);
        at++;
      }
      const { prefix, render } = attributes[i]!;
      writer.bytes(prefix);
      at = writeAttribute(bytes, at, end, render, writer);
      if (at === -1) return false;
    }
    writer.byte(CLOSE_BRACE);
    return at === end - 1 && bytes[at] === CLOSE_PARENTHESIS;
  });
}

function writeAttribute(
  bytes: Buffer,
  start: number,
  end: number,
  render: ValueRenderer,
  writer: ByteWriter,
): number {
  if (start < end && bytes[start] === QUOTE) return writeQuoted(bytes, start, end, render, writer);
  let stop = start;
  while (stop < end && bytes[stop] !== COMMA && bytes[stop] !== CLOSE_PARENTHESIS) stop++;
  if (stop === start) writer.bytes(NULL);
  else render(bytes, start, stop - start, writer);
  return stop;
}

/** `"a"=>"1", "b"=>NULL` → `{"a":"1","b":null}`. https://www.postgresql.org/docs/current/hstore.html */
export const writeHstore: ValueRenderer = orElseText((bytes, start, end, writer) => {
  writer.byte(OPEN_BRACE);
  let at = start;
  while (at < end) {
    if (at > start) {
      if (bytes[at] !== COMMA || bytes[at + 1] !== SPACE) return false;
      writer.byte(COMMA);
      at += 2;
    }
    if (bytes[at] !== QUOTE) return false;
    at = writeQuoted(bytes, at, end, writeJsonString, writer);
    if (at === -1 || bytes[at] !== EQUALS || bytes[at + 1] !== GREATER) return false;
    writer.byte(COLON);
    at += 2;
    if (isNullWord(bytes, at, at + 4)) {
      writer.bytes(NULL);
      at += 4;
    } else {
      if (bytes[at] !== QUOTE) return false;
      at = writeQuoted(bytes, at, end, writeJsonString, writer);
      if (at === -1) return false;
    }
  }
  writer.byte(CLOSE_BRACE);
  return at === end;
});

export const HSTORE: ValueForm = {
  render: writeHstore,
  type: object([], [{ prefix: '', type: nullable(STRING) }]),
};

/** pgvector's dense vectors print as JSON arrays of numbers; another type of that name may print as it likes. */
const VECTOR_TEXT = /^\[(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?(?:,(?!\])|(?=\])))*\]$/;

const writeVector: ValueRenderer = orElseText((bytes, start, end, writer) => {
  if (!VECTOR_TEXT.test(bytes.toString('latin1', start, end))) return false;
  writer.bytes(bytes, start, end);
  return true;
});

export const VECTOR: ValueForm = { render: writeVector, type: { kind: 'array', items: NUMBER } };

const isNullWord = (bytes: Buffer, start: number, end: number): boolean =>
  end - start === 4 &&
  bytes[start] === 0x4e &&
  bytes[start + 1] === 0x55 &&
  bytes[start + 2] === 0x4c &&
  bytes[start + 3] === 0x4c;

/** Unquoted texts, used as a stack: what is rendered may hold quoted texts of its own. */
const scratch = new ByteWriter();
const MAX_SCRATCH_KEPT_BYTES = 1024 * 1024;

/**
 * Renders the quoted text whose opening quote is at `start` and answers where it ends, -1 when it does not. Inside,
 * `\x` stands for x and `""` for `"`; arrays and hstore have the first only, composites both.
 */
function writeQuoted(
  bytes: Buffer,
  start: number,
  end: number,
  render: ValueRenderer,
  writer: ByteWriter,
): number {
  const base = scratch.length;
  let runStart = start + 1;
  for (let i = runStart; i < end; i++) {
    const byte = bytes[i]!;
    if (byte !== BACKSLASH && byte !== QUOTE) continue;
    if (byte === BACKSLASH || (i + 1 < end && bytes[i + 1] === QUOTE)) {
      scratch.bytes(bytes, runStart, i);
      i++;
      runStart = i;
      continue;
    }
    if (scratch.length === base) {
      render(bytes, runStart, i - runStart, writer);
    } else {
      scratch.bytes(bytes, runStart, i);
      render(scratch.buffer, base, scratch.length - base, writer);
    }
    releaseScratch(base);
    return i + 1;
  }
  releaseScratch(base);
  return -1;
}

function releaseScratch(base: number): void {
  scratch.length = base;
  // Invariant 8: one huge value must not be paid for ever.
  if (base === 0 && scratch.buffer.length > MAX_SCRATCH_KEPT_BYTES) {
    scratch.buffer = Buffer.allocUnsafeSlow(MAX_SCRATCH_KEPT_BYTES);
  }
}
