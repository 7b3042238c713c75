// The texts of a chunk in a database that is not UTF8, read as those of the stream are (encoding/reading.ts): by the server, row after row,
// until it meets one that it cannot read; from then on they are copied out as they lie there.
import { isAscii } from 'node:buffer';
import type { Client } from 'pg';
import { ByteWriter } from '../../core/byte-writer.ts';
import { FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';
import { textsOf, writeReplaced, type TextPlace } from '../../pgoutput/texts.ts';
import { askServer, readAsUtf8, type TextReading } from '../encoding/reading.ts';
import { TYPE } from '../values/builtin.ts';
import type { ChunkRows } from './copy-rows.ts';
import { unreadable } from './cursor-text.ts';
import type { BackfillTable } from './table.ts';

/** Over which connection texts came, and in which encoding; undefined: in UTF-8. */
export type Copied = { readonly client: Client; readonly copiedIn: string | undefined };

/** Of one table, over any number of connections at once. */
export class ChunkTexts {
  readonly #encoding: string;
  #asTheyLie: boolean;
  readonly #readings = new WeakMap<Client, Promise<TextReading>>();

  /** `encoding`: the database's. */
  constructor(encoding: string) {
    this.#encoding = encoding;
    // There is nothing that the server could convert.
    this.#asTheyLie = encoding === 'SQL_ASCII';
  }

  /** How texts are to be copied out; undefined: in UTF-8. */
  get copiedIn(): string | undefined {
    return this.#asTheyLie ? this.#encoding : undefined;
  }

  /** The server could not read one that was `copiedIn`. Answers whether another try makes sense. */
  takeAsTheyLie(copiedIn: string | undefined): boolean {
    if (copiedIn !== undefined || this.#encoding === 'UTF8') return false;
    this.#asTheyLie = true;
    return true;
  }

  async #readingOf(client: Client): Promise<TextReading> {
    if (this.#encoding === 'SQL_ASCII') return readAsUtf8;
    const known = this.#readings.get(client);
    if (known !== undefined) return await known;
    const reading = askServer(client, this.#encoding);
    this.#readings.set(client, reading);
    return await reading;
  }

  /** The same rows in UTF-8, with what the server cannot read marked. */
  async inUtf8(
    { client, copiedIn }: Copied,
    rows: ChunkRows,
    { relation }: BackfillTable,
  ): Promise<ChunkRows> {
    if (copiedIn === undefined || isAscii(rows.bytes)) return rows;
    const reading = await this.#readingOf(client);
    const { bytes, count } = rows;
    // One byte, whatever it is (encoding/transcoder.ts).
    const isLetter = ({ column, start, end }: TextPlace): boolean =>
      end - start === 1 && relation.columns[column]?.type === TYPE.char;
    const places = Array.from({ length: count }, (_, i) =>
      [...textsOf(bytes, rows.starts[i]!, rows.ends[i]!)].filter(
        (place) => !isAscii(bytes.subarray(place.start, place.end)) && !isLetter(place),
      ),
    );
    await reading.learn(places.flat().map(({ start, end }) => bytes.subarray(start, end)));
    const writer = new ByteWriter(bytes.length);
    const starts = new Int32Array(count);
    const ends = new Int32Array(count);
    for (const [i, found] of places.entries()) {
      // The frame's length is known behind it.
      writer.reserve(FRAME_HEADER_BYTES);
      writer.length += FRAME_HEADER_BYTES;
      const start = writer.length;
      const read = found.map((place) => ({ place, text: reading.read(bytes, place.start, place.end) }));
      writeReplaced(bytes, rows.starts[i]!, rows.ends[i]!, read, writer);
      starts[i] = start;
      ends[i] = writer.length;
      writer.buffer.writeUInt32BE(writer.length - start, start - FRAME_HEADER_BYTES);
    }
    return { ...rows, bytes: writer.buffer.subarray(0, writer.length), starts, ends };
  }

  /** Texts of a key, one character a byte, as cursors have them (cursor-text.ts). */
  async cursor({ client, copiedIn }: Copied, key: readonly string[]): Promise<readonly string[]> {
    const texts = key.map((text) => Buffer.from(text, 'latin1'));
    const high = texts.filter((text) => !isAscii(text));
    if (copiedIn === undefined || high.length === 0) return texts.map(String);
    const reading = await this.#readingOf(client);
    await reading.learn(high);
    return texts.map((text) => {
      if (isAscii(text)) return text.toString('latin1');
      const { utf8, isDamaged } = reading.read(text, 0, text.length);
      return isDamaged ? unreadable(text) : utf8.toString();
    });
  }
}
