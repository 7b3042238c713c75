// The text of a message group, put together from bytes: one flat string, made once. Hot file: runs for every wanted row.
import { ByteWriter } from '../../core/byte-writer.ts';

const BACKSLASH = 0x5c;
const COLON = 0x3a;
const FIRST_BEYOND_ASCII = 0x80;
/** Groups are short; a buffer that a huge one has made grow is not kept. */
const KEPT_BYTES = 4096;

export class GroupText {
  #writer = new ByteWriter(KEPT_BYTES);
  #isAscii = true;

  begin(): this {
    if (this.#writer.buffer.length > KEPT_BYTES) this.#writer = new ByteWriter(KEPT_BYTES);
    this.#writer.reset();
    this.#isAscii = true;
    return this;
  }

  /** Appends `text` as UTF-8, as it is. */
  text(text: string): void {
    this.#isAscii = false;
    this.#writer.text(text);
  }

  /** Appends `bytes[start, end)`; with `escaped`, `\` and `:` get a backslash, so that they do not separate. */
  bytes(bytes: Buffer, start: number, end: number, escaped: boolean): void {
    const writer = this.#writer;
    writer.reserve((end - start) * 2);
    const target = writer.buffer;
    let at = writer.length;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      if (byte >= FIRST_BEYOND_ASCII) this.#isAscii = false;
      else if (escaped && (byte === BACKSLASH || byte === COLON)) target[at++] = BACKSLASH;
      target[at++] = byte;
    }
    writer.length = at;
  }

  end(): string {
    const { buffer, length } = this.#writer;
    return buffer.toString(this.#isAscii ? 'latin1' : 'utf8', 0, length);
  }
}
