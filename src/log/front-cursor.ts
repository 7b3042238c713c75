// The cursor with which the readers of a thread read together, at the front of those that are close to one another: one buffer and one read
// for all of them. Each has a cursor of its own, too, for where it is alone.
import type { BlockCursor, RawBlock } from './block-cursor.ts';
import { openUnlessMissing } from './search.ts';

export class FrontCursor {
  #cursor: BlockCursor | undefined;
  /** Which segment it was in before, and where that has ended. */
  #ended: string | undefined;

  /** Would `next` have to read the file? */
  get isDrained(): boolean {
    return this.#cursor?.isDrained ?? true;
  }

  /**
   * The block at the place of a reader's own cursor, below `limit`; valid until the next one is asked for, whoever asks. Undefined: it is to be
   * read with `own`, for the front is beyond that already, or what is there is not sound.
   */
  next(own: BlockCursor, limit: number): RawBlock | 'end' | undefined {
    const { startOffset, offset } = own;
    const cursor = this.#at(own);
    if (cursor === undefined) return this.#ended === `${startOffset} ${offset}` ? 'end' : undefined;
    const block = cursor.next(limit);
    if (block === 'end') this.#ended = `${startOffset} ${offset}`;
    if (block !== 'bad') return block;
    this.close();
    return undefined;
  }

  close(): void {
    this.#ended = undefined;
    this.#leave();
  }

  /** Whatever comes of it, nobody closes it again: its descriptor may be another's by then. */
  #leave(): void {
    const cursor = this.#cursor;
    this.#cursor = undefined;
    cursor?.close();
  }

  #at(own: BlockCursor): BlockCursor | undefined {
    if (this.#cursor === undefined || this.#cursor.startOffset < own.startOffset) {
      this.#leave();
      this.#cursor = openUnlessMissing(own);
    }
    const cursor = this.#cursor;
    if (cursor?.startOffset !== own.startOffset || own.offset < cursor.offset) return undefined;
    cursor.pass(own.offset);
    return cursor;
  }
}
