// The statistics under the names that pg2sqs gives them, for dashboards that read its log. What is not counted here is absent.
import type { ServiceStatus, SinkStatus } from '../core/status.ts';

/** Totals since the start and positions of now, as fields of one log line; pg2sqs' configuration has one database. */
export function pg2sqsStatistics({ version, databases, sinks }: ServiceStatus): Record<string, unknown> {
  const [database] = databases;
  return {
    version,
    pg2sqs_tx_total: database?.transactions ?? 0,
    pg2sqs_tx_streamed_total: database?.streamedTransactions ?? 0,
    ...(database !== undefined && {
      pg2sqs_lsn_last_processed: database.loggedEnd,
      pg2sqs_lsn_last_reported: database.flushed,
    }),
    pg2sqs_downstream_write_queue_length: sinks.reduce((sum, sink) => sum + sink.buffered + sink.inFlight, 0),
    ...Object.assign({}, ...sinks.map(requestsOf)),
  };
}

/** Requests are counted for each sink, which has the queues whose order belongs together. */
function requestsOf({ routes, requests, failedRequests }: SinkStatus): Record<string, number> {
  if (routes.length === 0) return {};
  const queues = routes.map(({ id }) => id.split('/').at(-1)).join(',');
  return {
    [`pg2sqs_sqs_request_total{queue="${queues}"}`]: requests,
    [`pg2sqs_sqs_failure_total{queue="${queues}"}`]: failedRequests,
  };
}
