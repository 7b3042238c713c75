// The log of one source with what belongs to it for as long as it is open, over all connections.
import type { FollowedLog } from '../../core/log-life.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Logger } from 'pino';
import { openLog, type LogWriter, type Recovered } from '../../log/writer.ts';
import { DiskBudget } from './disk-budget.ts';
import { LogFeed } from './feed.ts';
import { RelationsInForce } from './relations-in-force.ts';
import { FlushKeeper } from './flush.ts';
import type { SourceOptions } from './options.ts';
import type { Prepared, ServerHistory } from './start.ts';
import type { SourceState } from './status.ts';

export type SourceLog = {
  readonly log: LogWriter;
  readonly systemIdentifier: string;
  readonly databaseOid: number;
  readonly keeper: FlushKeeper;
  readonly budget: DiskBudget;
  readonly feed: LogFeed;
  /** Under which the log's files are. */
  readonly directory: string;
  epoch: number;
  /** Behind which gap the stream went on last. */
  skippedTo: Lsn | undefined;
  /** Has a connection begun with the log as it is now? */
  joined: boolean;
  /** Is the server of this connection, or of the last one, known to be the log's? */
  proved: boolean;
  /** Has the server begun to send what follows the log's end? Until then a new log begins wherever the slot stands. */
  streamed: boolean;
  /** Bytes known to be durable were lost: a matter for the first connection. */
  damaged: boolean;
  /** A connection has found where the history of its server parts from the log's, and it is not on record yet. */
  parts: FoundParting | undefined;
};

export type FoundParting = { readonly lsn: Lsn; readonly why: string; readonly timeline: number };

export async function openSourceLog(
  options: SourceOptions,
  state: SourceState,
  prepared: Prepared,
  server: ServerHistory,
): Promise<SourceLog> {
  const { settings, signals, directory, durableDirectory } = options;
  const { systemIdentifier } = server;
  const { databaseOid } = prepared.preflight;
  const relations = new RelationsInForce();
  const log = await openLog({
    directory,
    identity: { systemIdentifier, databaseOid, slot: settings.slot.name },
    settings: options.log,
    signals,
    streamOptions: prepared.streamOptions,
    version: options.version,
    // Postgres sends every transaction committed from there on.
    beganAt: prepared.slot.confirmedFlush,
    knownEpoch: options.knownEpoch,
    prologue: () => relations.prologue(),
  });
  const { recovered } = log;
  sayWhatWasFound(recovered, directory, options.logger);
  const opened: SourceLog = {
    log,
    systemIdentifier,
    databaseOid,
    keeper: new FlushKeeper({ log, signals, settings, durableDirectory, state }),
    budget: new DiskBudget({
      log,
      signals,
      settings: options.log,
      directory,
      sinkSlots: options.sinkSlots,
      isProved: () => opened.proved,
    }),
    feed: new LogFeed(log, relations, { epoch: recovered.epoch, history: server }),
    directory,
    epoch: recovered.epoch,
    skippedTo: undefined,
    joined: false,
    proved: false,
    streamed: false,
    damaged: recovered.damaged,
    parts: undefined,
  };
  return opened;
}

/** What is not as it was left: told once, at the start. */
export function sayWhatWasFound(recovered: Recovered, directory: string, logger: Pick<Logger, 'warn'>): void {
  if (recovered.cutBytes > 0 || recovered.damaged) {
    logger.warn(
      { cutBytes: recovered.cutBytes, damaged: recovered.damaged },
      recovered.damaged
        ? `the change log in ${directory} is damaged: from the damage on it is cut off, and read again as far as the slot goes back; check the disk`
        : 'the change log was not closed in good order: its unfinished end is cut off and read again',
    );
  }
  if (recovered.stateLost) {
    logger.warn(
      { directory },
      'the state file of the change log is missing or empty: the log goes on with all of it that is sound; what is not is read again as far as the slot goes back, and beyond that is a gap',
    );
  }
  for (const { after, before, bytes } of recovered.holes) {
    logger.warn(
      { after, before, missingBytes: bytes },
      'the change log has a hole between two of its files: check the disk, and restore what was there; a sink that is past it needs nothing of it; one that is behind it, or is rewound to before it, halts there',
    );
  }
}

/** The log, as the sinks are told of it. */
export const followedLog = (
  { log, systemIdentifier, databaseOid }: SourceLog,
  slot: string,
  { current, switches, walEnd }: ServerHistory,
): FollowedLog => ({
  ...log.birth,
  systemIdentifier,
  databaseOid,
  slot,
  history: { current, switches, walEnd },
});
