// Which segments may go: the rule, apart from the deleting.
import { endOf, type SegmentFile } from './segments.ts';

export type RetentionRule = {
  /** Everything below is settled in every sink that holds the log. */
  readonly settledOffset: number;
  /** `log.retention`: what was last written before this is old enough. */
  readonly writtenBeforeMs: number;
  /** Bytes above `log.max_bytes`; while positive, age does not count. */
  readonly excessBytes: number;
  readonly lastWriteMs: (segment: SegmentFile) => number;
};

/** The oldest of `segments` that may be deleted. Never one behind another that must stay: the log has no holes. */
export function expiredSegments(segments: readonly SegmentFile[], rule: RetentionRule): SegmentFile[] {
  let excessBytes = rule.excessBytes;
  const stays = segments.findIndex((segment) => {
    if (endOf(segment) > rule.settledOffset) return true;
    if (excessBytes <= 0 && rule.lastWriteMs(segment) >= rule.writtenBeforeMs) return true;
    excessBytes -= segment.bytes;
    return false;
  });
  return segments.slice(0, stays === -1 ? segments.length : stays);
}
