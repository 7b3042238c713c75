// How long something takes or is ago, for people: in the unit that leaves few digits. Pure.

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Below it milliseconds say more. */
const LATENCY_SECONDS_MS = 10 * SECOND_MS;
/** Of each unit so much is still told in the smaller one. */
const KEPT = 2;

/**
 * `0.4 ms`, `12.3 s`, `5.6 min`, `3.2 h`, `4.0 d`. What two clocks say may be less than nothing, as where one of them counts whole
 * milliseconds: `0.0 ms`.
 */
export const latencyText = (ms: number): string =>
  ms < LATENCY_SECONDS_MS ? `${Math.max(0, ms).toFixed(1)} ms` : ageText(ms / SECOND_MS);

/** Of times that are known to the millisecond only. */
export function wholeLatencyText(ms: number): string {
  if (ms < 1) return '< 1 ms';
  return ms < LATENCY_SECONDS_MS ? `${Math.round(ms)} ms` : ageText(ms / SECOND_MS);
}

/** The same of what is ago, in seconds: `0.0 s`, `12.3 s`, `5.6 min`, … */
export function ageText(seconds: number): string {
  const ms = seconds * SECOND_MS;
  if (ms < KEPT * MINUTE_MS) return `${seconds.toFixed(1)} s`;
  if (ms < KEPT * HOUR_MS) return `${(ms / MINUTE_MS).toFixed(1)} min`;
  if (ms < KEPT * DAY_MS) return `${(ms / HOUR_MS).toFixed(1)} h`;
  return `${(ms / DAY_MS).toFixed(1)} d`;
}
