// Who holds which message of a pull stream, and until when. Pure: times are arguments, in milliseconds of any clock.
import type { Position } from '../../core/position.ts';
import { Available } from './available.ts';

/** `item`: undefined while a lease from before a restart waits for its message to be read again. */
type Lease<Item> = { readonly id: string; item: Item | undefined; readonly visibleAtMs: number };

export type Known<Item> = { readonly id: string; readonly item: Item };

/** Returned messages of which an acknowledgement that comes late is still understood. */
const MAX_RETURNED = 100_000;

/** An id is available, leased, returned (to be offered again), acknowledged before its message came (early), or unknown. */
export class LeaseBook<Item> {
  readonly #available: Available<Item>;
  /** In the order of their ends: every lease is as long as the others, restored ones are put in first. */
  readonly #leased = new Map<string, Lease<Item>>();
  readonly #returned = new Map<string, 'nacked' | 'expired'>();
  readonly #early = new Set<string>();

  constructor(positionOf: (item: Item) => Position) {
    this.#available = new Available(positionOf);
  }

  /** Leases and early acknowledgements from before a restart, before anything else. */
  restore(
    leases: readonly { readonly id: string; readonly visibleAtMs: number }[],
    early: Iterable<string>,
  ): void {
    const inOrder = leases.toSorted((a, b) => a.visibleAtMs - b.visibleAtMs);
    for (const { id, visibleAtMs } of inOrder) this.#leased.set(id, { id, item: undefined, visibleAtMs });
    for (const id of early) this.#early.add(id);
  }

  get available(): number {
    return this.#available.size;
  }
  get leased(): number {
    return this.#leased.size;
  }

  /** A message may be given out. `acked`: it was acknowledged before; the book has forgotten it. */
  offer(id: string, item: Item): 'available' | 'leased' | 'acked' {
    const wasNacked = this.#returned.get(id) === 'nacked';
    this.#returned.delete(id);
    if (this.#early.delete(id)) return 'acked';
    const lease = this.#leased.get(id);
    if (lease !== undefined) {
      lease.item = item;
      return 'leased';
    }
    // A worker that gives back the same message at once, for ever, must not starve the others.
    this.#available.set(id, item, wasNacked);
    return 'available';
  }

  /** What comes next by position, at most `count`, while `fits`. The first always does. */
  next(count: number, fits: (item: Item) => boolean): Known<Item>[] {
    const next: Known<Item>[] = [];
    for (const known of this.#available) {
      if (next.length === count || (!fits(known.item) && next.length > 0)) break;
      next.push(known);
    }
    return next;
  }

  /** Gives out what `next` has named. `visibleAtMs` never lies before that of an earlier call. */
  lease(ids: readonly string[], visibleAtMs: number): void {
    for (const id of ids) {
      const item = this.#available.take(id);
      if (item !== undefined) this.#leased.set(id, { id, item, visibleAtMs });
    }
  }

  /**
   * `settled` are forgotten; `early` are remembered until their message comes; of the others nothing is known.
   * A lease that has ended counts as long as nobody has settled the message.
   */
  ack(ids: Iterable<string>): { settled: Known<Item>[]; early: string[]; unknown: number } {
    const settled: Known<Item>[] = [];
    const early: string[] = [];
    let unknown = 0;
    for (const id of ids) {
      const item = this.#available.get(id) ?? this.#leased.get(id)?.item;
      if (item !== undefined) {
        this.#forget(id);
        settled.push({ id, item });
      } else if (this.#leased.delete(id) || this.#returned.delete(id) || this.#early.has(id)) {
        this.#early.add(id);
        early.push(id);
      } else {
        unknown++;
      }
    }
    return { settled, early, unknown };
  }

  /** Ends leases: `returned` will be offered again, unless they become dead letters; `dropped` had no message yet. */
  nack(ids: Iterable<string>): { returned: Known<Item>[]; dropped: string[]; unknown: number } {
    return this.#end(ids, 'nacked');
  }

  #end(ids: Iterable<string>, how: 'nacked' | 'expired'): ReturnType<LeaseBook<Item>['nack']> {
    const returned: Known<Item>[] = [];
    const dropped: string[] = [];
    let unknown = 0;
    for (const id of ids) {
      const lease = this.#leased.get(id);
      if (lease !== undefined) {
        this.#leased.delete(id);
        if (lease.item === undefined) {
          dropped.push(id);
        } else {
          returned.push({ id, item: lease.item });
          this.#remember(id, how);
        }
      } else if (this.#available.get(id) === undefined && !this.#returned.has(id)) {
        unknown++;
      }
    }
    return { returned, dropped, unknown };
  }

  /** Ends the leases whose time is over. */
  expire(nowMs: number): { returned: Known<Item>[]; dropped: string[] } {
    const over: string[] = [];
    for (const { id, visibleAtMs } of this.#leased.values()) {
      if (visibleAtMs > nowMs) break;
      over.push(id);
    }
    return this.#end(over, 'expired');
  }

  /** When the next lease ends. */
  nextEndMs(): number | undefined {
    for (const { visibleAtMs } of this.#leased.values()) return visibleAtMs;
    return undefined;
  }

  /** Gives every message back, as before a stop; leases stay, without their messages. */
  detach(): Item[] {
    const items = [...this.#available].map(({ item }) => item);
    this.#available.clear();
    for (const lease of this.#leased.values()) {
      if (lease.item !== undefined) items.push(lease.item);
      lease.item = undefined;
    }
    return items;
  }

  #remember(id: string, how: 'nacked' | 'expired'): void {
    this.#returned.set(id, how);
    if (this.#returned.size <= MAX_RETURNED) return;
    for (const oldest of this.#returned.keys()) {
      this.#returned.delete(oldest);
      return;
    }
  }

  #forget(id: string): void {
    if (this.#available.take(id) === undefined) this.#leased.delete(id);
  }
}
