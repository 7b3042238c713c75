// What a sink counts since the service started, declared once: delivery counts here, and status, metrics and statistics derive from it.

/** A new counter is one line here, and its name and help among the metrics. */
const ZERO = {
  /** Messages that the destination accepted. */
  delivered: 0,
  /** Messages put aside as dead letters. */
  deadLettered: 0,
  /** Changes that the sink's filter did not let through. */
  filtered: 0,
  /** Messages that were refused and are sent again. */
  retried: 0,
  requests: 0,
  /** Requests that failed as a whole. */
  failedRequests: 0,
  /** Bytes of the accepted messages, as JSON. */
  bytes: 0,
  /** Changes given up to keep the log within its budget. */
  discarded: 0,
  /** Messages accepted before an earlier one of their group. */
  inversions: 0,
};

export type SinkCounts = typeof ZERO;
export type SinkCounter = keyof SinkCounts;

export const SINK_COUNTERS = Object.keys(ZERO) as readonly SinkCounter[];

export const zeroCounts = (): SinkCounts => ({ ...ZERO });

/** Only the counters of both, summed. */
export function addCounts(one: Readonly<SinkCounts>, other: Readonly<SinkCounts>): SinkCounts {
  const sum = zeroCounts();
  for (const counter of SINK_COUNTERS) sum[counter] = one[counter] + other[counter];
  return sum;
}
