// Keeps the relations that are in force where the log ends, for the segment that begins there.
import { decodeEnrichment, type Enrichment } from '../../pgoutput/enrichment.ts';
import { FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';

/**
 * Relation messages with their enrichments, as frames. What comes with a block counts only once that block is
 * appended: a segment that opens with it must decode the rows before the new shape, too.
 */
export class RelationsInForce {
  readonly #frames = new Map<number, Buffer>();
  #pending: { readonly id: number; readonly frames: Buffer; readonly at: number }[] = [];

  /** The frames stand at `at` in the block being made. */
  add(id: number, frames: Buffer, at: number): void {
    this.#pending.push({ id, frames, at });
  }

  /** The block is appended up to `end`. */
  appended(end: number): void {
    for (const { id, frames, at } of this.#pending) if (at < end) this.#frames.set(id, frames);
    this.#pending = this.#pending.filter(({ at }) => at >= end);
  }

  /** What is not appended by now comes again. */
  forgetPending(): void {
    this.#pending = [];
  }

  /** What was added last of this relation, appended or not. */
  latest(id: number): { readonly message: Buffer; readonly enrichment: Enrichment } | undefined {
    const frames = this.#pending.findLast((pending) => pending.id === id)?.frames ?? this.#frames.get(id);
    if (frames === undefined) return undefined;
    const end = FRAME_HEADER_BYTES + frames.readUInt32BE(0);
    return {
      message: frames.subarray(FRAME_HEADER_BYTES, end),
      enrichment: decodeEnrichment(frames, end + FRAME_HEADER_BYTES),
    };
  }

  /** The Relation message of this relation, as it stands in a frame; undefined: it is not in force. */
  messageOf(id: number): Buffer | undefined {
    const frames = this.#frames.get(id);
    return frames?.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + frames.readUInt32BE(0));
  }

  prologue(): Buffer {
    return Buffer.concat([...this.#frames.values()]);
  }
}
