// Order inside groups (invariant 4): a message waits for the one before it in each of its groups.

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
  first: GroupLink<Message> | undefined;
  last: GroupLink<Message> | undefined;
  length: number;
};

/** The groups of one sink that have unsettled messages. Others take no memory. */
export class Groups<Message extends Grouped> {
  readonly #queues = new Map<string, GroupQueue<Message>>();

  get(name: string): GroupQueue<Message> | undefined {
    return this.#queues.get(name);
  }

  /** Puts a message at the end of a group; it waits for the one before it. */
  append(message: Message, name: string): GroupLink<Message> {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { name, first: undefined, last: undefined, length: 0 };
      this.#queues.set(name, queue);
    }
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
    queue.length--;
    if (queue.length === 0) this.#queues.delete(queue.name);
    return previous === undefined ? next?.message : undefined;
  }
}
