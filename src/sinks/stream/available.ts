// The messages of a pull stream that may be given out, by position: one whose time ran out goes out before what is later. Pure.
import { comparePositions, type Position } from '../../core/position.ts';

/** `item`: undefined when it is gone, and only its place is left. */
type Place<Item> = { readonly id: string; readonly position: Position; item: Item | undefined };

/** Empty places are taken out when there are more of them than this, and than of the others. */
const MAX_EMPTY_PLACES = 256;

export class Available<Item> {
  readonly #positionOf: (item: Item) => Position;
  readonly #byId = new Map<string, Place<Item>>();
  #places: Place<Item>[] = [];
  /** Before it all places are empty. */
  #head = 0;

  constructor(positionOf: (item: Item) => Position) {
    this.#positionOf = positionOf;
  }

  get size(): number {
    return this.#byId.size;
  }
  get(id: string): Item | undefined {
    return this.#byId.get(id)?.item;
  }

  /** Of two of one position the one that came first is first. `isLast`: behind all that are here now, whatever its position. */
  set(id: string, item: Item, isLast = false): void {
    this.take(id);
    const last = isLast ? this.#places.at(-1) : undefined;
    const place = { id, position: last?.position ?? this.#positionOf(item), item };
    this.#byId.set(id, place);
    this.#places.splice(this.#indexBehind(place.position), 0, place);
  }

  /** Takes it out; undefined: it is not here. */
  take(id: string): Item | undefined {
    const place = this.#byId.get(id);
    if (place === undefined) return undefined;
    const { item } = place;
    this.#byId.delete(id);
    place.item = undefined;
    while (this.#head < this.#places.length && this.#places[this.#head]!.item === undefined) this.#head++;
    const empty = this.#places.length - this.#byId.size;
    if (empty > MAX_EMPTY_PLACES && empty > this.#byId.size) {
      this.#places = this.#places.filter((other) => other.item !== undefined);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#byId.clear();
    this.#places = [];
    this.#head = 0;
  }

  /** In order. */
  *[Symbol.iterator](): Generator<{ readonly id: string; readonly item: Item }> {
    for (let at = this.#head; at < this.#places.length; at++) {
      const { id, item } = this.#places[at]!;
      if (item !== undefined) yield { id, item };
    }
  }

  /** Nearly every message is later than all that are here. */
  #indexBehind(position: Position): number {
    let low = this.#head;
    let high = this.#places.length;
    while (low < high) {
      const last = high - 1;
      const middle = high === this.#places.length ? last : (low + high) >> 1;
      if (comparePositions(this.#places[middle]!.position, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
