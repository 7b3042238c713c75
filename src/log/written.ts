// A log as far as it has come, for whoever only looks: also while a service writes it, in another process. Nothing is cut, nothing written.
import { closeSync, constants } from 'node:fs';
import { openFile } from '../data-directory/files.ts';
import { ZERO_LSN } from '../core/lsn.ts';
import type { Partings } from '../core/partings.ts';
import { isMissing } from './errors.ts';
import type { LogIdentity } from './format.ts';
import { openLogReader, type LogReader } from './reader.ts';
import { surveySegments } from './recovery.ts';
import { listSegments, readFileHeader } from './segments.ts';
import { LogSignals } from './signals.ts';
import { readState } from './state-file.ts';

export type WrittenLog = {
  readonly identity: LogIdentity;
  readonly partings: Partings;
  /** Of all whole transactions that it held when it was opened. */
  readonly reader: LogReader;
  /** Offset at which these end. */
  readonly end: number;
};

/** Retention deletes segments while they are looked at: so often it is looked at anew. */
const MAX_LOOKS = 10;

/** Undefined: there is no log, or no whole transaction in it. `version`: of this Tailrace. Throws LOG_VERSION, LOG_IDENTITY. */
export function openWrittenLog(directory: string, version: string): WrittenLog | undefined {
  for (let looks = 1; ; looks++) {
    try {
      return open(directory, version);
    } catch (error) {
      if (!isMissing(error) || looks === MAX_LOOKS) throw error;
    }
  }
}

function open(directory: string, version: string): WrittenLog | undefined {
  const state = readState(directory, version);
  const identity = identityOf(directory);
  if (state === undefined || identity === undefined) return undefined;
  const { durableEnd, birth, partings, epoch } = state;
  const { boundary, firstOffset } = surveySegments({ directory, identity, birth, durableEnd });
  if (boundary === undefined || boundary.context.lastEndLsn === ZERO_LSN) return undefined;
  const { lastCommitLsn, lastEndLsn } = boundary.context;
  const signals = new LogSignals();
  signals.publishPartings(partings);
  signals.publishFirstOffset(firstOffset);
  signals.publishAppend({ writtenEnd: boundary.offset, epoch, lastCommitLsn, lastEndLsn });
  return { identity, partings, reader: openLogReader(directory, signals), end: boundary.offset };
}

/** Which stream the log holds, as its segments say. */
function identityOf(directory: string): LogIdentity | undefined {
  const last = listSegments(directory).at(-1);
  if (last === undefined) return undefined;
  const fd = openFile(last.path, constants.O_RDONLY);
  try {
    return readFileHeader(fd, last.path)?.header.identity;
  } finally {
    closeSync(fd);
  }
}
