// Order inside groups (invariant 4): a message waits for the one before it in each of its groups.
import type { GroupLink, Pending } from './pending.ts';

/** The unsettled messages of one group, oldest first. */
export type GroupQueue = {
  readonly name: string;
  first: GroupLink | undefined;
  last: GroupLink | undefined;
  length: number;
};

/** The groups of one sink that have unsettled messages. Others take no memory. */
export class Groups {
  readonly #queues = new Map<string, GroupQueue>();

  get(name: string): GroupQueue | undefined {
    return this.#queues.get(name);
  }

  /** Puts a message at the end of a group; it waits for the one before it. */
  append(message: Pending, name: string): GroupLink {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { name, first: undefined, last: undefined, length: 0 };
      this.#queues.set(name, queue);
    }
    const link: GroupLink = { message, queue, previous: queue.last, next: undefined };
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
  remove(link: GroupLink): Pending | undefined {
    const { queue, previous, next } = link;
    if (previous === undefined) queue.first = next;
    else previous.next = next;
    if (next === undefined) queue.last = previous;
    else next.previous = previous;
    queue.length--;
    if (queue.length === 0) this.#queues.delete(queue.name);
    return previous === undefined ? next?.message : undefined;
  }
}
