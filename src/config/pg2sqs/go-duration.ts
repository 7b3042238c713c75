// Durations as pg2sqs reads them: those of Go, where a bare number takes the setting's own unit.
// https://pkg.go.dev/time#ParseDuration

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, as keyboards write it
  μs: 1e-3, // U+03BC, the Greek letter
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of `500ms`, `1.5h`, `1h30m`, `500`. What is positive never becomes 0. Undefined when it is no duration. */
export function parseGoDuration(text: string, bareUnit: 'ms' | 's'): number | undefined {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return toWholeMs(Number(trimmed) * MS_PER_UNIT[bareUnit]!);
  if (!/^(\d+(\.\d+)?(ns|us|µs|μs|ms|s|m|h))+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const [, count, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(count) * MS_PER_UNIT[unit!]!;
  }
  return toWholeMs(total);
}

const toWholeMs = (ms: number): number => (ms > 0 ? Math.max(1, Math.round(ms)) : 0);
