// What the next request carries: cut by count and by bytes, and when two messages of a group may share it (`same_group`).
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';

/** What one request will carry, and what can never be sent. */
export type Taken = { readonly batch: Pending[]; readonly tooLarge: Pending[] };

/**
 * Takes the next batch of a route: as many as one request holds. Where the route keeps the order of a request and the
 * user says so (`ordered`), the messages that wait only for one of this batch follow it.
 */
export function takeBatch(
  queue: RouteQueue<Pending>,
  options: {
    readonly ordered: boolean;
    readonly maxCount: number;
    readonly sizeOf: (message: Pending) => number;
  },
): Taken {
  const { limits } = queue.route;
  const maxCount = Math.min(limits.batchCount, options.maxCount);
  const batch: Pending[] = [];
  const tooLarge: Pending[] = [];
  let bytes = 0;
  const take = (message: Pending, size: number): void => {
    bytes += size;
    message.become('sending');
    batch.push(message);
  };
  while (batch.length < maxCount) {
    const next = queue.ready.peek();
    if (next === undefined) break;
    if (next.state === 'settled') {
      // It was given up while it waited here.
      queue.ready.shift();
      continue;
    }
    const size = options.sizeOf(next);
    if (size > limits.messageBytes) {
      queue.ready.shift();
      tooLarge.push(next);
      continue;
    }
    // A message may be larger than what is put together into a request: it goes alone.
    if (batch.length > 0 && bytes + size > limits.batchBytes) break;
    queue.ready.shift();
    take(next, size);
    if (!options.ordered || !queue.route.keepsOrder) continue;
    let follower = followerOf(next, queue);
    while (follower !== undefined && batch.length < maxCount) {
      const followerSize = options.sizeOf(follower);
      if (bytes + followerSize > limits.batchBytes) break;
      take(follower, followerSize);
      follower = followerOf(follower, queue);
    }
  }
  return { batch, tooLarge };
}

/** The next message of the group, if it waits for nothing but this one and goes the same way. */
function followerOf(message: Pending, queue: RouteQueue<Pending>): Pending | undefined {
  const next = message.links?.next?.message;
  if (next === undefined || next.state !== 'waiting' || next.waitsOn !== 1) return undefined;
  // A replayed dead letter goes alone: what was refused once may be refused again.
  if (next.letterId !== 0 || message.letterId !== 0) return undefined;
  return next.routeQueue === queue && next.secondLink === undefined ? next : undefined;
}
