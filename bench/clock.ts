// One wall clock for every process of a bench: microseconds' resolution, which `Date.now()` has not.

let offset = 0;

const TICKS = 20;

/**
 * Takes the offset of the monotonic clock at ticks of the system clock. Whoever is held up between the two readings finds an
 * offset that is too small: the largest of several is right.
 */
export function calibrateClock(): void {
  let largest = -Infinity;
  for (let tick = 0; tick < TICKS; tick++) {
    const before = Date.now();
    let now = before;
    while (now === before) now = Date.now();
    largest = Math.max(largest, now - performance.now());
  }
  offset = largest;
}

/** Milliseconds since 1970 with a fraction, as the system clock said at the last calibration. */
export const wallClockMs = (): number => offset + performance.now();

calibrateClock();
