// Preloaded into a process (`NODE_OPTIONS=--import …`): its wall clock is set by an hour back and forth, at moments that chance has
// chosen, the same in all of its threads. Nothing else is touched: timers and `performance.now()` go on as they do.

const HOUR_MS = 3_600_000;
/** The clock is set, or left, at the end of each. */
const STEP_MS = 400;
const SHIFTS_MS = [0, -HOUR_MS, HOUR_MS, -HOUR_MS, 0, HOUR_MS];

const RealDate = Date;

/** The hour's shift of this moment: a hash of the step, so that every thread finds the same. */
function shiftMs(): number {
  const step = Math.floor(Number(process.hrtime.bigint() / 1_000_000n) / STEP_MS);
  const hash = Math.imul(step ^ (step >>> 7), 0x9e37_79b1) >>> 0;
  return SHIFTS_MS[(hash >>> 16) % SHIFTS_MS.length]!;
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: [] | [string | number], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [target.now() + shiftMs()] : args, newTarget) as Date,
  apply: (target) => new target(target.now() + shiftMs()).toString(),
  get: (target, name, receiver) =>
    name === 'now' ? () => target.now() + shiftMs() : (Reflect.get(target, name, receiver) as unknown),
});
