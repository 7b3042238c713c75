// The two clocks: the wall's, for what people and other machines read, and a steady one, for everything that waits.
//
// Somebody sets the wall clock: back by an hour, and whatever waits for a time of it waits an hour longer. So deadlines, backoffs,
// intervals and leases count on the steady clock, which nobody sets; times on record, in status, logs and signatures are the
// wall's. Nothing else in src asks for the time (test/clocks.test.ts).

/** Milliseconds since 1970, as this machine believes. May jump, both ways. */
export const wallMs = (): number => Date.now();

/** The same as a Date. */
export const wallTime = (): Date => new Date();

/** `performance.now()` begins at 0 in every thread; this is what it is behind the clock of all of them. */
const THREAD_BEGAN_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds that only ever pass, from an origin of no meaning: the same in all threads of the process. */
export const steadyMs = (): number => THREAD_BEGAN_MS + performance.now();

const WALL_AT_START_MS = Date.now() - steadyMs();

/**
 * Milliseconds since 1970, as this machine believed when the thread began: finer than `wallMs`, and never set. How long something took that
 * began by another clock is known by it up to a constant, which is what comparing needs.
 */
export const unsetWallMs = (): number => WALL_AT_START_MS + steadyMs();

/** Milliseconds for which this thread's loop has had nothing to do, in all. https://nodejs.org/api/perf_hooks.html#performanceeventlooputilizationutilization1-utilization2 */
export const spareMs = (): number => performance.eventLoopUtilization().idle;

/** When it was, or will be, on the wall: for people. */
export const onTheWall = (steadyAtMs: number): Date => new Date(wallMs() + steadyAtMs - steadyMs());
