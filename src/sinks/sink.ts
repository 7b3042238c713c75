// The contract between the core and a sink. A sink classifies; it never sleeps, retries or counts attempts.
import type { Logger } from 'pino';
import type { z } from 'zod';
import type { Action, MessageAction, RowAction } from '../core/change.ts';
import type { MessageEncoding } from '../core/encoding.ts';
import type { Outcome } from '../core/errors.ts';
import type { LeaseStore } from '../core/leases.ts';
import type { Media, Message } from '../core/message.ts';
import type { PullStatus } from '../core/status.ts';

/** Limits of one sink instance, per request. */
export type SinkLimits = {
  readonly batchCount: number;
  /** Sum of the messages' wire sizes (`sizeOf`) in a request of several. */
  readonly batchBytes: number;
  /** Wire size of one message. */
  readonly messageBytes: number;
  /** Requests in flight per route, at most. */
  readonly lanesPerRoute: number;
  /** Where they are found (pipeline/delivery/lane-limit.ts): how many there are at least. Undefined: always as many. */
  readonly lanesAtFirst?: number;
};

/** Of what is of no table, `schema` and `table` are empty. */
export type RouteInput = {
  readonly schema: string;
  readonly table: string;
  readonly action: MessageAction;
};

/** Where messages go, and what a message there must look like. `Target` is the sink's own: what it needs to deliver there. */
export type Route<Target = unknown> = {
  /** Queue URL, topic, … the same text is the same route. */
  readonly id: string;
  /** May one request carry several messages of one group in order? (FIFO queues keep the order of a request.) */
  readonly keepsOrder: boolean;
  readonly limits: SinkLimits;
  /** Template of the sink's own group id; undefined: the message group. */
  readonly groupTemplate: string | undefined;
  readonly target: Target;
};

/** One row, as far as it is known, for what depends on it. Valid during the call only. */
export interface RowValues {
  /** A column's value as Postgres' text, of a delete as the row was. null: NULL. Undefined: not sent, or no such column. */
  text(column: string): string | null | undefined;
  /** The value before the change. An insert has none. */
  old(column: string): string | null | undefined;
}

/** What is wrong with a row that has no route: it becomes a dead letter. */
export type RouteFault = {
  /** What is known of the route; what is missing stands there as it was written. A dead letter keeps it. */
  readonly id: string;
  /** `ROUTE_VALUE_NULL`, `ROUTE_VALUE_ABSENT`, … */
  readonly code: string;
  /** What is wrong and what cures it. Never the value. */
  readonly hint: string;
};

/** Where the row decides where it goes. About 1,000 such routes of a sink are open at most: idle ones are closed for new ones. */
export interface RouteByRow<Target = unknown> {
  /** The same for all these routes; see `Route`. */
  readonly groupTemplate: string | undefined;
  /** The columns that it asks for: a table that lacks one is a fault before any row. */
  readonly columns?: readonly string[];
  /** Asked for every row: the same text is the same route. Undefined: there is no row (a TRUNCATE), or it is too large to be known. */
  idOf(row: RowValues | undefined): string | RouteFault;
  /**
   * The id of a dead letter's route, which may lack what the configuration now has a default for; what is lacking still is the fault that it
   * was. `code`: the letter's. Undefined: it is as it was.
   */
  idAgain?(id: string, code: string): string | RouteFault;
  /** The route of an id that `idOf` gave, now or before a restart. Asked again whenever the core has closed it and wants it again. */
  open(id: string): Route<Target> | RouteFault;
}

export type CheckOptions = {
  readonly create: boolean;
  /** Where nothing is created: told of what does not exist and will be created at a start. Undefined: that is a fault. */
  readonly toBeMade?: (what: string) => void;
};

export interface Sink<Target = unknown> {
  /** How it wants the messages' bytes; undefined: as JSON. */
  readonly encoding?: MessageEncoding;
  /** Does it need the row's key and unchanged columns beside the body (`Message.row`)? Reading them takes time for every row. */
  readonly wantsRow?: boolean;
  /** The route of every change of this table and action, asked once; undefined: this sink does not want them. */
  routeOf(input: RouteInput): Route<Target> | undefined;
  /** Asked first: undefined where the route of this table and action does not depend on the row. */
  routeByRow?(input: RouteInput): RouteByRow<Target> | undefined;
  /** The actions whose changes of this table come out where this one's do; undefined: all that the sink wants. */
  actionsAt?(input: RouteInput & { readonly action: Action }): readonly Action[];
  /** Wire size of a message in bytes, as the sink's limits count it. */
  sizeOf(message: Message): number;
  /**
   * One request; one outcome per message, same order. A throw = retryable, scope 'sink'. All messages are of one route.
   * Where the whole is refused for what may be one message's fault, say scope 'batch' of all: the core finds it.
   */
  deliver(batch: readonly Message[], signal: AbortSignal, route: Route<Target>): Promise<readonly Outcome[]>;
  /** Preflight: reachable and allowed? Creates what the configuration asks for if `create`. Throws TailraceError with the cure. */
  check(signal: AbortSignal, options: CheckOptions): Promise<void>;
  close(): Promise<void>;
  /** Of a sink whose consumers come to fetch: `deliver` then answers when they have acknowledged. */
  readonly pull?: PullPort;
}

