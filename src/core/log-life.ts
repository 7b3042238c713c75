// Which log a position is of: the stream that the log holds, and the log's own life.
import type { Lsn } from './lsn.ts';
import type { TimelineHistory } from './timeline.ts';

/** Which stream a log holds. */
export type LogIdentity = {
  readonly systemIdentifier: string;
  readonly databaseOid: number;
  readonly slot: string;
};

/**
 * One log from its making to its end. A log made anew, of the same stream too, is another life: a place of the one before
 * says nothing of what this one holds.
 */
export type LogLife = LogIdentity & { readonly life: string };

/** What a log remembers of its beginning, as long as it lives. */
export type LogBirth = {
  /** A random UUID, made with the log. */
  readonly life: string;
  /** Every transaction committed at or above this is in the log, or was; undefined: not known. */
  readonly beganAt: Lsn | undefined;
  /**
   * The log was there before logs had lives, and had come to this epoch: places up to it that name no life are of this log.
   * Undefined: it was made with its life.
   */
  readonly adoptedEpoch: number | undefined;
};

/** The log that a sink follows. */
export type FollowedLog = LogLife &
  LogBirth & {
    /** Of the server that the log is read from. */
    readonly history: TimelineHistory & { readonly walEnd: Lsn };
  };

export const lifeOf = ({ systemIdentifier, databaseOid, slot, life }: LogLife): LogLife => ({
  systemIdentifier,
  databaseOid,
  slot,
  life,
});
