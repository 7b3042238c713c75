// What the next request carries: cut by count and by bytes, and when two messages of a group may share it (`same_group`).
// Reads no files: what is parked is prepared before, as far as one request may take it.
import { isUnsendable } from './delivery-errors.ts';
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';

export type Cut = {
  /** May two messages of one group share a request, where the route keeps the order of a request? */
  readonly ordered: boolean;
  readonly maxCount: number;
  /** Wire size of a rendered message. */
  readonly sizeOf: (message: Pending) => number;
};

/** What one request will carry, and what can never be sent. */
export type Taken = { readonly batch: Pending[]; readonly unsendable: Pending[] };

/**
 * Takes the next batch of a route: as many as one request holds, up to the first that is parked. Where the order of a
 * request is kept (`ordered`), the messages that wait only for one of this batch follow it.
 */
export function takeBatch(queue: RouteQueue<Pending>, cut: Cut): Taken {
  const { limits } = queue.route;
  const { sizeOf } = cut;
  const maxCount = Math.min(limits.batchCount, cut.maxCount);
  const isOrdered = cut.ordered && queue.route.keepsOrder;
  const batch: Pending[] = [];
  const unsendable: Pending[] = [];
  let bytes = 0;
  while (batch.length < maxCount) {
    const next = queue.ready.peek();
    if (next === undefined) break;
    if (next.state === 'settled') {
      // It was given up while it waited here.
      queue.ready.shift();
      continue;
    }
    if (next.lacksPayload) {
      queue.ready.shift();
      unsendable.push(next);
      continue;
    }
    if (next.isParked) break;
    let size = sizeOf(next);
    if (isUnsendable(next, size, limits.messageBytes)) {
      queue.ready.shift();
      unsendable.push(next);
      continue;
    }
    // A message may be larger than what is put together into a request: it goes alone.
    if (batch.length > 0 && bytes + size > limits.batchBytes) break;
    queue.ready.shift();
    let taken: Pending | undefined = next;
    do {
      bytes += size;
      taken.become('sending');
      batch.push(taken);
      taken = isOrdered && batch.length < maxCount ? followerOf(taken, queue) : undefined;
      if (taken === undefined || taken.isParked) break;
      size = sizeOf(taken);
    } while (size <= limits.messageBytes && bytes + size <= limits.batchBytes);
  }
  return { batch, unsendable };
}

/** What is parked among the messages that the next request may take: as many bytes of them as a request holds, at least one. */
export function parkedAhead(queue: RouteQueue<Pending>, cut: Omit<Cut, 'sizeOf'>): Pending[] {
  const { limits } = queue.route;
  const maxCount = Math.min(limits.batchCount, cut.maxCount);
  const isOrdered = cut.ordered && queue.route.keepsOrder;
  const parked: Pending[] = [];
  let count = 0;
  let bytes = 0;
  for (let place = 0; place < queue.ready.length; place++) {
    const next = queue.ready.at(place)!;
    if (next.state === 'settled' || next.lacksPayload) continue;
    let message: Pending | undefined = next;
    while (message !== undefined && !message.lacksPayload) {
      if (count === maxCount || (count > 0 && bytes >= limits.batchBytes)) return parked;
      count++;
      bytes += message.isParked ? message.frameLength : message.byteLength;
      if (message.isParked) parked.push(message);
      message = isOrdered ? followerOf(message, queue) : undefined;
    }
  }
  return parked;
}

/** The next message of the group, if it waits for nothing but this one and goes the same way. */
function followerOf(message: Pending, queue: RouteQueue<Pending>): Pending | undefined {
  const next = message.next?.message;
  if (next === undefined || next.state !== 'waiting' || next.waitsOn !== 1) return undefined;
  if (next.refusal !== undefined || next.isKeyUndecodable) return undefined;
  // A replayed dead letter goes alone: what was refused once may be refused again.
  if (next.letterId !== 0 || message.letterId !== 0) return undefined;
  return next.routeQueue === queue && next.secondPlace === undefined ? next : undefined;
}
