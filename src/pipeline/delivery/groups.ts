// Order inside groups (invariant 4): a message waits for the one before it in each of its groups. Hot file: runs for every message.
import { randomInt } from 'node:crypto';

/** What stands in groups. `waitsOn`: how many unsettled messages must settle before this one may go. */
export type Grouped = { waitsOn: number };

/**
 * The place of a message in one of its groups: of the messages there, oldest first. It is part of the message, or of its own where that is in
 * a second group (a changed key). What is of the whole group stands with its first place: there is nothing else that would have to be read
 * again when an answer comes, and thousands of others have been in the processor's cache meanwhile.
 */
export type GroupPlace<Message> = {
  readonly message: Message;
  readonly group: string;
  hash: number;
  previous: GroupPlace<Message> | undefined;
  next: GroupPlace<Message> | undefined;
  /** Of the first place of a group: how many there are. Of the others 0, of one that is in no group `OUTSIDE`. */
  members: number;
  /** Of the first place: the last one, and the first one of another group whose hash has the same place in the table. */
  last: GroupPlace<Message> | undefined;
  nextAtPlace: GroupPlace<Message> | undefined;
};

export const OUTSIDE = -1;

/** Of a message that is in a group with another place of its own. */
export const otherPlace = <Message>(message: Message, group: string): GroupPlace<Message> => ({
  message,
  group,
  hash: 0,
  previous: undefined,
  next: undefined,
  members: OUTSIDE,
  last: undefined,
  nextAtPlace: undefined,
});

const FIRST_PLACES = 1024;

/**
 * The groups of one sink that have unsettled messages. Others take no memory. The table is our own: a `Map` makes every text that it is
 * asked for one that the whole isolate shares, which costs more than all that is done here (bench/micro/sink.ts).
 */
export class Groups<Message extends Grouped> {
  #places: (GroupPlace<Message> | undefined)[] = emptyPlaces(FIRST_PLACES);
  #count = 0;
  /** What was hashed last: a group is looked up before it is joined. */
  #hashedName = '';
  #hash = hashOf('');

  /** The first place of a group that has unsettled messages. */
  get(name: string): GroupPlace<Message> | undefined {
    return this.#find(name, this.#hashOf(name));
  }

  #find(name: string, hash: number): GroupPlace<Message> | undefined {
    let first = this.#places[hash & (this.#places.length - 1)];
    while (first !== undefined && (first.hash !== hash || first.group !== name)) first = first.nextAtPlace;
    return first;
  }

  /** Puts a message at the end of a group; it waits for the one before it. */
  append(place: GroupPlace<Message>): void {
    const first = this.get(place.group);
    if (first === undefined) return this.#open(place);
    const last = first.last!;
    last.next = place;
    place.previous = last;
    place.hash = first.hash;
    place.members = 0;
    place.message.waitsOn++;
    first.last = place;
    first.members++;
  }

  /**
   * Takes a settled message out of a group. Returns the message that waited for it alone there, if any: where an older
   * one is still unsettled (a later entry of one request succeeded, an earlier failed), the next goes on waiting for that one.
   */
  remove(place: GroupPlace<Message>): Message | undefined {
    const { previous, next } = place;
    if (previous === undefined) this.#moveFirst(place, next);
    else {
      const first = this.#find(place.group, place.hash)!;
      first.members--;
      if (next === undefined) first.last = previous;
      else next.previous = previous;
      previous.next = next;
    }
    place.previous = place.next = place.last = place.nextAtPlace = undefined;
    place.members = OUTSIDE;
    return previous === undefined ? next?.message : undefined;
  }

  #open(first: GroupPlace<Message>): void {
    if (this.#count === this.#places.length) this.#grow();
    const hash = this.#hashOf(first.group);
    const at = hash & (this.#places.length - 1);
    first.hash = hash;
    first.members = 1;
    first.last = first;
    first.nextAtPlace = this.#places[at];
    this.#places[at] = first;
    this.#count++;
  }

  /** What is of the whole group goes over to the next; without one it is over. */
  #moveFirst(first: GroupPlace<Message>, next: GroupPlace<Message> | undefined): void {
    const { nextAtPlace } = first;
    if (next !== undefined) {
      next.previous = undefined;
      next.members = first.members - 1;
      next.last = first.last;
      next.nextAtPlace = nextAtPlace;
    } else this.#count--;
    const at = first.hash & (this.#places.length - 1);
    let before = this.#places[at]!;
    if (before === first) this.#places[at] = next ?? nextAtPlace;
    else {
      while (before.nextAtPlace !== first) before = before.nextAtPlace!;
      before.nextAtPlace = next ?? nextAtPlace;
    }
  }

  #grow(): void {
    const places = emptyPlaces<Message>(this.#places.length * 2);
    for (const chain of this.#places) {
      for (let first = chain, next = first; first !== undefined; first = next) {
        next = first.nextAtPlace;
        const at = first.hash & (places.length - 1);
        first.nextAtPlace = places[at];
        places[at] = first;
      }
    }
    this.#places = places;
  }

  #hashOf(name: string): number {
    if (name !== this.#hashedName) {
      this.#hashedName = name;
      this.#hash = hashOf(name);
    }
    return this.#hash;
  }
}

const emptyPlaces = <Message>(count: number): (GroupPlace<Message> | undefined)[] =>
  Array.from<GroupPlace<Message> | undefined>({ length: count }).fill(undefined);

/** Nobody can choose keys whose groups have one place: they differ from process to process. */
const SEED = randomInt(2 ** 32);

/** 32 bits of a text, all of them mixed. https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp */
export function hashOf(text: string): number {
  let hash = SEED ^ text.length;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0xcc9e2d51);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
