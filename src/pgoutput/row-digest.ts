// A digest of row messages, in their order: of equal ones the same rows came. Each message tells its own length.
import { createHash } from 'node:crypto';

export class RowDigest {
  readonly #hash = createHash('sha256');

  /** The message (or the frame of one too large to be kept whole) `bytes[start, end)`. */
  add(bytes: Buffer, start: number, end: number): void {
    this.#hash.update(bytes.subarray(start, end));
  }

  /** Nothing can be added any more. */
  end(): string {
    return this.#hash.digest('base64');
  }
}
