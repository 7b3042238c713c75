// Up to where a log may be delivered while nothing is to be that the named standbys have not replayed. Pure: no I/O, no clock.
import { maxLsn, minLsn, ZERO_LSN, type Lsn } from './lsn.ts';
import type { Partings } from './partings.ts';
import type { TimelineSwitch } from './timeline.ts';

/** A place in the log where a whole transaction ends and none is in progress. */
export type Boundary = {
  readonly offset: number;
  /** End LSN of that transaction: a commit is replayed when its whole record is. */
  readonly endLsn: Lsn;
  readonly epoch: number;
  readonly timeline: number;
};

/** What a server said of itself. */
export type ReplayPoint = {
  readonly timeline: number;
  /** Oldest first. */
  readonly switches: readonly TimelineSwitch[];
  /** A standby's replay position; of a primary, the end of its WAL on the disk. */
  readonly lsn: Lsn;
};

/** Up to here the server has what was committed on this timeline. */
export function hasOf({ timeline, switches, lsn }: ReplayPoint, of: number): Lsn {
  if (timeline === of) return lsn;
  // Of a timeline that it has not come to it has nothing.
  if (timeline < of) return ZERO_LSN;
  const left = switches.find((entry) => entry.timeline === of);
  // It came another way.
  return left === undefined ? ZERO_LSN : minLsn(lsn, left.switchLsn);
}

/** What is lost of a history is not delivered: of that nobody has to have anything. */
const neededOf = ({ endLsn, epoch }: Boundary, partings: Partings): Lsn =>
  partings.reduce((lsn, parting) => (parting.epoch > epoch ? minLsn(lsn, parting.lsn) : lsn), endLsn);

export const isReplayed = (boundary: Boundary, point: ReplayPoint, partings: Partings): boolean =>
  hasOf(point, boundary.timeline) >= neededOf(boundary, partings);

/** More of them wait in turns: the ones between are as good as the ones that are kept. */
const MAX_BOUNDARIES = 10_000;

/** The places that wait, in the order of the log. Invariant: the last one is always kept, so that all is let go at last. */
export class Boundaries {
  #waiting: Boundary[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  get last(): Boundary | undefined {
    return this.#waiting.at(-1);
  }

  add(boundary: Boundary): void {
    const { last } = this;
    // A log that was cut, or a place that is known.
    if (last !== undefined && boundary.offset <= last.offset) {
      this.#waiting = this.#waiting.filter(({ offset }) => offset < boundary.offset);
    }
    this.#waiting.push(boundary);
    if (this.#waiting.length > MAX_BOUNDARIES) {
      this.#waiting = this.#waiting.filter((_, i) => i % 2 === 1 || i === this.#waiting.length - 1);
    }
  }

  /** Lets go what all of them have; answers the last of it, undefined: nothing more. */
  release(points: readonly ReplayPoint[], partings: Partings): Boundary | undefined {
    let count = 0;
    while (
      count < this.#waiting.length &&
      points.every((point) => isReplayed(this.#waiting[count]!, point, partings))
    )
      count++;
    if (count === 0) return undefined;
    return this.#waiting.splice(0, count).at(-1);
  }
}

/** How far a server is behind what waits. */
export const behindBytes = (last: Boundary, point: ReplayPoint): number =>
  Number(maxLsn(last.endLsn, hasOf(point, last.timeline)) - hasOf(point, last.timeline));
