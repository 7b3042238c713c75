// What a life of the service is given in the model: its world, and the settings that a configuration would have made.
import { pino } from 'pino';
import type { Lsn } from '../../src/core/lsn.ts';
import type { Selection } from '../../src/core/selection.ts';
import type { BlockContext } from '../../src/log/format.ts';
import type { LogSettings } from '../../src/log/settings.ts';
import type { LogSignals } from '../../src/log/signals.ts';
import type { SinkStart } from '../../src/pipeline/settings.ts';
import type { PlaceOptions } from '../../src/pipeline/sink/place.ts';
import type { SourceOptions } from '../../src/pipeline/source/options.ts';
import { highestEpochIn } from '../../src/store/ledger.ts';
import { databaseSettings } from '../support/database-settings.ts';
import type { PretendedServer } from './server.ts';
import type { ModelStore } from './store.ts';
import type { SinkWatcher } from './sink.ts';

export const DATABASE = 'shop';
const LOG_SETTINGS: LogSettings = {
  segmentBytes: 1500,
  retentionMs: 0,
  maxBytes: 1024 ** 3,
  minFreeBytes: 0,
  maxMessageBytes: 1024 ** 2,
};
/** Small: `auto` comes to it. */
const MAX_RETAINED_BYTES = 3000;
export const silent = pino({ level: 'silent' });

export type ModelSinkSettings = {
  readonly name: string;
  readonly selection: Selection;
  readonly start: SinkStart;
};

export type ProcessOptions = {
  readonly server: PretendedServer;
  readonly store: ModelStore;
  readonly logDirectory: string;
  readonly ledgerDirectory: string;
  readonly sinks: readonly ModelSinkSettings[];
  readonly publication: string;
  readonly ack: 'auto' | 'delivered' | 'durable';
  readonly watcherOf: (sink: string) => SinkWatcher;
  /** Before a sink takes its place that nobody knows of. */
  readonly begins: (place: PlaceOptions) => Promise<void>;
  /** Before Postgres hears of it. */
  readonly confirms: (lsn: Lsn) => void;
  /** What the log holds up to there is on the disk now, and there is no more. */
  readonly logOpened: (lastCommitLsn: Lsn, signals: LogSignals) => Promise<void>;
  /** These rows are in the log; after `logSynced` on the disk. */
  readonly logged: (ids: readonly number[]) => void;
  readonly logSynced: () => void;
  /** What the log held of an unfinished transaction is given up: it comes again under another epoch. */
  readonly epochChanged: (logEnd: BlockContext) => void;
  /** It is known that the server's history is not the log's, from there on. */
  readonly parted: (lsn: Lsn) => void;
  /** A look was taken. */
  readonly looked: () => void;
};

export function sourceOptions(options: ProcessOptions, signals: LogSignals): SourceOptions {
  const { store, sinks, publication, ack, logDirectory, ledgerDirectory } = options;
  return {
    settings: databaseSettings(
      { name: DATABASE, host: '127.0.0.1', port: 1 },
      { slot: { ack, maxRetainedBytes: MAX_RETAINED_BYTES }, publication: { name: publication } },
    ),
    selections: sinks.map(({ selection }) => selection),
    streamed: () => undefined,
    store,
    log: LOG_SETTINGS,
    directory: logDirectory,
    life: { instance: 'test', life: 1, nonce: 'a' },
    knownEpoch: Math.max(store.sinks.highestEpoch(DATABASE), highestEpochIn(ledgerDirectory)),
    signals,
    sinkSlots: new Map(sinks.map(({ name }, slot) => [name, slot])),
    version: '0.0.0-model',
    durableDirectory: true,
    logger: silent,
  };
}
