// What the core is told of messages that come back from workers, and workers of a stream that stops.
import { TailraceError, type DeliveryError } from '../../core/errors.ts';

const RETURNED = { kind: 'retryable', scope: 'message' } as const;
export const NACKED: DeliveryError = {
  ...RETURNED,
  code: 'NACKED',
  hint: 'a worker gave the message back; see why in the log of the workers',
  // Soon, but what waits for its place may go first.
  retryAfterMs: 1,
};
export const TIMED_OUT: DeliveryError = {
  ...RETURNED,
  code: 'VISIBILITY_TIMEOUT',
  hint: 'no worker acknowledged the message in time: look for workers that died, or raise visibility_timeout_ms',
  // Its worker has had it long enough: the next may have it at once, before what is later.
  retryAfterMs: 0,
};

export const stopped = (): TailraceError =>
  new TailraceError('the stream stops', {
    code: 'STREAM_STOPPED',
    kind: 'retryable',
    hint: 'ask again: it goes on where it was when Tailrace is back',
  });
