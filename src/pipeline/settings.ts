// What the pipeline is told to do: the configuration after parsing, plain values that cross threads.
import type { BackfillLimits, BackfillTableRequest } from '../core/backfill.ts';
import type { Action } from '../core/change.ts';
import type { ValueOptions } from '../core/render.ts';
import type { RetryPolicy } from '../core/retry.ts';
import type { Selection, TablePattern } from '../core/selection.ts';
import type { WantedStatus } from '../core/status.ts';
import type { ColumnRules } from '../functions/columns/rules.ts';
import type { Filter } from '../functions/where/syntax.ts';
import type { FormatName } from '../formats/names.ts';
import type { MessagePath } from '../formats/path.ts';
import type { LogSettings } from '../log/settings.ts';
import type { DatabaseSettings } from '../postgres/settings.ts';
import type { DeadLetterLimits } from '../store/dead-letters.ts';
import type { LogFormat, LogLevel } from '../telemetry/logger.ts';

/** Options of the tables that a pattern matches: an exact name wins over patterns, then the first in the list. */
export type TableOptions = {
  readonly pattern: TablePattern;
  /** Only these columns (and the key); undefined: all. */
  readonly columns?: readonly string[];
  /** What else is declared of its columns. */
  readonly rules?: ColumnRules;
  /** Columns of the message group; undefined: the key. */
  readonly groupColumns?: readonly string[];
  /** Of the sink's actions only these. */
  readonly actions?: SinkSettings['actions'];
  /** Only the changes for which it is true. */
  readonly where?: PlacedFilter;
};

/** A filter, and where it was written: `tailrace.yaml:12:12  sinks[users].where`. */
export type PlacedFilter = Filter & { readonly place: string };

export type SinkStart =
  | { readonly from: 'default' } // the very first sink at the slot, later ones at the log's end
  | { readonly from: 'earliest' }
  | { readonly from: 'lsn'; readonly lsn: bigint }
  | { readonly from: 'time'; readonly timeUs: bigint };

/** What backfills do for a sink. */
export type SinkBackfill = {
  /** Does it get the rows that they read? Undefined: those of tables whose inserts it takes. */
  readonly reads?: boolean;
  /** What it gets when it is new: the rows of all its tables, or of these; undefined: none. */
  readonly initial?: 'all' | readonly BackfillTableRequest[];
  readonly limits: BackfillLimits;
};

export type SinkSettings = {
  readonly name: string;
  /** The database's name in the configuration. */
  readonly database: string;
  readonly status: WantedStatus;
  readonly start: SinkStart;
  /** Of the tables in the publication, those that it reads. */
  readonly selection: Selection;
  readonly tables: readonly TableOptions[];
  readonly backfill: SinkBackfill;
  readonly actions: readonly Exclude<Action, 'read' | 'schema'>[];
  /** Of all its tables only the changes for which it is true; a table may have another one beside it. */
  readonly where?: PlacedFilter;
  /** What becomes of an update whose filter needs a value that was not sent. */
  readonly onAbsent: 'dead_letter' | 'deliver' | 'drop';
  /** And of a delete. */
  readonly deletesOutside: 'deliver' | 'drop';
  /** `convert`: an update is a delete where its row leaves what the filter names, and an insert where it enters. */
  readonly whereMoves: 'ignore' | 'convert';
  /** `convert`: an update whose row goes elsewhere than before is a delete there, then an insert here. */
  readonly routeMoves: 'ignore' | 'convert';
  /** A filter or a route has no meaning for the columns that a table has at a change: does the sink wait there, or are its changes dead letters? */
  readonly onSchemaBreak: 'halt' | 'dead_letter';
  readonly format: FormatName;
  /** What the format's own schema made of its keys; undefined where it has none. */
  readonly formatOptions: unknown;
  /** What of its message is sent; undefined: all. */
  readonly path?: MessagePath;
  readonly values: ValueOptions;
  /** Of the hashes that stand for masked values; secret. */
  readonly maskKey?: string;
  readonly messageGrouping: boolean;
  /** `split`: an update that changes the primary key is a delete in the old group and an insert in the new one. */
  readonly keyChanges: 'update' | 'split';
  /** `events`: is it told when the schema of a table has changed? */
  readonly ddl: 'ignore' | 'events';
  /** Delivers transactions that a marker would have it skip. */
  readonly ignoreMarkers: boolean;
  readonly sameGroup: 'strict' | 'ordered';
  /** Behind when the log's budget is spent: does it stop the source, or give up what it is behind with? */
  readonly loadShedding: 'pause' | 'discard';
  /** Failures of the message itself before it becomes a dead letter; undefined: no limit. */
  readonly maxRetryCount?: number;
  readonly retry: RetryPolicy;
  /** A cap on the messages of one request, only when written. */
  readonly batchSize?: number;
  /** Messages waiting in memory before the sink stops reading; undefined: what its routes need. */
  readonly maxBuffered?: number;
  readonly maxParked: number;
  readonly annotations: Readonly<Record<string, unknown>>;
  /** `type` names a definition in sinks/registry.ts; `config` has passed that definition's schema. */
  readonly destination: { readonly type: string; readonly config: unknown };
};

export type ListenSettings =
  { readonly host: string; readonly port: number; readonly explicit: boolean } | 'off';

export type ServiceSettings = {
  /** Absolute. */
  readonly dataDir: string;
  readonly databases: readonly DatabaseSettings[];
  readonly sinks: readonly SinkSettings[];
  readonly log: LogSettings;
  readonly state: { readonly file: string };
  readonly deadLetters: DeadLetterLimits;
  readonly api: { readonly listen: ListenSettings; readonly tokens: readonly string[] };
  readonly metrics: {
    readonly listen: ListenSettings;
    /** HTTP Basic credentials that /metrics demands, on every listener; undefined: none. */
    readonly login?: { readonly username: string; readonly password: string };
  };
  readonly shutdownTimeoutMs: number;
  /** 0: no statistics line. */
  readonly statsIntervalMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
};
