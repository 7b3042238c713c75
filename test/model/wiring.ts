// What a life of the service tells the accounting of.
import type { PlaceOptions } from '../../src/pipeline/sink/place.ts';
import type { Accounting } from './accounting.ts';
import type { ModelDirectory } from './directory.ts';
import { rowsIn } from './logged-rows.ts';
import type { ProcessOptions } from './process-options.ts';
import { FIRST_SINKS } from './sinks.ts';

export type Wired = Pick<ProcessOptions, 'server' | 'sinks' | 'publication' | 'ack'> & {
  readonly directory: ModelDirectory;
  readonly accounting: Accounting;
  /** Is another log there than was known of? Asked once for each opening. */
  readonly isLogOlder: () => boolean;
};

export function wire({ directory, accounting, isLogOlder, ...life }: Wired): ProcessOptions {
  const { store, log, ledgers } = directory;
  const { ack, publication } = life;
  return {
    ...life,
    store,
    logDirectory: log,
    ledgerDirectory: ledgers,
    watcherOf: (sink) => accounting.watcherOf(sink),
    begins: (place) => noteBeginning(accounting, place),
    confirms: (lsn) => accounting.confirms(lsn, { store, durable: ack !== 'delivered', publication }),
    logOpened: async (lastCommitLsn, signals) => {
      accounting.logOpened(lastCommitLsn);
      if (isLogOlder()) accounting.logged([...(await rowsIn(log, signals))]);
      accounting.logSynced();
    },
    logged: (ids) => accounting.logged(ids),
    logSynced: () => accounting.logSynced(),
    epochChanged: (end) => accounting.epochChanged(end),
    parted: (lsn) => accounting.parted(lsn),
    looked: () => accounting.looked(),
  };
}

/** The first ones begin with the first of all changes. */
async function noteBeginning(
  accounting: Accounting,
  { settings, logDirectory, signals, newSinkStart }: PlaceOptions,
): Promise<void> {
  const { name, start } = settings;
  if (FIRST_SINKS.some((sink) => sink.name === name)) return;
  const { lastCommitLsn } = signals.end();
  const inLog = await rowsIn(logDirectory, signals);
  const begins = start.from === 'default' ? { from: newSinkStart } : start;
  accounting.begins(name, { start: begins, inLog, lastCommitLsn });
}
