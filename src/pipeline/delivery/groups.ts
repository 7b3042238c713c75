// Order inside groups (invariant 4): a message waits for the one before it in each of its groups. Hot file: runs for every message.
import { randomInt } from 'node:crypto';

/** What stands in groups. `waitsOn`: how many unsettled messages must settle before this one may go. */
export type Grouped = { waitsOn: number };

/** One of the groups that a message is in: a changed key puts it into two. */
export type GroupLink<Message> = {
  readonly message: Message;
  readonly queue: GroupQueue<Message>;
  previous: GroupLink<Message> | undefined;
  next: GroupLink<Message> | undefined;
};

/** The unsettled messages of one group, oldest first. */
export type GroupQueue<Message> = {
  readonly name: string;
  readonly hash: number;
  first: GroupLink<Message> | undefined;
  last: GroupLink<Message> | undefined;
  length: number;
  /** Another group whose hash has the same place in the table. */
  nextAtPlace: GroupQueue<Message> | undefined;
};

const FIRST_PLACES = 1024;

/**
 * The groups of one sink that have unsettled messages. Others take no memory. The table is our own: a `Map` makes every text that it is
 * asked for one that the whole isolate shares, which costs more than all that is done here (bench/micro/sink.ts).
 */
export class Groups<Message extends Grouped> {
  #places: (GroupQueue<Message> | undefined)[] = emptyPlaces(FIRST_PLACES);
  #count = 0;
  /** What was hashed last: a group is looked up before it is joined. */
  #hashedName = '';
  #hash = hashOf('');

  get(name: string): GroupQueue<Message> | undefined {
    const hash = this.#hashOf(name);
    let queue = this.#places[hash & (this.#places.length - 1)];
    while (queue !== undefined && (queue.hash !== hash || queue.name !== name)) queue = queue.nextAtPlace;
    return queue;
  }

  /** Puts a message at the end of a group; it waits for the one before it. */
  append(message: Message, name: string): GroupLink<Message> {
    const queue = this.get(name) ?? this.#open(name);
    const link: GroupLink<Message> = { message, queue, previous: queue.last, next: undefined };
    if (queue.last === undefined) queue.first = link;
    else {
      queue.last.next = link;
      message.waitsOn++;
    }
    queue.last = link;
    queue.length++;
    return link;
  }

  /**
   * Takes a settled message out of a group. Returns the message that waited for it alone there, if any: where an older
   * one is still unsettled (a later entry of one request succeeded, an earlier failed), the next goes on waiting for that one.
   */
  remove(link: GroupLink<Message>): Message | undefined {
    const { queue, previous, next } = link;
    if (previous === undefined) queue.first = next;
    else previous.next = next;
    if (next === undefined) queue.last = previous;
    else next.previous = previous;
    link.previous = link.next = undefined;
    queue.length--;
    if (queue.length === 0) this.#close(queue);
    return previous === undefined ? next?.message : undefined;
  }

  #open(name: string): GroupQueue<Message> {
    if (this.#count === this.#places.length) this.#grow();
    const hash = this.#hashOf(name);
    const place = hash & (this.#places.length - 1);
    const nextAtPlace = this.#places[place];
    const queue = { name, hash, first: undefined, last: undefined, length: 0, nextAtPlace };
    this.#places[place] = queue;
    this.#count++;
    return queue;
  }

  #close(queue: GroupQueue<Message>): void {
    const place = queue.hash & (this.#places.length - 1);
    let before = this.#places[place];
    if (before === queue) this.#places[place] = queue.nextAtPlace;
    else {
      while (before!.nextAtPlace !== queue) before = before!.nextAtPlace;
      before!.nextAtPlace = queue.nextAtPlace;
    }
    queue.nextAtPlace = undefined;
    this.#count--;
  }

  #grow(): void {
    const places = emptyPlaces<Message>(this.#places.length * 2);
    for (const first of this.#places) {
      for (let queue = first, next = queue; queue !== undefined; queue = next) {
        next = queue.nextAtPlace;
        const place = queue.hash & (places.length - 1);
        queue.nextAtPlace = places[place];
        places[place] = queue;
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

const emptyPlaces = <Message>(count: number): (GroupQueue<Message> | undefined)[] =>
  Array.from<GroupQueue<Message> | undefined>({ length: count }).fill(undefined);

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
