// The key of a row as an array of texts, as Postgres prints them: `metadata.record_pks`. Hot file: plain loops on purpose
// (bench/micro/render.ts).
import type { ByteWriter, Literal } from '../core/byte-writer.ts';
import { MAX_COLUMNS, NULL_VALUE, type RowEvent, type Tuple } from '../core/change.ts';
import { escapeFrom, literal } from '../core/encoding.ts';
import { writeJsonString } from '../core/json.ts';
import type { ValueRenderer } from '../core/render.ts';
import type { CompileInput } from './format.ts';

const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Printed ASCII. */
const FIRST_PLAIN = 0x20;
const LAST_PLAIN = 0x7e;
/** As a rule a key is short, and nothing in it is to be escaped. */
const MAX_SHORT_BYTES = 64;
const NULL: Literal = literal('null', 'json');

type KeyColumn = {
  /** Its place in the relation. */
  readonly index: number;
  /** Part of the replica identity: an old key tuple knows it. */
  readonly identity: boolean;
  /** What is told in the place of a value that stays here. */
  readonly masked: ValueRenderer | undefined;
};

export class KeyTexts {
  /** In the order of the table's columns, as Sequin has them. */
  readonly #columns: readonly KeyColumn[];
  readonly #escaped: boolean;

  constructor({ relation, encoding, masks }: Pick<CompileInput, 'relation' | 'encoding' | 'masks'>) {
    this.#escaped = encoding === 'json-string';
    this.#columns = relation.columns.flatMap(({ name, identity }, index) =>
      relation.key.includes(name) ? [{ index, identity, masked: masks.get(name)?.render }] : [],
    );
  }

  /** Appends the members of the array. One that Postgres did not send is null: others keep their places. */
  write(event: RowEvent, writer: ByteWriter): void {
    const columns = this.#columns;
    for (let i = 0; i < columns.length; i++) {
      if (i > 0) writer.byte(COMMA);
      const { index, identity, masked } = columns[i]!;
      const tuple = tupleOf(event, index, identity);
      const length = tuple.lengths[index]!;
      const start = tuple.starts[index]!;
      if (length < 0) {
        writer.literal(NULL);
      } else if (masked !== undefined) {
        this.#write(masked, event.bytes, start, length, writer);
      } else if (!writeShort(event.bytes, start, length, writer, this.#escaped)) {
        this.#write(writeJsonString, event.bytes, start, length, writer);
      }
    }
  }

  #write(render: ValueRenderer, bytes: Buffer, start: number, length: number, writer: ByteWriter): void {
    const from = writer.length;
    render(bytes, start, length, writer);
    if (this.#escaped) escapeFrom(from, writer);
  }
}

/** A tuple in which a length below 0 says that the value is not known. */
function tupleOf(event: RowEvent, index: number, identity: boolean): Tuple {
  const { newTuple } = event;
  if (event.action !== 'delete' && newTuple.lengths[index]! >= 0) return newTuple;
  const { oldKind } = event;
  const isKnown = oldKind === 'full' || oldKind === 'some' || (oldKind === 'key' && identity);
  return isKnown ? event.oldTuple : UNKNOWN;
}
const UNKNOWN: Tuple = {
  columnCount: 0,
  starts: new Int32Array(MAX_COLUMNS),
  lengths: new Int32Array(MAX_COLUMNS).fill(NULL_VALUE),
  damagedCount: 0,
  damaged: new Int16Array(0),
};

/** False: it is none, and nothing is written. */
function writeShort(
  bytes: Buffer,
  start: number,
  length: number,
  writer: ByteWriter,
  escaped: boolean,
): boolean {
  if (length > MAX_SHORT_BYTES) return false;
  writer.reserve(MAX_SHORT_BYTES + 4);
  const target = writer.buffer;
  let at = writer.length;
  if (escaped) target[at++] = BACKSLASH;
  target[at++] = QUOTE;
  for (let i = start; i < start + length; i++) {
    const byte = bytes[i]!;
    if (byte < FIRST_PLAIN || byte > LAST_PLAIN || byte === QUOTE || byte === BACKSLASH) return false;
    target[at++] = byte;
  }
  if (escaped) {
    target[at++] = BACKSLASH;
    writer.escapes += 2;
  }
  target[at++] = QUOTE;
  writer.length = at;
  return true;
}
