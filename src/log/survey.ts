// A log that was left behind, looked at and shown to the readers as it stands: nothing of it is cut, and nothing written. For the time
// before a writer may open it: what recovery has to cut is judged by what the server still has.
import { ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { beginLife, laterHistory } from './birth.ts';
import type { LogBirth, LogIdentity } from './format.ts';
import { partedEndOf } from './context.ts';
import { surveySegments } from './recovery.ts';
import type { LogSignals } from './signals.ts';
import { readState } from './state-file.ts';

export type SurveyOptions = {
  readonly directory: string;
  readonly identity: LogIdentity;
  readonly signals: LogSignals;
  readonly version: string;
  /** As a writer is told. */
  readonly knownEpoch: number;
};

export type SurveyedLog = { readonly birth: LogBirth; readonly lastEndLsn: Lsn };

/**
 * Shows the readers all whole transactions in the log. Undefined, and nothing shown: there are none, or less of the log is sound
 * than was durable once. Throws TailraceError when it is of another stream or cannot be read.
 */
export function showLog(options: SurveyOptions): SurveyedLog | undefined {
  const { directory, identity, signals, version, knownEpoch } = options;
  const found = readState(directory, version);
  if (found?.birth === undefined) return undefined;
  const { durableEnd, birth, partings } = found;
  const survey = surveySegments({ directory, identity, birth, durableEnd });
  const { boundary, firstOffset } = survey;
  if (survey.damaged || boundary === undefined || boundary.context.lastEndLsn === ZERO_LSN) return undefined;
  const { offset: writtenEnd } = boundary;
  const context = partedEndOf(boundary.context, partings);
  const { lastCommitLsn, lastEndLsn } = context;
  const life = { birth, isUnused: false, history: laterHistory(context, found) };
  const { epoch } = beginLife(life, { knownEpoch }).history;
  signals.publishPartings(partings);
  signals.publishFirstOffset(firstOffset);
  signals.publishDurable(Math.min(durableEnd, writtenEnd));
  signals.publishAppend({ writtenEnd, epoch, lastCommitLsn, lastEndLsn });
  return { birth, lastEndLsn };
}
