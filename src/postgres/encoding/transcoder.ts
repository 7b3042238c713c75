// Makes UTF-8 of a batch of the stream, where the server does not (all of it) by itself: of everything in a stream that comes in
// the database's own encoding, else of what the server never converts, the contents of logical messages.
// https://www.postgresql.org/docs/current/multibyte.html
import { isAscii } from 'node:buffer';
import type { Client } from 'pg';
import { ByteWriter } from '../../core/byte-writer.ts';
import { isMarkerPrefix } from '../../core/markers.ts';
import { PGOUTPUT } from '../../pgoutput/bytes.ts';
import { decodeLogicalMessage, decodeRelation, relationIdOfRow } from '../../pgoutput/messages.ts';
import { isRow } from '../../pgoutput/row-numbers.ts';
import { textsOf, writeReplaced, type Replacement, type TextPlace } from '../../pgoutput/texts.ts';
import { RANGE, XLOG_DATA_BYTES, type StreamBatch } from '../replication/input.ts';
import { TYPE } from '../values/builtin.ts';
import { askServer, readAsUtf8, type TextReading } from './reading.ts';

export type EncodingFacts = {
  readonly client: Client;
  /** The database's. */
  readonly encoding: string;
  /** Does the stream come in it, unconverted? */
  readonly ownEncoding: boolean;
};

/** Undefined: everything comes in UTF-8 as it is, which costs nothing. */
export async function transcoderOf(facts: EncodingFacts): Promise<Transcoder | undefined> {
  const { client, encoding, ownEncoding } = facts;
  if (encoding === 'UTF8') return undefined;
  if (encoding === 'SQL_ASCII') return new Transcoder(readAsUtf8, 'everything');
  return new Transcoder(await askServer(client, encoding), ownEncoding ? 'everything' : 'contents');
}

const INITIAL_BYTES = 64 * 1024;

export class Transcoder {
  readonly #reading: TextReading;
  readonly #what: 'everything' | 'contents';
  /** By relation, its columns of type "char": one byte, whatever it is (values/scalar.ts writes it as newer servers do). */
  readonly #internalChars = new Map<number, ReadonlySet<number>>();
  readonly #writer = new ByteWriter(INITIAL_BYTES);

  constructor(reading: TextReading, what: 'everything' | 'contents') {
    this.#reading = reading;
    this.#what = what;
  }

  /** The same batch in UTF-8; valid until the next call, and not longer than `batch`. */
  async inUtf8(batch: StreamBatch): Promise<StreamBatch> {
    const { bytes, count, starts, ends, kinds } = batch;
    const places: (readonly TextPlace[])[] = [];
    const texts: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const found = kinds[i] === RANGE.whole ? this.#placesIn(bytes, starts[i]!, ends[i]!) : [];
      places.push(found);
      for (const { start, end } of found) texts.push(bytes.subarray(start, end));
    }
    if (texts.length === 0) return batch;
    await this.#reading.learn(texts);
    const writer = this.#writer;
    writer.reset();
    const utf8 = { ...batch, starts: new Int32Array(count), ends: new Int32Array(count) };
    for (let i = 0; i < count; i++) {
      const start = starts[i]!;
      // With its place in the WAL, which is asked for.
      if (kinds[i] === RANGE.whole) writer.bytes(bytes, start - XLOG_DATA_BYTES, start);
      utf8.starts[i] = writer.length;
      writeReplaced(bytes, start, ends[i]!, this.#read(bytes, places[i]!), writer);
      utf8.ends[i] = writer.length;
    }
    utf8.bytes = writer.buffer;
    return utf8;
  }

  /** The texts that have to be read. */
  #placesIn(bytes: Buffer, start: number, end: number): readonly TextPlace[] {
    const type = bytes[start]!;
    if (this.#what === 'contents' && type !== PGOUTPUT.logicalMessage) return [];
    if (this.#what === 'everything' && type === PGOUTPUT.relation) this.#remember(bytes, start, end);
    if (isAscii(bytes.subarray(start, end))) return [];
    const chars = isRow(type) ? this.#internalChars.get(relationIdOfRow(bytes, start)) : undefined;
    const isOurs =
      type === PGOUTPUT.logicalMessage && isMarkerPrefix(decodeLogicalMessage(bytes, start, end).prefix);
    return [...textsOf(bytes, start, end)].filter((place) => {
      if (isAscii(bytes.subarray(place.start, place.end))) return false;
      if (place.kind === 'content') return isOurs;
      return (
        this.#what === 'everything' && !(place.end - place.start === 1 && chars?.has(place.column) === true)
      );
    });
  }

  #read(bytes: Buffer, places: readonly TextPlace[]): readonly Replacement[] {
    return places.flatMap((place) => {
      const text = this.#reading.read(bytes, place.start, place.end);
      // Whoever wrote it wrote bytes of his own: they are left as they are, and perhaps they are UTF-8 (core/markers.ts).
      return place.kind === 'content' && text.isDamaged ? [] : [{ place, text }];
    });
  }

  #remember(bytes: Buffer, start: number, end: number): void {
    const { id, columns } = decodeRelation(bytes, start, end);
    const chars = columns.flatMap(({ type }, index) => (type === TYPE.char ? [index] : []));
    this.#internalChars.set(id, new Set(chars));
  }
}