export type ReceiveRequest = {
  readonly maxCount: number;
  /** How long to wait for the first message; 0: not at all. */
  readonly waitMs: number;
};

/** What consumers ask of a pull sink. Throws TailraceError; every request may be repeated. */
export interface PullPort {
  /**
   * The whole answer, JSON in bytes of its own (they go to another thread). Undefined when there were no messages in
   * time, when `signal` aborts, and when the sink stops.
   */
  receive(request: ReceiveRequest, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Resolves when it is remembered. Ids that nobody knows are counted. */
  ack(ids: readonly string[]): Promise<void>;
  /** These messages may be given out again at once. */
  nack(ids: readonly string[]): Promise<void>;
  status(): PullStatus;
}

/** What a pull sink needs of the pipeline. */
export type PullContext = {
  /** Opens what is kept across restarts. */
  openLeases(): LeaseStore;
  /** Resolves once every outcome given so far is in the ledger. */
  remembered(): Promise<void>;
};

export type SinkContext = {
  /** The sink's name in the configuration. */
  readonly name: string;
  /** Number of rewinds of this sink: part of deduplication ids. */
  readonly rewinds: number;
  /** The row actions that the sink wants; default: all. */
  readonly actions?: readonly Action[];
  /** What HTTP calls its messages; undefined: JSON. */
  readonly media?: Media | undefined;
  readonly logger: Logger;
  /** For a sink that is pulled from; the pipeline always gives it. */
  readonly pull?: PullContext;
};

/** A group id template, of one table (`schema.table`) or action where it says so: those go before the others, the table's first. */
export type GroupTemplate = {
  /** Where it stands in the destination: `tables[public.users].group_id`. */
  readonly key: string;
  readonly table?: string;
  readonly action?: RowAction;
  readonly template: string;
};

/** A template over the row in what a sink's rows decide, of one table or action where it says so. */
export type RouteTemplate = GroupTemplate;

/** Of a destination's keys those that a row may decide: what each may be once the row's values stand in it (routing/fields.ts). */
export type RoutedFields = z.ZodObject<Readonly<Record<string, z.ZodType<string>>>>;

/** A sink's whole definition: everything else (schemas, docs, validation) derives from it. */
export interface SinkDefinition<Config> {
  readonly type: string;
  /** Other spellings of `type` in a configuration. */
  readonly aliases?: readonly string[];
  readonly title: string;
  /** Consumers come to fetch: the sink has a `pull` port. */
  readonly isPulled?: boolean;
  /**
   * Keys of the destination, `type` among them. A field's `meta` says what the configuration does with it: `secret` (never
   * shown), `pem` (the text of the file that it names), `refersTo` (the name of an entry of that top-level list).
   */
  readonly config: z.ZodType<Config>;
  /** Of the keys that every sink has, what holds where a sink of this type does not write them. */
  readonly defaults?: {
    /** Messages of one request; undefined: as many as fit. */
    readonly batchSize?: number;
    /** May one request carry several messages of a group, where the route keeps their order? Undefined: `strict`. */
    readonly sameGroup?: 'strict' | 'ordered';
  };
  /** What is no fault of a configuration, but may be one: said once at start, and by `check`. */
  notesOf?(config: Config): readonly string[];
  /** What rows may decide by templates; undefined: nothing. `routeTemplates` lists what a configuration has of them. */
  readonly routing?: RoutedFields;
  /** All that are taken for a table and action, before there is a sink: those of one table, then those of one action go first. */
  routeTemplates?(config: Config): readonly RouteTemplate[];
  /** The templates of `Route.groupTemplate`, before there is a sink; undefined: it has none. */
  groupTemplates?(config: Config): readonly GroupTemplate[];
  /** Tables that the destination's own keys name, by `schema.table`. */
  tableNames?(config: Config): readonly string[];
  create(config: Config, context: SinkContext): Promise<Sink>;
}
