// What was known of the server when the log was last read from it, kept beside the log: enough to follow the log while no server
// answers, or none may be read from.
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '../../core/errors.ts';
import type { FollowedLog } from '../../core/log-life.ts';
import { formatLsn, readLsn, ZERO_LSN } from '../../core/lsn.ts';
import { readTextFile } from '../../data-directory/files.ts';
import { seal, unseal } from '../../data-directory/sealed.ts';
import { readState } from '../../log/state-file.ts';
import { showLog } from '../../log/survey.ts';
import type { Standing } from '../../postgres/connection/hosts.ts';
import { LEDGER_FILES, replaceFile } from '../../store/ledger/files.ts';
import type { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { SourceLog } from './log.ts';
import type { SourceOptions, SourceReady } from './options.ts';
import type { SourceState } from './status.ts';

const FILE = 'server';

type StoredServer = Omit<FollowedLog, 'history' | 'beganAt' | 'adoptedEpoch'> & {
  readonly host: string;
  /** By the name that the configuration gives it. */
  readonly database: string;
  readonly timeline: number;
  readonly switches: readonly (readonly [timeline: number, switchLsn: string])[];
  readonly walEnd: string;
};

/** Every connection, and every try at one, may say the same. */
type Lines = Pick<RepeatedLines, 'say'>;

/** Durable when it returns; a log that has this server on record already is not touched. */
export function noteServer(
  { directory, settings }: SourceOptions,
  { host, log }: SourceReady,
  lines: Lines,
): void {
  const { life, systemIdentifier, databaseOid, slot, history } = log;
  const stored: StoredServer = {
    life,
    systemIdentifier,
    databaseOid,
    slot,
    host,
    database: settings.database,
    timeline: history.current,
    switches: history.switches.map(({ timeline, switchLsn }) => [timeline, formatLsn(switchLsn)]),
    walEnd: formatLsn(history.walEnd),
  };
  try {
    const { fd } = replaceFile(join(directory, FILE), [seal(stored)], LEDGER_FILES);
    closeSync(fd);
  } catch (error) {
    // Without it, or with an older one, sinks wait for the server at the next start, or know a little less of it.
    lines.say({
      level: 'warn',
      message: `what is known of the server could not be noted: ${describeError(error)}`,
      fields: { database: settings.name },
      kind: 'server not noted',
    });
  }
}

function recallServer({ directory, settings }: SourceOptions, lines: Lines): StoredServer | undefined {
  const file = join(directory, FILE);
  try {
    return unseal(readTextFile(file)) as StoredServer;
  } catch (error) {
    // As before there was such a file.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      lines.say({
        level: 'warn',
        message: `${file} cannot be read (${describeError(error)}): until the server answers, sinks wait for it; it is written anew then, and nothing is lost`,
        fields: { database: settings.name },
        kind: 'server not readable',
      });
    }
    return undefined;
  }
}

/** The server that the log was read from last; nothing where no other log than that is meant. */
export function lastStanding(options: SourceOptions, lines: Lines): Standing {
  const { settings } = options;
  const server = recallServer(options, lines);
  if (server?.slot !== settings.slot.name || server.database !== settings.database) return {};
  const { systemIdentifier, timeline } = server;
  return { systemIdentifier, timeline };
}

/** The cluster whose changes the log holds; undefined: there is no log, or it is not known of which server it is. */
export function loggedCluster(options: SourceOptions, lines: Lines): string | undefined {
  const server = recallServer(options, lines);
  if (server === undefined) return undefined;
  const life = readState(options.directory, options.version)?.birth?.life;
  return life === server.life ? server.systemIdentifier : undefined;
}

/**
 * The log as it can be followed without a server, shown to the readers; undefined: there is nothing to follow, or it is not the log
 * that the configuration means, or it is not known of which server. `opened`: a connection has opened it, and did not get further.
 */
export function followAlone(
  options: SourceOptions,
  opened: SourceLog | undefined,
  { state, lines }: { readonly state: SourceState; readonly lines: Lines },
): SourceReady | undefined {
  const { directory, settings, signals, version, knownEpoch } = options;
  const server = recallServer(options, lines);
  if (server?.slot !== settings.slot.name || server.database !== settings.database) return undefined;
  const { systemIdentifier, databaseOid, slot, host } = server;
  const identity = { systemIdentifier, databaseOid, slot };
  try {
    const found =
      opened === undefined
        ? showLog({ directory, identity, signals, version, knownEpoch })
        : { birth: opened.log.birth, lastEndLsn: opened.log.context.lastEndLsn };
    if (found?.birth.life !== server.life || found.lastEndLsn === ZERO_LSN) return undefined;
    state.logged = found.lastEndLsn;
    return { host, log: { ...found.birth, ...identity, history: historyOf(server) } };
  } catch (error) {
    // The connection that opens the log says so, with the cure.
    lines.say({
      level: 'warn',
      message: `the log cannot be followed: ${describeError(error)}`,
      fields: { database: settings.name },
      kind: 'log not followed',
    });
    return undefined;
  }
}

const historyOf = ({ timeline, switches, walEnd }: StoredServer): FollowedLog['history'] => ({
  current: timeline,
  switches: switches.map(([left, switchLsn]) => ({
    timeline: left,
    switchLsn: readLsn(switchLsn),
  })),
  walEnd: readLsn(walEnd),
});
