// Takes another server for a database, by its operator's word: the log of the one before is put aside, and a new one begins where the
// slot on the new server stands. Done while the service does not run: by then nobody has the files.
import { existsSync, renameSync } from 'node:fs';
import { wallTime } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { formatLsn, type Lsn } from '../../core/lsn.ts';
import { ledgerFile, logDirectory } from '../../data-directory/places.ts';
import { readState } from '../../log/state-file.ts';
import { closeConnection, connectReplication, formatTarget } from '../../postgres/connection/connection.ts';
import { findServer } from '../../postgres/connection/standbys.ts';
import { identifySystem } from '../../postgres/connection/identify-system.ts';
import { readSlot } from '../../postgres/preflight/slot.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { readLedger } from '../../store/ledger.ts';
import type { Drain } from '../../store/handovers.ts';
import { settledLsn } from '../../store/places.ts';
import type { Store } from '../../store/sqlite.ts';
import type { ServiceSettings } from '../settings.ts';

export type AdoptOptions = {
  readonly settings: ServiceSettings;
  readonly database: DatabaseSettings;
  readonly store: Store;
  readonly version: string;
};

/** What would be done, for the operator to see first. */
export type AdoptionPlan = {
  readonly database: string;
  readonly host: string;
  readonly systemIdentifier: string;
  /** Where its slot stands (LSN text); undefined: there is none, so the service makes it when it starts. */
  readonly slotAt: string | undefined;
  /** The log that is put aside. */
  readonly life: string;
  readonly logDirectory: string;
  /** Of the server before. Undefined: it was not drained. */
  readonly drained: NonNullable<Drain['done']> | undefined;
  /** Sinks that have not settled all of that: what they have not is not delivered any more. */
  readonly behind: readonly string[];
};

/** Connects to the server that the configuration names, and changes nothing. Throws TailraceError. */
export async function planAdoption(options: AdoptOptions): Promise<AdoptionPlan> {
  const { settings, database, store } = options;
  const directory = logDirectory(settings, database.name);
  const life = readState(directory, options.version)?.birth?.life;
  if (life === undefined) throw nothingToLeave(database.name);
  const drained = store.handovers.drain(database.name)?.done;
  const server = await askServer(database);
  return {
    database: database.name,
    ...server,
    life,
    logDirectory: directory,
    drained,
    behind: drained === undefined ? [] : sinksBehind(options, life, drained.lsn),
  };
}

async function askServer(
  database: DatabaseSettings,
): Promise<Pick<AdoptionPlan, 'host' | 'systemIdentifier' | 'slotAt'>> {
  const { client, target } = await findServer(database);
  try {
    const replication = await connectReplication(database, target);
    try {
      const { systemIdentifier } = await identifySystem(replication);
      const slot = await readSlot(client, database.slot.name);
      return { host: formatTarget(target), systemIdentifier, slotAt: slot && formatLsn(slot.confirmedFlush) };
    } finally {
      await closeConnection(replication.client);
    }
  } finally {
    await closeConnection(client);
  }
}

function sinksBehind({ settings, database }: AdoptOptions, life: string, lsn: Lsn): string[] {
  const sinks = settings.sinks.filter((sink) => sink.database === database.name);
  return sinks
    .filter(({ name }) => {
      const id = { database: database.name, sink: name };
      const stored = readLedger(ledgerFile(settings, id), id);
      stored?.restored.close();
      return (
        stored !== undefined &&
        (stored.identity.log?.life !== life || settledLsn(stored.restored.cursor) < lsn)
      );
    })
    .map(({ name }) => name);
}

/** `nothingMissing`: by the operator's word the slot was there before the first change that the old server does not have. */
export function adopt(
  { store }: AdoptOptions,
  { database, life, logDirectory: directory, drained }: AdoptionPlan,
  { nothingMissing }: { readonly nothingMissing: boolean },
): { readonly putAside: string } {
  const nothingMissingFrom = nothingMissing ? drained?.lsn : undefined;
  // First the word, then the deed: a crash in between leaves a log whose server is refused, and this is done again.
  store.handovers.adopt(database, { life, nothingMissingFrom }, wallTime());
  const putAside = freeName(directory);
  renameSync(directory, putAside);
  return { putAside };
}

function freeName(directory: string): string {
  for (let number = 1; ; number++) {
    const name = `${directory}.left-${number}`;
    if (!existsSync(name)) return name;
  }
}

const nothingToLeave = (name: string): TailraceError =>
  new TailraceError(`database "${name}" has no change log, so there is no server to leave`, {
    code: 'NOTHING_TO_ADOPT',
    kind: 'fatal',
    hint: 'start Tailrace: it begins with the server that the configuration names',
  });
