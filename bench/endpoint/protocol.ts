// What the bench and its endpoint say to each other, each in a process of its own.
import type { AccountingFigures } from './accounting.ts';
import type { LatencyFigures } from './latency-record.ts';

/** `stalled`: requests are read and never answered; `refusing`: 503 at once. */
export type QueueMode = 'serving' | 'stalled' | 'refusing';

export type EndpointCommand =
  /** Forgets everything, calibrates the clock. */
  | { readonly do: 'reset' }
  /** From now on only changes committed at or after this time (ms since 1970) count for the latency. */
  | { readonly do: 'sample'; readonly fromMs: number }
  | { readonly do: 'mode'; readonly queue: string; readonly mode: QueueMode }
  /** Answered once the queue has accepted so many changes. */
  | { readonly do: 'wait'; readonly queue: string; readonly accepted: number }
  | { readonly do: 'report'; readonly queue: string };

export type QueueReport = AccountingFigures & {
  /** SendMessageBatch requests that were served. */
  readonly requests: number;
  /** Milliseconds since 1970; NaN while there is none. */
  readonly firstAcceptedMs: number;
  readonly lastAcceptedMs: number;
  /** Commit time of the first and the last change that was accepted. */
  readonly firstCommitMs: number;
  readonly lastCommitMs: number;
  /** CPU of the endpoint's process since the last reset, when the queue's last change was accepted. */
  readonly cpuUs: number;
  readonly latency: LatencyFigures | undefined;
};

export type EndpointRequest = { readonly id: number; readonly command: EndpointCommand };
export type EndpointAnswer = { readonly id: number; readonly report?: QueueReport };
export type EndpointReady = { readonly url: string };
