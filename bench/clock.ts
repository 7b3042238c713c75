// One wall clock for every process of a bench: microseconds' resolution, which `Date.now()` has not.

let offset = 0;

/** Waits for the system clock's next millisecond and takes the offset of the monotonic clock from it. */
export function calibrateClock(): void {
  const before = Date.now();
  let now = before;
  while (now === before) now = Date.now();
  offset = now - performance.now();
}

/** Milliseconds since 1970 with a fraction, as the system clock said at the last calibration. */
export const wallClockMs = (): number => offset + performance.now();

calibrateClock();
