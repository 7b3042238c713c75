// Buffers that are written to again and again: those that nobody uses wait for whoever needs one next, up to a number of bytes in all.
import { ByteWriter } from './byte-writer.ts';

/** In bytes. */
export type SpareWriterLimits = {
  /** Of a new one, at first. */
  readonly initial: number;
  /** A larger one is not kept. Undefined: there is no such limit. */
  readonly each?: number;
  /** Of all that are kept. */
  readonly all: number;
};

export class SpareWriters {
  readonly #limits: SpareWriterLimits;
  readonly #spare: ByteWriter[] = [];
  #bytes = 0;

  constructor(limits: SpareWriterLimits) {
    this.#limits = limits;
  }

  /** An empty one. */
  take(): ByteWriter {
    const writer = this.#spare.pop();
    if (writer === undefined) return new ByteWriter(this.#limits.initial);
    this.#bytes -= writer.buffer.length;
    writer.reset();
    return writer;
  }

  /** Nobody reads what is in it any more. */
  giveBack(writer: ByteWriter): void {
    const { each = Infinity, all } = this.#limits;
    const bytes = writer.buffer.length;
    if (bytes > each || this.#bytes + bytes > all) return;
    this.#spare.push(writer);
    this.#bytes += bytes;
  }

  clear(): void {
    this.#spare.length = 0;
    this.#bytes = 0;
  }
}
