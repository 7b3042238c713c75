// The contract between the core and a sink. A sink classifies; it never sleeps, retries or counts attempts.
import type { Logger } from 'pino';
import type { z } from 'zod';
import type { Action } from '../core/change.ts';
import type { MessageEncoding } from '../core/encoding.ts';
import type { Outcome } from '../core/errors.ts';
import type { Message } from '../core/message.ts';

/** Limits of one sink instance, per request. */
export type SinkLimits = {
  readonly batchCount: number;
  /** Sum of the messages' wire sizes (`sizeOf`) in one request. */
  readonly batchBytes: number;
  /** Wire size of one message. */
  readonly messageBytes: number;
  /** Requests in flight per route. */
  readonly lanesPerRoute: number;
};

export type RouteInput = { readonly schema: string; readonly table: string; readonly action: Action };

/** Where a table's changes of one action go, and what a message there must look like. Asked once per table and action. */
export type Route = {
  /** Queue URL, topic, … the same text is the same route. */
  readonly id: string;
  /** May one request carry several messages of one group in order? (FIFO queues keep the order of a request.) */
  readonly keepsOrder: boolean;
  readonly limits: SinkLimits;
  /** Template of the sink's own group id; undefined: the message group. */
  readonly groupTemplate: string | undefined;
  /** pg2sqs' format: does the queue take more than one action? */
  readonly severalActions: boolean;
};

export interface Sink {
  /** How it wants the messages' bytes; undefined: as JSON. */
  readonly encoding?: MessageEncoding;
  /** The route of every change of this table and action; undefined: this sink does not want them. */
  routeOf(input: RouteInput): Route | undefined;
  /** Wire size of a message in bytes, as the sink's limits count it. */
  sizeOf(message: Message): number;
  /** One outcome per message, same order. A throw = retryable, scope 'sink'. All messages are of one route. */
  deliver(batch: readonly Message[], signal: AbortSignal): Promise<readonly Outcome[]>;
  /** Preflight: reachable and allowed? Creates what the configuration asks for if `create`. Throws TailraceError with the cure. */
  check(signal: AbortSignal, options: { readonly create: boolean }): Promise<void>;
  close(): Promise<void>;
}

export type SinkContext = {
  /** The sink's name in the configuration. */
  readonly name: string;
  /** Number of rewinds of this sink: part of deduplication ids. */
  readonly rewinds: number;
  /** The row actions that the sink wants; default: all. */
  readonly actions?: readonly Action[];
  readonly logger: Logger;
};

/** A sink's whole definition: everything else (schemas, docs, validation) derives from it. */
export interface SinkDefinition<Config> {
  readonly type: string;
  readonly title: string;
  readonly config: z.ZodType<Config>;
  create(config: Config, context: SinkContext): Promise<Sink>;
}
