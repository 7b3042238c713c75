// The messages of failed requests whose route is up: they wait, and with them a lane, while the others go on.
import type { DeliveryError } from '../../core/errors.ts';
import type { RetryPolicy } from '../../core/retry.ts';
import type { Pending } from './pending.ts';
import { mayRestLane, waitMs } from './route-health.ts';
import type { RouteQueue } from './route-queue.ts';
import type { Unsettled } from './unsettled.ts';

export type HeldRequestPorts = {
  readonly retry: RetryPolicy;
  readonly unsettled: Pick<Unsettled, 'room' | 'parkFollowers'>;
  /** Something may go again, of this route. */
  readonly released: (queue: RouteQueue<Pending>) => void;
  readonly chance: () => number;
};

type Held = {
  readonly queue: RouteQueue<Pending>;
  readonly messages: readonly Pending[];
  /** Of them, those that stay rendered. */
  readonly inRoom: number;
  readonly restsLane: boolean;
  readonly timer: NodeJS.Timeout;
};

export class HeldRequests {
  readonly #ports: HeldRequestPorts;
  readonly #held = new Set<Held>();
  #isStopped = false;

  constructor(ports: HeldRequestPorts) {
    this.#ports = ports;
  }

  /** They were in a request that failed: each keeps its place at the front of its groups. No attempt counts. */
  hold(queue: RouteQueue<Pending>, messages: readonly Pending[], error: DeliveryError): void {
    const { retry, unsettled, released, chance } = this.#ports;
    let failures = 0;
    for (const message of messages) {
      message.become('backing-off');
      failures = Math.max(failures, ++message.failedRequests);
    }
    // What fails again and again may be many: of those, and of what waits for them, only log offsets are kept.
    if (failures > 1) {
      for (const message of messages) {
        if (!message.isParked) unsettled.room.park(message);
        unsettled.parkFollowers(message);
      }
    }
    // Failed while the sink stops: the next one begins with them.
    if (this.#isStopped) return;
    const inRoom = failures > 1 ? 0 : messages.length;
    unsettled.room.hold(inRoom);
    const restsLane = mayRestLane(queue.lanes, queue.restingLanes);
    queue.heldRequests++;
    if (restsLane) queue.restingLanes++;
    const timer = setTimeout(
      () => {
        this.#release(held);
        released(queue);
      },
      waitMs(error, retry, failures, chance()),
    );
    const held: Held = { queue, messages, inRoom, restsLane, timer };
    this.#held.add(held);
  }

  /** All that is held of a route may go: the route itself decides when. */
  release(queue: RouteQueue<Pending>): void {
    for (const held of this.#held) if (held.queue === queue) this.#release(held);
  }

  /** Nothing is tried again from here on. */
  stop(): void {
    this.#isStopped = true;
    for (const { timer } of this.#held) clearTimeout(timer);
    this.#held.clear();
  }

  #release(held: Held): void {
    const { queue, messages, inRoom, restsLane, timer } = held;
    clearTimeout(timer);
    this.#ports.unsettled.room.held -= inRoom;
    this.#held.delete(held);
    queue.heldRequests--;
    if (restsLane) queue.restingLanes--;
    // Some may have been given up meanwhile.
    const left = messages.filter((message) => message.state === 'backing-off');
    for (const message of left) message.become('waiting');
    putInFront(queue, left);
  }
}

/** Those that wait for nothing go before everything else that is ready. */
export function putInFront(queue: RouteQueue<Pending>, messages: readonly Pending[]): void {
  const heads = messages.filter(({ waitsOn, state }) => waitsOn === 0 && state === 'waiting');
  for (const message of heads) message.become('ready');
  if (heads.length > 0) queue.ready.pushFront(heads);
}
