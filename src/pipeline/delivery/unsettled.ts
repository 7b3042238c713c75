// The messages of one sink that are not settled yet: in log order, in their groups, between their tables' barriers, in memory
// or parked. Says what may go: a message is ready when nothing that it must follow is left. Hot file (bench/micro/walk.ts).
import type { Arenas } from './arena.ts';
import { Groups, otherPlace, OUTSIDE } from './groups.ts';
import type { Pending } from './pending.ts';
import { Room, type RoomPorts, type RoomSettings } from './room.ts';
import type { RouteQueue } from './route-queue.ts';
import { Regrouping, settleRow, type Barrier, type TableBarriers } from './table-order.ts';

/** A group longer than this keeps only log offsets of its tail: a hot key cannot take the room of the others. */
const MAX_GROUP_IN_MEMORY = 32;

export class Unsettled {
  readonly room: Room;
  readonly #groups = new Groups<Pending>();
  #first: Pending | undefined;
  #last: Pending | undefined;

  constructor(limits: RoomSettings, ports?: RoomPorts) {
    this.room = new Room(limits, ports);
  }

  /** Where messages are rendered to. */
  get arenas(): Arenas {
    return this.room.arenas;
  }

  /** The oldest unsettled message: everything before it is settled (invariant 2). */
  get oldest(): Pending | undefined {
    return this.#first;
  }

  /** In log order. What has been passed may be taken out on the way. */
  *all(): Generator<Pending> {
    for (let message = this.#first, next = message; message !== undefined; message = next) {
      next = message.after;
      yield message;
    }
  }

  /** Should a message of this table, group and route keep only its log offset for now? */
  shouldPark(
    barriers: TableBarriers<Pending>,
    group: string | undefined,
    route: RouteQueue<Pending>,
  ): boolean {
    if (barriers.isClosed || (route.isDown && this.room.hasEnoughOfDownRoutes)) return true;
    return group !== undefined && this.#isHeldBack(group, route);
  }

  /** Is this group so long, or held back, that of what joins it only log offsets are to be kept? */
  #isHeldBack(group: string, route: RouteQueue<Pending>): boolean {
    const first = this.#groups.get(group);
    if (first === undefined) return false;
    const last = first.last!.message;
    return (
      first.members >= MAX_GROUP_IN_MEMORY ||
      first.message.attempts > 0 ||
      last.isParked ||
      // What waits for another route that is down counts as this one's, which is up.
      (last.routeQueue !== route && last.routeQueue.isDown)
    );
  }

  /** Lets a message in, in log order. It has been rendered, or is parked. `group`: its own, where it goes behind what is there; `previousGroup`: here too. */
  enter(message: Pending, group?: string, previousGroup?: string): void {
    if (message.isOfTheLog) {
      message.before = this.#last;
      if (this.#last === undefined) this.#first = message;
      else this.#last.after = message;
      this.#last = message;
    }
    this.room.enter(message);
    if (this.room.isSparse()) this.#gather();
    this.room.enterRoute(message.routeQueue);
    if (isBarrier(message)) message.plan.barriers.enterBarrier(message);
    else message.stretch = message.plan.barriers.enterRow(message);
    if (group !== undefined) this.#groups.append(message);
    if (previousGroup !== undefined) {
      message.secondPlace = otherPlace(message, previousGroup);
      this.#groups.append(message.secondPlace);
    }
    if (message.waitsOn === 0) ready(message);
  }

  /**
   * A message is settled: what waited for it alone may go. It points at no other any more: one that has outlived two collections of garbage
   * would hold those behind it, dead as it is, and these the next ones.
   */
  leave(message: Pending): void {
    if (message.isOfTheLog) {
      if (message.before === undefined) this.#first = message.after;
      else message.before.after = message.after;
      if (message.after === undefined) this.#last = message.before;
      else message.after.before = message.before;
      message.before = message.after = undefined;
    }
    this.room.leaveRoute(message.routeQueue);
    this.room.free(message);
    const { secondPlace } = message;
    message.secondPlace = undefined;
    if (message.members !== OUTSIDE) this.#release(this.#groups.remove(message));
    if (secondPlace !== undefined) this.#release(this.#groups.remove(secondPlace));
    if (isBarrier(message)) {
      for (const waiting of message.plan.barriers.settle(message)) this.#release(waiting);
    } else if (message.stretch !== undefined) {
      this.#release(settleRow(message.stretch));
    }
  }

  /** What waits in memory gets bytes of its own: it holds arenas that others have left. */
  #gather(): void {
    for (const message of this.all()) if (message.state !== 'sending') message.own(this.arenas);
    this.room.gathered();
  }

  /** A route went down: of what it has in memory the oldest stays there, as far as there is room for such routes. */
  parkDown(route: RouteQueue<Pending>): void {
    const { room } = this;
    for (const message of route.ready.all()) this.parkFollowers(message, route);
    if (!room.hasEnoughOfDownRoutes) return;
    const rendered = this.#renderedOf(route);
    while (room.hasEnoughOfDownRoutes && rendered.length > 0) room.park(rendered.pop()!);
  }

  /** In log order, without those in requests. */
  #renderedOf(route: RouteQueue<Pending>): Pending[] {
    const isRendered = (message: Pending): boolean => !message.isParked && message.state !== 'sending';
    const ready = [...route.ready.all()].filter(isRendered);
    // As a rule nothing waits behind them: what is unsettled may be a hundred thousand messages.
    if (ready.length === route.buffered - route.inFlight) return ready;
    return [...this.all()].filter((message) => message.routeQueue === route && isRendered(message));
  }

  /** A probe failed: what was rendered for it does not stay, where such routes have enough in memory already. */
  parkProbe(batch: readonly Pending[]): void {
    for (const message of batch) {
      if (message.state === 'sending' || message.state === 'settled') continue;
      this.parkFollowers(message, message.routeQueue);
      if (this.room.hasEnoughOfDownRoutes && !message.isParked) this.room.park(message);
    }
  }

  /** Drops the payloads of those that wait behind this message in its groups, but for those of one route. */
  parkFollowers(message: Pending, but?: RouteQueue<Pending>): void {
    for (const place of [message, message.secondPlace]) {
      for (let next = place?.next; next !== undefined; next = next.next) {
        const follower = next.message;
        if (follower.state === 'waiting' && !follower.isParked && follower.routeQueue !== but)
          this.room.park(follower);
      }
    }
  }

  #release(message: Barrier<Pending> | undefined): void {
    if (message === undefined) return;
    message.waitsOn--;
    if (message.waitsOn > 0) return;
    if (message instanceof Regrouping) for (const waiting of message.settle()) this.#release(waiting);
    else if (message.state === 'waiting') ready(message);
  }
}

/** Everything earlier of its table goes before it, everything later behind it. */
const isBarrier = ({ action }: Pending): boolean => action === 'truncate' || action === 'schema';

function ready(message: Pending): void {
  message.become('ready');
  message.routeQueue.ready.push(message);
}
