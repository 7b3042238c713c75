// Requests that carry less than they could, of routes that rows decide. With hundreds of such routes each row would be a request of its
// own: so many are in flight at once, and meanwhile the others fill. A full one never waits. Pure; its clock is an argument.

/** Few enough that the rest fills while they are answered. */
export const MAX_PARTIAL = 32;
/** More is read already, which fills them: only what waits for long goes before. */
export const MAX_PARTIAL_READING = 8;
/** Where the room is nearly full of messages for many routes, the rest hardly fills. More of them share turns of the event loop. */
export const MAX_PARTIAL_CROWDED = 128;
/**
 * One that is not answered by then does not count: the destination is far, or hangs, and nobody waits for it. So at least 1,280 of them
 * begin in a second, whatever the answers take (320 while more is read).
 */
export const COUNTED_MS = 25;

/** One in flight. */
export type PartialRequest = { readonly startedMs: number };

export class PartialRequests {
  /** Oldest first. */
  readonly #counted = new Set<PartialRequest>();

  /** How many more may go now, of so many in all. */
  free(nowMs: number, most: number): number {
    for (const request of this.#counted) {
      if (nowMs - request.startedMs < COUNTED_MS) break;
      this.#counted.delete(request);
    }
    return most - this.#counted.size;
  }

  started(startedMs: number): PartialRequest {
    const request = { startedMs };
    this.#counted.add(request);
    return request;
  }

  answered(request: PartialRequest): void {
    this.#counted.delete(request);
  }

  /** When the oldest does not count any more, though it is not answered; undefined: there is none. */
  get expiresMs(): number | undefined {
    const [oldest] = this.#counted;
    return oldest === undefined ? undefined : oldest.startedMs + COUNTED_MS;
  }
}
