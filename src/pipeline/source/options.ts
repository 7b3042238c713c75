// What a source is told, and what it says once it streams.
import type { Logger } from 'pino';
import type { FollowedLog } from '../../core/log-life.ts';
import type { ProcessLife } from '../../core/process-life.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import type { StreamedTable } from '../../core/status.ts';
import type { LogSettings } from '../../log/settings.ts';
import type { LogSignals } from '../../log/signals.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { Store } from '../../store/sqlite.ts';

/** What a source keeps beside its log. */
export type SourceStore = Pick<
  Store,
  | 'sinks'
  | 'gaps'
  | 'backfills'
  | 'looks'
  | 'renumbered'
  | 'partings'
  | 'handovers'
  | 'standbySlots'
  | 'usedShapes'
>;

export type SourceOptions = {
  readonly settings: DatabaseSettings;
  /** The tables that the sinks want, in the order of `sinkSlots`. */
  readonly selections: readonly SinkNames[];
  /** Does a sink want to be told of changed schemas? */
  readonly tellsSchemas?: boolean;
  /** Names of sinks that do not take updates, or not of all their tables. */
  readonly withoutUpdates?: ReadonlySet<string>;
  /** Remembers from where on tables are streamed. */
  readonly streamed: (tables: readonly StreamedTable[]) => void;
  readonly store: SourceStore;
  readonly log: LogSettings;
  readonly directory: string;
  /** The highest epoch that the store or a ledger knows; -1: none does. */
  readonly knownEpoch: number;
  readonly signals: LogSignals;
  /** By the sinks' names, their slots in `signals`. */
  readonly sinkSlots: ReadonlyMap<string, number>;
  readonly version: string;
  /** Of this process, under the lock of the data directory. */
  readonly life: ProcessLife;
  /** Does `directory` outlive the process? */
  readonly durableDirectory: boolean;
  readonly logger: Logger;
};

/** What the rest of the service needs to know to follow the log. */
export type SourceReady = {
  readonly host: string;
  readonly log: FollowedLog;
};
