// The commit time as messages write it.

/** Of the commit that was asked for last: the plans of a sink's tables ask one after the other, and an envelope beside what is in it. */
const last = { commitTimeUs: -1n, text: '' };

/** RFC 3339 in UTC with microseconds, always six digits: `2026-01-02T03:04:05.123456Z`. */
export function formatCommitTime(commitTimeUs: bigint): string {
  if (last.commitTimeUs !== commitTimeUs) {
    last.commitTimeUs = commitTimeUs;
    last.text = format(commitTimeUs);
  }
  return last.text;
}

function format(commitTimeUs: bigint): string {
  const seconds = new Date(Number(commitTimeUs / 1_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(commitTimeUs % 1_000_000n).padStart(6, '0')}Z`;
}

/** The same without the fraction's trailing zeros, as Go's RFC3339Nano: https://pkg.go.dev/time#pkg-constants */
export const formatCommitTimeNano = (commitTimeUs: bigint): string =>
  formatCommitTime(commitTimeUs).replace(/\.?0+Z$/, 'Z');
