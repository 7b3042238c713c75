// Where texts lie in the messages of a stream that comes in the database's own encoding, and putting others in their places. Pure.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
import type { ByteWriter } from '../core/byte-writer.ts';
import { COLUMN, PGOUTPUT } from './bytes.ts';
import { FRAME } from './frames.ts';

/** What a text is in UTF-8. */
export type ReadText = { readonly utf8: Buffer; readonly isDamaged: boolean };

/** One text of a message, `bytes[start, end)`. */
export type TextPlace = {
  /** A column of a row, a name, or the content of a logical message. */
  readonly kind: 'value' | 'name' | 'content';
  readonly start: number;
  readonly end: number;
  /** Of a value: its column, and where its kind stands, with its length behind it. Of a content: where its length stands. */
  readonly column: number;
  readonly head: number;
};

const NO_HEAD = -1;
const NO_COLUMN = -1;

/** The texts of the whole message `bytes[start, end)`, in order; of a row that a backfill has read, too. */
export function* textsOf(bytes: Buffer, start: number, end: number): Generator<TextPlace> {
  switch (bytes[start]!) {
    case PGOUTPUT.insert:
    case PGOUTPUT.update:
    case PGOUTPUT.delete:
    case FRAME.read:
      for (let at = start + 5; at < end;) at = yield* valuesOf(bytes, at + 1);
      return;
    case PGOUTPUT.relation: {
      let at = yield* nameAt(bytes, start + 5);
      at = yield* nameAt(bytes, at);
      const columns = bytes.readUInt16BE(at + 1);
      at += 3;
      for (let i = 0; i < columns; i++) at = (yield* nameAt(bytes, at + 1)) + 8;
      return;
    }
    case PGOUTPUT.type:
      yield* nameAt(bytes, yield* nameAt(bytes, start + 5));
      return;
    case PGOUTPUT.origin:
      yield* nameAt(bytes, start + 9);
      return;
    case PGOUTPUT.logicalMessage: {
      const head = yield* nameAt(bytes, start + 10);
      yield { kind: 'content', start: head + 4, end, column: NO_COLUMN, head };
      return;
    }
    default:
  }
}

/** Answers where the row ends. */
function* valuesOf(bytes: Buffer, start: number): Generator<TextPlace, number> {
  const columns = bytes.readUInt16BE(start);
  let at = start + 2;
  for (let column = 0; column < columns; column++) {
    const head = at++;
    if (bytes[head] !== COLUMN.text) continue;
    const from = at + 4;
    at = from + bytes.readUInt32BE(at);
    yield { kind: 'value', start: from, end: at, column, head };
  }
  return at;
}

/** A name ends with a zero byte; answers what follows it. */
function* nameAt(bytes: Buffer, start: number): Generator<TextPlace, number> {
  const end = bytes.indexOf(0, start);
  yield { kind: 'name', start, end, column: NO_COLUMN, head: NO_HEAD };
  return end + 1;
}

export type Replacement = { readonly place: TextPlace; readonly text: ReadText };

/** Appends the message `bytes[start, end)` with other texts in these places, which are in order. */
export function writeReplaced(
  bytes: Buffer,
  start: number,
  end: number,
  replacements: readonly Replacement[],
  writer: ByteWriter,
): void {
  let from = start;
  for (const { place, text } of replacements) {
    if (place.kind === 'name') {
      writer.bytes(bytes, from, place.start);
    } else {
      writer.bytes(bytes, from, place.head);
      if (place.kind === 'value') writer.byte(text.isDamaged ? COLUMN.damaged : COLUMN.text);
      writer.reserve(4);
      writer.buffer.writeUInt32BE(text.utf8.length, writer.length);
      writer.length += 4;
    }
    writer.bytes(text.utf8, 0, text.utf8.length);
    from = place.end;
  }
  writer.bytes(bytes, from, end);
}
