// The texts of a chunk in a database that is not UTF8, read as those of the stream are (encoding/reading.ts): by the server, row after row,
// until it meets one that it cannot read; from then on they are copied out as they lie there.
import { isAscii } from 'node:buffer';
import type { Client } from 'pg';
import { ByteWriter } from '../../core/byte-writer.ts';
import { textsOf, writeReplaced, type TextPlace } from '../../pgoutput/texts.ts';
import { askServer, readAsUtf8, type TextReading } from '../encoding/reading.ts';
import { TYPE } from '../values/builtin.ts';
import type { ChunkRows } from './chunk-rows.ts';
import { unreadable } from './cursor-text.ts';
import type { BackfillTable } from './table.ts';

export class ChunkTexts {
  readonly #client: Client;
  readonly #encoding: string;
  #reading: TextReading | undefined;

  /** `encoding`: the database's. */
  constructor(client: Client, encoding: string) {
    this.#client = client;
    this.#encoding = encoding;
    // There is nothing that the server could convert.
    if (encoding === 'SQL_ASCII') this.#reading = readAsUtf8;
  }

  /** How texts are to be copied out; undefined: in UTF-8. */
  get copiedIn(): string | undefined {
    return this.#reading === undefined ? undefined : this.#encoding;
  }

  /** The server could not read one. Answers whether another try makes sense. */
  async takeAsTheyLie(): Promise<boolean> {
    if (this.#reading !== undefined || this.#encoding === 'UTF8') return false;
    this.#reading = await askServer(this.#client, this.#encoding);
    return true;
  }

  /** The same rows in UTF-8, with what the server cannot read marked. */
  async inUtf8(rows: ChunkRows, { relation }: BackfillTable): Promise<ChunkRows> {
    const reading = this.#reading;
    if (reading === undefined || isAscii(rows.bytes)) return rows;
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
      starts[i] = writer.length;
      const read = found.map((place) => ({ place, text: reading.read(bytes, place.start, place.end) }));
      writeReplaced(bytes, rows.starts[i]!, rows.ends[i]!, read, writer);
      ends[i] = writer.length;
    }
    return { ...rows, bytes: writer.buffer.subarray(0, writer.length), starts, ends };
  }

  /** Texts of a key, one character a byte, as cursors have them (cursor-text.ts). */
  async cursor(key: readonly string[]): Promise<readonly string[]> {
    const reading = this.#reading;
    const texts = key.map((text) => Buffer.from(text, 'latin1'));
    const high = texts.filter((text) => !isAscii(text));
    if (reading === undefined || high.length === 0) return texts.map(String);
    await reading.learn(high);
    return texts.map((text) => {
      if (isAscii(text)) return text.toString('latin1');
      const { utf8, isDamaged } = reading.read(text, 0, text.length);
      return isDamaged ? unreadable(text) : utf8.toString();
    });
  }
}
