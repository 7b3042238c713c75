// What the bench and its endpoint say to each other, each in a process of its own.
import type { AccountingFigures } from './accounting.ts';
import type { LatencyFigures } from './latency-record.ts';

/** `stalled`: requests are read and never answered; `refusing`: 503 at once. */
export type QueueMode = 'serving' | 'stalled' | 'refusing';

/** What lies between a client and the endpoint, and what the endpoint lets through. */
export type Network = {
  /** Milliseconds between request and answer, give or take a quarter; 0: as fast as it is. */
  readonly rttMs: number;
  /** Messages a second, a second's worth at once; what is beyond is throttled. Undefined: all. */
  readonly perSecond?: number;
  /** Of so many requests one is cut off, before it is looked at. Undefined: none. */
  readonly cutOneIn?: number;
};

export type EndpointCommand =
  /** Forgets everything, calibrates the clock. */
  | { readonly do: 'reset' }
  /** From now on only changes committed at or after this time (ms since 1970) count for the latency. */
  | { readonly do: 'sample'; readonly fromMs: number }
  | { readonly do: 'mode'; readonly queue: string; readonly mode: QueueMode }
  /** Until the next reset. */
  | { readonly do: 'network'; readonly network: Network }
  /** Answered once the queue has accepted so many changes. */
  | { readonly do: 'wait'; readonly queue: string; readonly accepted: number }
  | { readonly do: 'report'; readonly queue: string };

export type QueueReport = AccountingFigures & {
  /** SendMessageBatch requests that were served. */
  readonly requests: number;
  /** Those that were throttled, and those that were cut off. */
  readonly throttled: number;
  readonly cut: number;
  /** Changes accepted by so many tenths of a second since the first one. */
  readonly timeline: readonly number[];
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
export type EndpointReady = { readonly url: string; readonly tlsUrl: string | undefined };
